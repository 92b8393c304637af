"""Priors p(z) over the latents."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Generator, Size, Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    OneHotCategorical,
)
from torch.distributions.constraints import Constraint, nonnegative, one_hot, real

from elbolab.checks import check_at_least_one, check_in
from lightning_modules.functional.distributions import (
    LogRateExponential,
    LogVarianceNormal,
    StandardNormal,
)
from lightning_modules.functional.noise import noise_from

__all__ = [
    "Encode",
    "ExponentialPrior",
    "LearnedGaussianPrior",
    "MixtureOfGaussiansPrior",
    "Prior",
    "StandardNormalPrior",
    "UniformCategoricalPrior",
    "VampPrior",
]

Encode = Callable[[Tensor], Distribution]
"""Maps data ``(M, *shape)`` to q(z|x), batch shape ``(M,)``."""


class Prior(nn.Module, ABC):
    """p(z).

    Args:
        latent_shape: Shape of one z.
        shape: Shape of one example, for priors that are made of such.
    """

    supports: ClassVar[tuple[Constraint, ...]] = (real, nonnegative)
    """Where a posterior's latents may lie, for p(z) to be above 0 there."""

    def __init__(self, latent_shape: Sequence[int], shape: Sequence[int]) -> None:
        super().__init__()
        self.latent_shape, self.shape = Size(latent_shape), Size(shape)

    @abstractmethod
    def forward(self, encode: Encode) -> Distribution:
        """p(z), event shape ``latent_shape``; ``encode`` is the model's own q(z|x)."""

    @torch.no_grad()
    def sample(self, n: int, encode: Encode, generator: Generator | None = None) -> Tensor:
        """``n`` draws z ~ p(z), ``(n, *latent_shape)``, on the prior's device."""
        with noise_from(generator):
            return self(encode).sample(Size([n]))


class StandardNormalPrior(Prior):
    """p(z) = N(0, I)."""

    zero: Tensor

    def __init__(self, latent_shape: Sequence[int], shape: Sequence[int]) -> None:
        super().__init__(latent_shape, shape)
        # A buffer, so that the distribution lives where the model does; nothing to save.
        self.register_buffer("zero", torch.zeros(self.latent_shape), persistent=False)

    def forward(self, encode: Encode) -> Distribution:
        return _independent(StandardNormal(self.zero))

    @torch.no_grad()
    def sample(self, n: int, encode: Encode, generator: Generator | None = None) -> Tensor:
        # Straight from the generator, on its device: every machine then draws the same latents.
        device = generator.device if generator is not None else self.zero.device
        noise = torch.randn((n, *self.latent_shape), generator=generator, device=device)
        return noise.to(self.zero)


class LearnedGaussianPrior(Prior):
    """p(z) = N(λ₁, diag λ₂), both learned; N(0, I) before training."""

    def __init__(self, latent_shape: Sequence[int], shape: Sequence[int]) -> None:
        super().__init__(latent_shape, shape)
        self.mean = nn.Parameter(torch.zeros(self.latent_shape))
        self.log_variance = nn.Parameter(torch.zeros(self.latent_shape))

    def forward(self, encode: Encode) -> Distribution:
        return _independent(LogVarianceNormal(self.mean, self.log_variance))


class MixtureOfGaussiansPrior(Prior):
    """p(z) = Σ_j π_j N(μ_j, diag σ_j²), all learned; KL(q‖p) by Monte Carlo.

    Args:
        latent_shape: Shape of one z.
        shape: Shape of one example.
        components: Number of Gaussians, at least 1; their means are drawn from N(0, I).

    Raises:
        UserError: If ``components`` is below 1.
    """

    def __init__(
        self, latent_shape: Sequence[int], shape: Sequence[int], components: int = 50
    ) -> None:
        super().__init__(latent_shape, shape)
        check_at_least_one(components=components)
        self.components = components
        self.means = nn.Parameter(torch.randn(components, *self.latent_shape))
        self.log_variances = nn.Parameter(torch.zeros(components, *self.latent_shape))
        self.logits = nn.Parameter(torch.zeros(components))

    def forward(self, encode: Encode) -> Distribution:
        gaussians = _independent(LogVarianceNormal(self.means, self.log_variances))
        return _mixture(self.logits, gaussians)


class VampPrior(Prior):
    """p(z) = (1/M) Σ_j q(z|u_j): the posterior averaged over learned pseudo-inputs u_j.

    KL(q‖p) by Monte Carlo. Source: Tomczak & Welling, *VAE with a VampPrior*, 2018, equation 8.

    Args:
        latent_shape: Shape of one z.
        shape: Shape of one example.
        components: M, at least 1.

    Raises:
        UserError: If ``components`` is below 1.
    """

    supports = (real, nonnegative, one_hot)

    def __init__(
        self, latent_shape: Sequence[int], shape: Sequence[int], components: int = 100
    ) -> None:
        super().__init__(latent_shape, shape)
        check_at_least_one(components=components)
        self.components = components
        # Grey noise around one half: all images are as near as that.
        self.raw_pseudo_inputs = nn.Parameter(torch.randn(components, *self.shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """u_1 … u_M, ``(M, *shape)``, in (0, 1)."""
        return torch.sigmoid(self.raw_pseudo_inputs)

    def forward(self, encode: Encode) -> Distribution:
        posteriors = encode(self.pseudo_inputs)
        return _mixture(torch.zeros(self.components, device=posteriors.mean.device), posteriors)


class ExponentialPrior(Prior):
    """p(z) = Π Exp(λ), latents in [0, ∞).

    Args:
        latent_shape: Shape of one z.
        shape: Shape of one example.
        rate: λ > 0.

    Raises:
        UserError: If ``rate`` is not above 0.
    """

    supports = (nonnegative,)
    log_rate: Tensor

    def __init__(
        self, latent_shape: Sequence[int], shape: Sequence[int], rate: float = 1.0
    ) -> None:
        super().__init__(latent_shape, shape)
        check_in("(0, inf)", rate=rate)
        log_rate = torch.full(self.latent_shape, rate).log()
        self.register_buffer("log_rate", log_rate, persistent=False)

    def forward(self, encode: Encode) -> Distribution:
        return _independent(LogRateExponential(self.log_rate))


class UniformCategoricalPrior(Prior):
    """All C classes of every latent equally likely."""

    supports = (one_hot,)
    zero: Tensor

    def __init__(self, latent_shape: Sequence[int], shape: Sequence[int]) -> None:
        super().__init__(latent_shape, shape)
        self.register_buffer("zero", torch.zeros(self.latent_shape), persistent=False)

    def forward(self, encode: Encode) -> Distribution:
        return _independent(OneHotCategorical(logits=self.zero, validate_args=False))


def _independent(factors: Distribution) -> Independent:
    return Independent(factors, 1, validate_args=False)


def _mixture(logits: Tensor, components: Distribution) -> Distribution:
    weights = Categorical(logits=logits, validate_args=False)
    return MixtureSameFamily(weights, components, validate_args=False)
