"""Approximate posteriors q(z|x): what turns an encoder's raw outputs into a distribution."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, cast

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint, nonnegative, one_hot, real

from elbolab.checks import check_in
from lightning_modules.functional.annealing import Annealing, Constant
from lightning_modules.functional.distributions import (
    GumbelSoftmax,
    LogRateExponential,
    LogVarianceNormal,
    bounded,
    gumbel,
    largest,
)
from lightning_modules.functional.noise import SMALLEST, ContentNoise
from lightning_modules.functional.precision import full_precision

__all__ = [
    "CategoricalPosterior",
    "DiagonalGaussianPosterior",
    "ExponentialPosterior",
    "Posterior",
    "by_quantile",
]


class Posterior(nn.Module, ABC):
    """Maps raw encoder outputs to q(z|x)."""

    parameters_per_latent: int
    """How many numbers the encoder has to give for each latent dimension."""
    support: ClassVar[Constraint]
    """Where its latents lie."""
    reparameterized: ClassVar[bool] = True
    """Whether ``rsample`` is an exact draw of q(z|x)."""

    @abstractmethod
    def forward(self, raw: Tensor) -> Distribution:
        """Builds q(z|x) from ``raw`` of shape ``(B, parameters_per_latent · d)``.

        Returns:
            A distribution of batch shape ``(B,)`` and event shape ``latent_shape(d)`` whose
            ``rsample`` carries gradients, in float32 or better.
        """

    def latent_shape(self, latent_dim: int) -> Size:
        """Shape of one z of d = ``latent_dim`` dimensions."""
        return Size([latent_dim])

    def point(self, distribution: Distribution) -> Tensor:
        """The one z that stands for q(z|x) in reconstructions: its mean, ``(B, *latent_shape)``."""
        return distribution.mean

    def exact(self, z: Tensor) -> Tensor:
        """The exact draws behind draws of ``rsample``; these themselves if it is exact."""
        return z

    def draw(self, raw: Tensor, noise: ContentNoise, draws: range) -> Tensor:
        """Those of the exact draws z ~ q(z|x), ``(K, B, *latent_shape)``.

        Draw k depends on the content of its example and on k alone. This asks torch for one
        example and one draw after the other, which any posterior can answer; a family with
        quantiles does better with `by_quantile`.
        """
        rows = []
        with torch.random.fork_rng():
            for row, seed in zip(raw.split(1), noise.seeds.tolist(), strict=True):
                q, each = self(row), []
                for draw in draws:
                    torch.manual_seed((seed + draw) % 2**63)
                    each.append(q.sample())
                rows.append(torch.stack(each))
        return torch.cat(rows, 1)

    def anneal(self, epoch: float) -> None:
        """Told before every training batch how many epochs have passed, whole and in part."""

    def parameters_of(self, raw: Tensor) -> tuple[Tensor, ...]:
        """The parameters of every latent dimension, ``(B, d)`` each, in float32 or better."""
        return full_precision(raw).chunk(self.parameters_per_latent, 1)


class DiagonalGaussianPosterior(Posterior):
    """q(z|x) = N(μ, diag σ²); the raw outputs are μ and log σ².

    log σ² is bounded smoothly, see `functional.gaussian.LOG_VARIANCE_BOUND`, so that no encoder
    output makes σ vanish or overflow.
    """

    parameters_per_latent = 2
    support = real

    def forward(self, raw: Tensor) -> Distribution:
        mean, log_variance = self.parameters_of(raw)
        return Independent(LogVarianceNormal(mean, bounded(log_variance)), 1, validate_args=False)

    def draw(self, raw: Tensor, noise: ContentNoise, draws: range) -> Tensor:
        return by_quantile(self(raw), noise, draws)


class ExponentialPosterior(Posterior):
    """q(z|x) = Π Exp(λ_i), latents in [0, ∞); the raw outputs are log λ, bounded smoothly."""

    parameters_per_latent = 1
    support = nonnegative

    def forward(self, raw: Tensor) -> Distribution:
        (log_rate,) = self.parameters_of(raw)
        return Independent(LogRateExponential(bounded(log_rate)), 1, validate_args=False)

    def draw(self, raw: Tensor, noise: ContentNoise, draws: range) -> Tensor:
        return by_quantile(self(raw), noise, draws)


class CategoricalPosterior(Posterior):
    """q(z|x) of d latents that take one of C classes each, as one-hot vectors ``(d, C)``.

    Draws and densities are exact (the largest of log π plus Gumbel noise); only the gradient of
    `Reparameterized` goes through the relaxed draws of Gumbel-Softmax.

    Args:
        classes: C ≥ 2.
        temperature: τ of the relaxed draws over the epochs of training; above 0.
        straight_through: Whether the decoder sees one-hot vectors in training too.

    Raises:
        UserError: If ``classes`` is below 2, or the temperature begins at 0 or below.
    """

    support = one_hot
    reparameterized = False

    def __init__(
        self,
        classes: int = 10,
        temperature: Callable[[], Annealing] = Constant,
        straight_through: bool = False,
    ) -> None:
        super().__init__()
        check_in("[2, inf)", classes=classes)
        self.parameters_per_latent = self.classes = classes
        self.straight_through = straight_through
        self._temperatures = temperature()
        self.anneal(0.0)

    def latent_shape(self, latent_dim: int) -> Size:
        return Size([latent_dim, self.classes])

    def forward(self, raw: Tensor) -> Distribution:
        logits = full_precision(raw).unflatten(1, (-1, self.classes))
        relaxed = GumbelSoftmax(logits, self.temperature, self.straight_through)
        return Independent(relaxed, 1, validate_args=False)

    def point(self, distribution: Distribution) -> Tensor:
        """The likeliest classes, one-hot: a mean would be no class at all."""
        return distribution.mode

    def exact(self, z: Tensor) -> Tensor:
        return z if self.straight_through else largest(z)

    def draw(self, raw: Tensor, noise: ContentNoise, draws: range) -> Tensor:
        logits = full_precision(raw).unflatten(1, (-1, self.classes))
        uniform = noise.uniforms(logits.shape[1:], draws).clamp_min(SMALLEST).to(logits)
        return largest(logits + gumbel(uniform))

    def anneal(self, epoch: float) -> None:
        self.temperature = self._temperatures(epoch)
        check_in("(0, inf)", temperature=self.temperature)


def by_quantile(q: Distribution, noise: ContentNoise, draws: range) -> Tensor:
    """Those draws of independent latents, ``(K, B, d)``: the quantiles of uniform noise."""
    uniform = noise.uniforms(q.event_shape, draws).clamp_min(SMALLEST)
    factors = cast(Independent, q).base_dist
    return factors.icdf(uniform.to(q.mean))
