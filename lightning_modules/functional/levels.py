"""Which noise levels training sees how often, how much each counts, and which are walked through.

What is minimised is Σ_k p_k λ_k ℓ_k with p_k the share of level k among the examples, λ_k its
weight and ℓ_k the mean loss there. The true score minimises it for all positive p and λ; they
decide how soon which level is learned. Samplers and integrations go through the levels of a grid,
K = k_0 > k_1 > … > 0.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from elbolab.checks import check_in
from elbolab.errors import UserError
from lightning_modules.functional.schedule import Schedule

__all__ = [
    "EvenGrid",
    "FineGrid",
    "FineLevels",
    "GivenGrid",
    "LevelGrid",
    "LevelShares",
    "LevelWeight",
    "UniformLevels",
    "UniformWeight",
    "VarianceWeight",
    "checked_steps",
    "draw_levels",
    "levels_at",
]


class LevelWeight(ABC):
    """λ_k: how much a noise level counts in loss and metrics."""

    @abstractmethod
    def __call__(self, k: Tensor, schedule: Schedule) -> Tensor:
        """λ_k, ``(B,)``, above 0, for levels k ``(B,)``."""


class UniformWeight(LevelWeight):
    """λ_k = 1. Scores grow like 1/√v_k, so that the lowest levels drown the others."""

    def __call__(self, k: Tensor, schedule: Schedule) -> Tensor:
        return torch.ones_like(schedule.alpha_bar[k])


class VarianceWeight(LevelWeight):
    """λ_k = v_k = ᾱ_k σ² + 1 − ᾱ_k, with which the same relative error counts the same everywhere.

    Args:
        resolution: σ, the finest detail of the data; not below 0.

    Raises:
        UserError: If the resolution is below 0.
    """

    def __init__(self, resolution: float = 0.05) -> None:
        check_in("[0, inf)", resolution=resolution)
        self.resolution = resolution

    def __call__(self, k: Tensor, schedule: Schedule) -> Tensor:
        return schedule.variance(k, self.resolution)


class LevelShares(ABC):
    """p_k: how many of the training examples each noise level gets."""

    @abstractmethod
    def __call__(self, schedule: Schedule) -> Tensor:
        """p_1 … p_K up to a factor, ``(K,)``."""


class UniformLevels(LevelShares):
    """p_k = 1/K."""

    def __call__(self, schedule: Schedule) -> Tensor:
        return torch.ones_like(schedule.beta[1:])


class FineLevels(LevelShares):
    """p_k ∝ (log v_k/v_{k−1})^power: more of the low levels, where the fine detail is learned.

    Args:
        resolution: σ in v_k = ᾱ_k σ² + 1 − ᾱ_k, the finest detail of the data; above 0.
        power: 0 gives equal shares to levels, 1 to octaves of the variance; in [0, 1].

    Raises:
        UserError: If a value is out of range.
    """

    def __init__(self, resolution: float = 0.05, power: float = 0.5) -> None:
        check_in("(0, inf)", resolution=resolution)
        check_in("[0, 1]", power=power)
        self.resolution, self.power = resolution, power

    def __call__(self, schedule: Schedule) -> Tensor:
        levels = torch.arange(schedule.steps + 1, device=schedule.beta.device)
        return schedule.variance(levels, self.resolution).log().diff() ** self.power


def draw_levels(n: int, shares: Tensor) -> Tensor:
    """``n`` levels in {1, …, K}, each of distribution ``shares`` ``(K,)``, spread evenly together.

    Level i is the quantile of the i-th of n equal parts of [0, 1), drawn at random within its part;
    the mean of a loss over them varies less than over independent levels.
    """
    u = (torch.arange(n, device=shares.device) + torch.rand(n, device=shares.device)) / n
    return levels_at(u, shares)


def levels_at(u: Tensor, shares: Tensor) -> Tensor:
    """The quantiles at u in [0, 1) of the levels 1 … K, distributed as ``shares`` ``(K,)``."""
    cumulative = shares.cumsum(0)
    return torch.searchsorted(cumulative / cumulative[-1], u.clamp_max(1 - 1e-6), right=True) + 1


class LevelGrid(ABC):
    """The levels K = k_0 > k_1 > … > 0 that a sampler or an integration visits."""

    @abstractmethod
    def __call__(self, schedule: Schedule, steps: int | None = None) -> list[int]:
        """The grid of so many jumps; all K by default.

        Raises:
            UserError: If ``steps`` is not in {1, …, K}, or not the grid's.
        """


class EvenGrid(LevelGrid):
    """Jumps over about equally many levels."""

    def __call__(self, schedule: Schedule, steps: int | None = None) -> list[int]:
        highest = schedule.steps
        wanted = checked_steps(schedule, steps)
        return [round(highest * i / wanted) for i in range(wanted, -1, -1)]


class FineGrid(LevelGrid):
    """Shorter jumps at low levels, where the fine detail of the data appears.

    The levels are spread as `FineLevels` spreads training examples. With few steps this is where a
    second-order method gains: the field turns fastest at low noise.

    Args:
        resolution: σ in v_k = ᾱ_k σ² + 1 − ᾱ_k, the finest detail of the data; above 0.
        power: 0 gives equal shares to levels, 1 to octaves of the variance; in [0, 1].

    Raises:
        UserError: If a value is out of range.
    """

    def __init__(self, resolution: float = 0.05, power: float = 0.5) -> None:
        self.shares = FineLevels(resolution, power)

    def __call__(self, schedule: Schedule, steps: int | None = None) -> list[int]:
        wanted, highest = checked_steps(schedule, steps), schedule.steps
        below = torch.cat([torch.zeros(1), self.shares(schedule).cpu()]).double().cumsum(0)
        parts = torch.arange(wanted + 1) / wanted * below[-1]
        upwards = torch.searchsorted(below, parts).tolist()
        grid = [0]
        for i in range(1, wanted + 1):  # no level twice, and enough of them left
            grid.append(min(max(upwards[i], grid[-1] + 1), highest - wanted + i))
        return grid[::-1]


class GivenGrid(LevelGrid):
    """Levels written down one by one.

    Args:
        levels: Those between K and 0, in any order; K and 0 are always visited.

    Raises:
        UserError: If a level is below 0; and when used, if one is beyond K, or a number of steps
            was asked for that the grid does not have.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        check_in("[0, inf)", levels=levels)
        self.levels = list(levels)

    def __call__(self, schedule: Schedule, steps: int | None = None) -> list[int]:
        highest = schedule.steps
        check_in(f"[0, {highest}]", levels=self.levels)
        grid = sorted({0, highest, *self.levels}, reverse=True)
        if steps is not None and steps != len(grid) - 1:
            raise UserError(f"the levels given make {len(grid) - 1} steps, not {steps}.")
        return grid


def checked_steps(schedule: Schedule, steps: int | None) -> int:
    """The number of jumps: K where none is given.

    Raises:
        UserError: If it is not in {1, …, K}.
    """
    check_in(f"[1, {schedule.steps}]", steps=steps)
    return schedule.steps if steps is None else steps
