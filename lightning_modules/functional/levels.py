"""Which noise levels training sees how often, and how much each counts.

What is minimised is Σ_k p_k λ_k ℓ_k with p_k the share of level k among the examples, λ_k its
weight and ℓ_k the mean loss there. The true score minimises it for all positive p and λ; they
decide how soon which level is learned.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from elbolab.errors import UserError
from lightning_modules.functional.schedule import Schedule

__all__ = [
    "FineLevels",
    "LevelShares",
    "LevelWeight",
    "UniformLevels",
    "UniformWeight",
    "VarianceWeight",
    "draw_levels",
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
        if not resolution >= 0:
            raise UserError(f"resolution must not be below 0, got {resolution}.")
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
        if not resolution > 0:
            raise UserError(f"resolution must be above 0, got {resolution}.")
        if not 0 <= power <= 1:
            raise UserError(f"power must be between 0 and 1, got {power}.")
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
    cumulative = shares.cumsum(0)
    return torch.searchsorted(cumulative / cumulative[-1], u.clamp_max(1 - 1e-6), right=True) + 1
