"""The noise of a stochastic gradient, measured by drawing it many times."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

__all__ = ["GradientNoise", "gradient_noise"]


class GradientNoise(NamedTuple):
    """Of a random gradient g ∈ R^P."""

    variance: float
    """E‖g − E[g]‖², the variances of all P numbers added up, in nats² per squared parameter."""
    snr: float
    """‖E[g]‖ / √variance, with ‖E[g]‖² estimated without bias and at least 0."""


def gradient_noise(
    loss: Callable[[], Tensor], parts: Mapping[str, Sequence[Parameter]], draws: int
) -> dict[str, GradientNoise]:
    """Variance and signal-to-noise ratio of a loss's gradient, for each part of a model apart.

    Args:
        loss: Draws a new value, a scalar with gradients, at every call.
        parts: Parameters by the part's name.
        draws: n ≥ 2, how many gradients are drawn.
    """
    parameters = [p for part in parts.values() for p in part]
    moments = {name: _Moments() for name in parts}
    for _ in range(draws):
        gradients = iter(torch.autograd.grad(loss(), parameters, materialize_grads=True))
        for name, part in parts.items():
            moments[name].add(torch.cat([next(gradients).flatten() for _ in part]))
    return {name: of_part.noise() for name, of_part in moments.items()}


class _Moments:
    """Mean and squared distances from it, updated one vector at a time (Welford, 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, value: Tensor) -> None:
        self.count += 1
        distance = value - self.mean
        self.mean = self.mean + distance / self.count
        self.squares = self.squares + (distance * (value - self.mean)).sum(dtype=torch.float64)

    def noise(self) -> GradientNoise:
        variance = float(self.squares) / (self.count - 1)
        # The squared mean of n draws is too long by variance / n.
        signal = max(float(self.mean.double().square().sum()) - variance / self.count, 0.0)
        return GradientNoise(variance, (signal / variance) ** 0.5 if variance > 0 else torch.inf)
