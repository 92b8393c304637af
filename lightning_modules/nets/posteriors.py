"""Approximate posteriors q(z|x): what turns an encoder's raw outputs into a distribution."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Size, Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint, nonnegative, one_hot, real

from elbolab.errors import UserError
from lightning_modules.functional.annealing import Annealing, Constant
from lightning_modules.functional.categorical import GumbelSoftmax
from lightning_modules.functional.exponential import LogRateExponential
from lightning_modules.functional.gaussian import LogVarianceNormal, bounded
from lightning_modules.functional.precision import full_precision

__all__ = [
    "CategoricalPosterior",
    "DiagonalGaussianPosterior",
    "ExponentialPosterior",
    "Posterior",
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


class ExponentialPosterior(Posterior):
    """q(z|x) = Π Exp(λ_i), latents in [0, ∞); the raw outputs are log λ, bounded smoothly."""

    parameters_per_latent = 1
    support = nonnegative

    def forward(self, raw: Tensor) -> Distribution:
        (log_rate,) = self.parameters_of(raw)
        return Independent(LogRateExponential(bounded(log_rate)), 1, validate_args=False)


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
        if classes < 2:
            raise UserError(
                f"classes of a categorical posterior must be at least 2, got {classes}."
            )
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

    def anneal(self, epoch: float) -> None:
        self.temperature = self._temperatures(epoch)
        if not self.temperature > 0:
            raise UserError(
                f"the temperature must stay above 0, got {self.temperature} after {epoch:g} epochs."
            )
