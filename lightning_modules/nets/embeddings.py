"""What a network sees of a noise level: k → a row of features."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from elbolab.checks import check_at_least_one, check_in
from lightning_modules.functional.schedule import Schedule

__all__ = ["FixedEmbedding", "FourierTime", "LevelEmbedding", "LevelTable", "LogSNR", "RawTime"]


class LevelEmbedding(nn.Module, ABC):
    """Features e(k) of the levels 0 … K; built with the schedule, as its subclasses are."""

    @property
    @abstractmethod
    def size(self) -> int:
        """F, the number of features."""

    @abstractmethod
    def forward(self, k: Tensor) -> Tensor:
        """Features ``(*k.shape, F)`` of levels k."""


class FixedEmbedding(LevelEmbedding):
    """Features of all K + 1 levels, computed once.

    Args:
        features: One row for each level 0 … K, ``(K + 1, F)``.
    """

    table: Tensor

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", features.to(torch.get_default_dtype()), persistent=False)

    @property
    def size(self) -> int:
        return self.table.shape[1]

    def forward(self, k: Tensor) -> Tensor:
        return self.table[k]


class RawTime(FixedEmbedding):
    """t_k = k/K and nothing else, as in the base model.

    Args:
        schedule: The forward process.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(_times(schedule))


class FourierTime(FixedEmbedding):
    """t_k, and sin and cos of 2^i π t_k.

    Args:
        schedule: The forward process.
        frequencies: How many i, from 0 on; at least 1.

    Raises:
        UserError: If there is none.
    """

    def __init__(self, schedule: Schedule, frequencies: int = 6) -> None:
        super().__init__(_waves(_times(schedule), frequencies))


class LogSNR(FixedEmbedding):
    """log₁₀ v_k, scaled to [−1, 1], and its waves: resolves the lowest levels, where k/K does not.

    Args:
        schedule: The forward process.
        resolution: σ in v_k = ᾱ_k σ² + 1 − ᾱ_k, the finest detail of the data; above 0.
        frequencies: How many waves sin and cos of 2^i π u; at least 1.

    Raises:
        UserError: If the resolution is not above 0 or there is no frequency.
    """

    def __init__(self, schedule: Schedule, resolution: float = 0.05, frequencies: int = 4) -> None:
        check_in("(0, inf)", resolution=resolution)
        levels = torch.arange(schedule.steps + 1)
        v = schedule.variance(levels, resolution).double().log().unsqueeze(1)
        super().__init__(_waves(2 * (v - v[0]) / (v[-1] - v[0]) - 1, frequencies))


class LevelTable(LevelEmbedding):
    """A learned row for every level, which starts as N(0, I): nothing is said of their order.

    Args:
        schedule: The forward process.
        features: Length of a row, at least 1.

    Raises:
        UserError: If it is below 1.
    """

    def __init__(self, schedule: Schedule, features: int = 16) -> None:
        check_at_least_one(features=features)
        super().__init__()
        self.rows = nn.Embedding(schedule.steps + 1, features)

    @property
    def size(self) -> int:
        return self.rows.embedding_dim

    def forward(self, k: Tensor) -> Tensor:
        return self.rows(k)


def _times(schedule: Schedule) -> Tensor:
    return torch.arange(schedule.steps + 1, dtype=torch.float64).unsqueeze(1) / schedule.steps


def _waves(u: Tensor, frequencies: int) -> Tensor:
    check_at_least_one(frequencies=frequencies)
    phases = u * (math.pi * 2.0 ** torch.arange(frequencies, dtype=torch.float64))
    return torch.cat([u, phases.sin(), phases.cos()], 1)
