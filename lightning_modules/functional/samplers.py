r"""From noise to data: the reverse process as a stochastic or an ordinary differential equation.

.. math:: dx = [-\tfrac12\beta x - \beta s(x)] dt + \sqrt\beta\, d\bar w, \qquad
          dx = -\tfrac12\beta [x + s(x)] dt

both run from K down to 0. Symbols: x points, ``(B, *shape)``; s score field; ε noise; of a `Jump`
k the level one is at and j < k the next one, β and h its transition and its length, v_k and v_j
the noise variances 1 − ᾱ of both.

Sources: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, *Score-Based Generative Modeling
through Stochastic Differential Equations*, 2021, equations 6 and 13, algorithm 3; Ho, Jain &
Abbeel, *Denoising Diffusion Probabilistic Models*, 2020, algorithm 2 (ancestral); Karras, Aittala,
Aila & Laine, *Elucidating the Design Space of Diffusion-Based Generative Models*, 2022,
algorithm 1 (Heun).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import ClassVar

from torch import Generator, Tensor

from elbolab.checks import check_at_least_one, check_in
from lightning_modules.functional.levels import EvenGrid, LevelGrid
from lightning_modules.functional.noise import Noise, noise_like
from lightning_modules.functional.schedule import Jump, Schedule
from lightning_modules.functional.score import ScoreField

__all__ = [
    "Ancestral",
    "EulerFlow",
    "EulerMaruyama",
    "HeunFlow",
    "PredictorCorrector",
    "Sampler",
]


class Sampler(ABC):
    """Walks points from N(0, I) at level K down to the data; a new one writes ``step``.

    Args:
        steps: How many jumps to make; all K by default.
        grid: Which levels they visit.
    """

    order: ClassVar[float]
    """p: where all jumps are halved, the error is divided by 2^p."""
    stochastic: ClassVar[bool] = False
    """Whether it draws noise. Its order is then the weak one, of expectations over samples; the
    others' is the strong one, of every single point."""

    def __init__(self, steps: int | None = None, grid: Callable[[], LevelGrid] = EvenGrid) -> None:
        self.steps, self.grid = steps, grid()

    @abstractmethod
    def step(self, score: ScoreField, x: Tensor, jump: Jump, noise: Noise) -> Tensor:
        """Takes x ``(B, *shape)`` from level k to level j."""

    def trajectory(
        self, score: ScoreField, x: Tensor, schedule: Schedule, generator: Generator | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """Yields (level, points) from (K, x) to (0, samples), holding one set of points at a time.

        All noise comes from the generator.

        Raises:
            UserError: If there are more steps than levels.
        """
        noise = partial(noise_like, generator=generator)
        levels = self.grid(schedule, self.steps)
        yield levels[0], x
        for k, j in pairwise(levels):
            x = self.step(score, x, schedule.jump(k, j), noise)
            yield j, x

    def __call__(
        self, score: ScoreField, x: Tensor, schedule: Schedule, generator: Generator | None = None
    ) -> Tensor:
        """Samples ``(B, *shape)`` from noise of that shape; memory does not depend on the steps."""
        for _, reached in self.trajectory(score, x, schedule, generator):
            x = reached
        return x


class EulerMaruyama(Sampler):
    """x_j = x + ½β x + β s + √β ε: the reverse SDE."""

    order = 1.0
    stochastic = True

    def step(self, score: ScoreField, x: Tensor, jump: Jump, noise: Noise) -> Tensor:
        drift = jump.beta * (0.5 * x + score(x, jump.k))
        return x + drift + jump.beta.sqrt() * noise(x)


class Ancestral(Sampler):
    """x_j = (x + β s)/√(1−β) + √(β v_j/v_k) ε: q(x_j|x_k, x_0) at E[x_0|x_k]."""

    order = 1.0
    stochastic = True

    def step(self, score: ScoreField, x: Tensor, jump: Jump, noise: Noise) -> Tensor:
        mean = (x + jump.beta * score(x, jump.k)) / (1 - jump.beta).sqrt()
        variance = jump.beta * jump.noise_variance_j / jump.noise_variance_k
        return mean + variance.sqrt() * noise(x)


class EulerFlow(Sampler):
    """x_j = x + ½h (x + s): the probability-flow ODE."""

    order = 1.0

    def step(self, score: ScoreField, x: Tensor, jump: Jump, noise: Noise) -> Tensor:
        return x + jump.length * _flow(score, x, jump.k)


class HeunFlow(Sampler):
    """The probability-flow ODE by the trapezoidal rule, with two evaluations a step.

    The last step, to level 0, is Euler's: no loss teaches a score at level 0.
    """

    order = 2.0

    def step(self, score: ScoreField, x: Tensor, jump: Jump, noise: Noise) -> Tensor:
        slope = _flow(score, x, jump.k)
        ahead = x + jump.length * slope
        if jump.to_data:
            return ahead
        return x + 0.5 * jump.length * (slope + _flow(score, ahead, jump.j))


class PredictorCorrector(EulerMaruyama):
    """Euler–Maruyama, then at each level Langevin steps x + δ s + √(2δ) ε towards its marginal.

    Args:
        steps: How many jumps to make; all K by default.
        corrections: Langevin steps per level, at least 1.
        ratio: δ in units of the level's noise variance v_j, in (0, 1). The source sets δ from
            norms over the batch, which would make a sample depend on its neighbours.
        grid: Which levels the jumps visit.

    Raises:
        UserError: If a value is out of range.
    """

    order = 0.5

    def __init__(
        self,
        steps: int | None = None,
        corrections: int = 1,
        ratio: float = 0.1,
        grid: Callable[[], LevelGrid] = EvenGrid,
    ) -> None:
        super().__init__(steps, grid)
        check_at_least_one(corrections=corrections)
        check_in("(0, 1)", ratio=ratio)
        self.corrections, self.ratio = corrections, ratio

    def step(self, score: ScoreField, x: Tensor, jump: Jump, noise: Noise) -> Tensor:
        x = super().step(score, x, jump, noise)
        if jump.to_data:
            return x
        delta = self.ratio * jump.noise_variance_j
        for _ in range(self.corrections):
            x = x + delta * score(x, jump.j)
            x = x + (2 * delta).sqrt() * noise(x)
        return x


def _flow(score: ScoreField, x: Tensor, k: Tensor) -> Tensor:
    """−dx/dh of the probability-flow ODE: ½(x + s)."""
    return 0.5 * (x + score(x, k))
