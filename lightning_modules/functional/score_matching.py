r"""Three losses that are smallest at the true score.

Symbols: s score field; x data, ``(B, d)``; k levels, ``(B,)``; x_k = √ᾱ_k x + √(1−ᾱ_k) ε;
J = ∂s/∂x at x_k. All losses have one signature and return one number per example, ``(B,)``; its
mean, weighted with λ_k, is what one minimises.

Sources: Hyvärinen, *Estimation of Non-Normalized Statistical Models by Score Matching*, 2005,
theorem 1; Song, Garg, Shi & Ermon, *Sliced Score Matching*, 2019, equation 8; Vincent, *A
Connection Between Score Matching and Denoising Autoencoders*, 2011, equation 9.
"""

from abc import ABC, abstractmethod

from torch import Generator, Tensor

from elbolab.checks import check_at_least_one
from lightning_modules.functional.schedule import Schedule, along, diffuse, noise_like
from lightning_modules.functional.score import Score

__all__ = [
    "Denoising",
    "Hyvarinen",
    "ScoreLoss",
    "Sliced",
    "hyvarinen",
]


def hyvarinen(s: Tensor, trace: Tensor) -> Tensor:
    """½‖s‖² + tr J, ``(B,)``, for s ``(B, d)`` and traces ``(B,)``.

    Its mean is −½E‖s*‖² + ½E‖s − s*‖², s* the true score: the second term, half the Fisher
    divergence, is all that depends on s.
    """
    return 0.5 * s.square().sum(1) + trace


class ScoreLoss(ABC):
    """A loss whose minimum over score fields is the true score at every level."""

    name: str
    """What its figures are called: ``train/<name>``."""

    @abstractmethod
    def __call__(
        self,
        score: Score,
        x: Tensor,
        k: Tensor,
        schedule: Schedule,
        generator: Generator | None = None,
    ) -> Tensor:
        """The loss of each example, ``(B,)``, for data x ``(B, d)`` at levels k ``(B,)``.

        Args:
            score: s, with its derivatives.
            x: Data at level 0.
            k: Levels in {1, …, K}.
            schedule: The forward process.
            generator: Of the noise ε and of random directions.
        """


class Hyvarinen(ScoreLoss):
    """½‖s‖² + tr J with the exact trace; d + 1 passes through the network, so for d up to ~20."""

    name = "hyvarinen"

    def __call__(
        self,
        score: Score,
        x: Tensor,
        k: Tensor,
        schedule: Schedule,
        generator: Generator | None = None,
    ) -> Tensor:
        x_k = diffuse(x, k, schedule, noise_like(x, generator))
        return hyvarinen(*score.with_trace(x_k, k))


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
        self,
        score: Score,
        x: Tensor,
        k: Tensor,
        schedule: Schedule,
        generator: Generator | None = None,
    ) -> Tensor:
        x_k = diffuse(x, k, schedule, noise_like(x, generator))
        v = noise_like(x.expand(self.projections, *x.shape), generator)
        s, products = score.pushforward(x_k, k, v)
        return hyvarinen(s, (v * products).sum(2).mean(0))


class Denoising(ScoreLoss):
    """½‖s + ε/√(1−ᾱ_k)‖²: −ε/√(1−ᾱ_k) = −(x_k − √ᾱ_k x)/(1−ᾱ_k) is the score of x_k given x."""

    name = "denoising"

    def __call__(
        self,
        score: Score,
        x: Tensor,
        k: Tensor,
        schedule: Schedule,
        generator: Generator | None = None,
    ) -> Tensor:
        noise = noise_like(x, generator)
        s = score(diffuse(x, k, schedule, noise), k)
        target = -noise / along(schedule.noise_variance[k].sqrt(), x)
        return 0.5 * (s - target).square().sum(1)
