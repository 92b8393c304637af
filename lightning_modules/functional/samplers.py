r"""From noise to data: the reverse process as a stochastic or an ordinary differential equation.

.. math:: dx = [-\tfrac12\beta x - \beta s(x)] dt + \sqrt\beta\, d\bar w, \qquad
          dx = -\tfrac12\beta [x + s(x)] dt

both run from K down to 0. Symbols: x points, ``(B, d)``; s score field; k the level one is at and
j < k the next one; β ``schedule.transition(k, j)``, the β of the jump between them, so that with
all levels it is β_k; h = −log(1 − β) ``schedule.length(k, j)``, the integral of β over the jump.

Every sampler has one signature, ``(score, x, schedule, generator)``; noise comes from the generator
alone.

Sources: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, *Score-Based Generative Modeling
through Stochastic Differential Equations*, 2021, equations 6 and 13, algorithm 3; Ho, Jain &
Abbeel, *Denoising Diffusion Probabilistic Models*, 2020, algorithm 2 (ancestral); Karras, Aittala,
Aila & Laine, *Elucidating the Design Space of Diffusion-Based Generative Models*, 2022,
algorithm 1 (Heun).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Generator, Tensor

from elbolab.checks import check_at_least_one
from elbolab.errors import UserError
from lightning_modules.functional.schedule import Schedule, noise_like

__all__ = [
    "Ancestral",
    "EulerFlow",
    "EulerMaruyama",
    "HeunFlow",
    "PredictorCorrector",
    "Sampler",
    "ScoreFunction",
]

ScoreFunction = Callable[[Tensor, Tensor], Tensor]
"""(x ``(B, d)``, k ``()``) → s ``(B, d)``; every `Score` is one."""


class Sampler(ABC):
    """Walks points from N(0, I) at level K down to the data; a new one writes ``step``.

    Args:
        steps: How many jumps to make; all K by default.
    """

    def __init__(self, steps: int | None = None) -> None:
        self.steps = steps

    @abstractmethod
    def step(
        self,
        score: ScoreFunction,
        x: Tensor,
        k: int,
        j: int,
        schedule: Schedule,
        generator: Generator | None,
    ) -> Tensor:
        """Takes x ``(B, d)`` from level k to level j < k."""

    def trajectory(
        self,
        score: ScoreFunction,
        x: Tensor,
        schedule: Schedule,
        generator: Generator | None = None,
    ) -> Iterator[tuple[int, Tensor]]:
        """Yields (level, points) from (K, x) to (0, samples), holding one set of points at a time.

        Raises:
            UserError: If there are more steps than levels.
        """
        levels = schedule.grid(self.steps)
        yield levels[0], x
        for k, j in pairwise(levels):
            x = self.step(score, x, k, j, schedule, generator)
            yield j, x

    def __call__(
        self,
        score: ScoreFunction,
        x: Tensor,
        schedule: Schedule,
        generator: Generator | None = None,
    ) -> Tensor:
        """Samples ``(B, d)`` from noise x ``(B, d)``; memory does not depend on the steps."""
        for _, reached in self.trajectory(score, x, schedule, generator):
            x = reached
        return x


class EulerMaruyama(Sampler):
    """x_j = x + ½β x + β s + √β ε: the reverse SDE."""

    def step(
        self,
        score: ScoreFunction,
        x: Tensor,
        k: int,
        j: int,
        schedule: Schedule,
        generator: Generator | None,
    ) -> Tensor:
        beta = schedule.transition(k, j)
        drift = beta * (0.5 * x + score(x, _level(k, x)))
        return x + drift + beta.sqrt() * noise_like(x, generator)


class Ancestral(Sampler):
    """x_j = (x + β s)/√(1−β) + √β̃ ε with β̃ = β (1−ᾱ_j)/(1−ᾱ_k): q(x_j|x_k, x_0) at E[x_0|x_k]."""

    def step(
        self,
        score: ScoreFunction,
        x: Tensor,
        k: int,
        j: int,
        schedule: Schedule,
        generator: Generator | None,
    ) -> Tensor:
        beta, variance = schedule.transition(k, j), schedule.noise_variance
        mean = (x + beta * score(x, _level(k, x))) / (1 - beta).sqrt()
        return mean + (beta * variance[j] / variance[k]).sqrt() * noise_like(x, generator)


class EulerFlow(Sampler):
    """x_j = x + ½h (x + s): the probability-flow ODE, first order."""

    def step(
        self,
        score: ScoreFunction,
        x: Tensor,
        k: int,
        j: int,
        schedule: Schedule,
        generator: Generator | None,
    ) -> Tensor:
        return x + schedule.length(k, j) * _flow(score, x, k)


class HeunFlow(Sampler):
    """The probability-flow ODE by the trapezoidal rule: second order, two evaluations a step.

    The last step, to level 0, is Euler's: no loss teaches a score at level 0.
    """

    def step(
        self,
        score: ScoreFunction,
        x: Tensor,
        k: int,
        j: int,
        schedule: Schedule,
        generator: Generator | None,
    ) -> Tensor:
        h, slope = schedule.length(k, j), _flow(score, x, k)
        ahead = x + h * slope
        return ahead if j == 0 else x + 0.5 * h * (slope + _flow(score, ahead, j))


class PredictorCorrector(EulerMaruyama):
    """Euler–Maruyama, then at each level Langevin steps x + δ s + √(2δ) ε towards its marginal.

    Args:
        steps: How many jumps to make; all K by default.
        corrections: Langevin steps per level, at least 1.
        ratio: δ in units of the level's noise variance 1 − ᾱ_j, in (0, 1). The source sets δ from
            norms over the batch, which would make a sample depend on its neighbours.

    Raises:
        UserError: If a value is out of range.
    """

    def __init__(self, steps: int | None = None, corrections: int = 1, ratio: float = 0.1) -> None:
        super().__init__(steps)
        check_at_least_one(corrections=corrections)
        if not 0 < ratio < 1:
            raise UserError(f"ratio must be between 0 and 1, got {ratio}.")
        self.corrections, self.ratio = corrections, ratio

    def step(
        self,
        score: ScoreFunction,
        x: Tensor,
        k: int,
        j: int,
        schedule: Schedule,
        generator: Generator | None,
    ) -> Tensor:
        x = super().step(score, x, k, j, schedule, generator)
        if j == 0:
            return x
        delta = self.ratio * schedule.noise_variance[j]
        for _ in range(self.corrections):
            x = x + delta * score(x, _level(j, x))
            x = x + (2 * delta).sqrt() * noise_like(x, generator)
        return x


def _level(k: int, x: Tensor) -> Tensor:
    return torch.tensor(k, device=x.device)


def _flow(score: ScoreFunction, x: Tensor, k: int) -> Tensor:
    """−dx/dh of the probability-flow ODE: ½(x + s)."""
    return 0.5 * (x + score(x, _level(k, x)))
