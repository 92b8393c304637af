r"""Three losses that are smallest at the true score.

Symbols: s score field; x data, ``(B, *shape)``; k levels, ``(B,)``; x_k = √ᾱ_k x + √(1−ᾱ_k) ε;
J = ∂s/∂x at x_k. Each loss returns one number per example, ``(B,)``; its mean, weighted with λ_k,
is what one minimises.

Sources: Hyvärinen, *Estimation of Non-Normalized Statistical Models by Score Matching*, 2005,
theorem 1; Song, Garg, Shi & Ermon, *Sliced Score Matching*, 2019, equation 8; Vincent, *A
Connection Between Score Matching and Denoising Autoencoders*, 2011, equation 9.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from elbolab.checks import check_at_least_one
from lightning_modules.functional.noise import Noise, noise_like
from lightning_modules.functional.schedule import Schedule, along, diffuse
from lightning_modules.functional.score import DifferentiableScore, squared_norm

__all__ = ["Denoising", "Hyvarinen", "Noised", "ScoreLoss", "Sliced", "hyvarinen"]


@dataclass(frozen=True)
class Noised:
    """Data on their way to noise."""

    x: Tensor
    """x_k, ``(B, *shape)``."""
    k: Tensor
    """The level of each example, ``(B,)``."""
    noise: Tensor
    """ε, ``(B, *shape)``."""
    noise_variance: Tensor
    """1 − ᾱ_k, ``(B,)``."""

    @classmethod
    def of(cls, x: Tensor, k: Tensor, schedule: Schedule, noise: Tensor) -> "Noised":
        """Data x ``(B, *shape)`` at levels k ``(B,)``, with noise ε of x's shape."""
        return cls(diffuse(x, k, schedule, noise), k, noise, schedule.noise_variance[k])

    @property
    def target(self) -> Tensor:
        """−ε/√(1−ᾱ_k) = −(x_k − √ᾱ_k x)/(1−ᾱ_k): the score of x_k given x."""
        return -self.noise / along(self.noise_variance.sqrt(), self.x)


def hyvarinen(s: Tensor, trace: Tensor) -> Tensor:
    """½‖s‖² + tr J, ``(B,)``, for s ``(B, *shape)`` and traces ``(B,)``.

    Its mean is −½E‖s*‖² + ½E‖s − s*‖², s* the true score: the second term, half the Fisher
    divergence, is all that depends on s.
    """
    return 0.5 * squared_norm(s) + trace


class ScoreLoss(ABC):
    """A loss whose minimum over score fields is the true score at every level."""

    name: str
    """What its figures are called: ``train/<name>``."""

    @abstractmethod
    def __call__(
        self, score: DifferentiableScore, noised: Noised, noise: Noise = noise_like
    ) -> Tensor:
        """The loss of each example, ``(B,)``; ``noise`` draws random directions, if it has any."""


class Hyvarinen(ScoreLoss):
    """½‖s‖² + tr J with the exact trace; d + 1 passes through the network, so for d up to ~20."""

    name = "hyvarinen"

    def __call__(
        self, score: DifferentiableScore, noised: Noised, noise: Noise = noise_like
    ) -> Tensor:
        return hyvarinen(*score.with_trace(noised.x, noised.k))


class Sliced(ScoreLoss):
    """½‖s‖² + vᵀJv with random directions v ~ N(0, I): the trace estimated in one pass each.

    Args:
        projections: Directions per example, at least 1.

    Raises:
        UserError: If there is none.
    """

    name = "sliced"

    def __init__(self, projections: int = 1) -> None:
        check_at_least_one(projections=projections)
        self.projections = projections

    def __call__(
        self, score: DifferentiableScore, noised: Noised, noise: Noise = noise_like
    ) -> Tensor:
        v = noise(noised.x.expand(self.projections, *noised.x.shape))
        s, products = score.pushforward(noised.x, noised.k, v)
        return hyvarinen(s, (v * products).flatten(2).sum(2).mean(0))


class Denoising(ScoreLoss):
    """½‖s + ε/√(1−ᾱ_k)‖², the distance to the score of x_k given x."""

    name = "denoising"

    def __call__(
        self, score: DifferentiableScore, noised: Noised, noise: Noise = noise_like
    ) -> Tensor:
        return 0.5 * squared_norm(score(noised.x, noised.k) - noised.target)
