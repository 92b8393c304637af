"""Perceptrons that are score fields, with their derivatives carried forward by hand."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elbolab.checks import check_at_least_one, check_in
from lightning_modules.functional.schedule import Schedule, along
from lightning_modules.functional.score import DifferentiableScore, directions, trace
from lightning_modules.nets.activations import Activation, SiLU
from lightning_modules.nets.embeddings import LevelEmbedding, LogSNR
from lightning_modules.nets.inputs import Identity, InputFeatures

__all__ = ["ScoreMLP", "ScoreNet"]


class ScoreNet(DifferentiableScore, ABC):
    """A trainable score field on R^d; built with d and the schedule."""

    @abstractmethod
    def __init__(self, dim: int, schedule: Schedule) -> None:
        super().__init__()


class ScoreMLP(ScoreNet):
    r"""s(x, k) = F(x, e(k)) / √v_k with a perceptron F and features e of the noise level.

    The first layer sees x and e(k) concatenated. Divided by √v_k = √(ᾱ_k σ² + 1 − ᾱ_k), what F has
    to learn is of order one at every level.

    Args:
        dim: d.
        schedule: The forward process.
        hidden: Widths of the hidden layers, at least one.
        activation: Between them; must be smooth for losses with a divergence.
        embedding: e(k), built with the schedule.
        inputs: What is made of x before the first layer, built with d and the schedule.
        resolution: σ, the finest detail of the data; None leaves s = F, as in the base model.

    Raises:
        UserError: If a width is below 1 or there is none, or the resolution is not above 0.
    """

    def __init__(
        self,
        dim: int,
        schedule: Schedule,
        hidden: Sequence[int] = (128, 128, 128),
        activation: Callable[[], Activation] = SiLU,
        embedding: Callable[[Schedule], LevelEmbedding] = LogSNR,
        inputs: Callable[[int, Schedule], InputFeatures] = Identity,
        resolution: float | None = 0.05,
    ) -> None:
        super().__init__(dim, schedule)
        check_at_least_one(hidden=hidden, **{"the number of hidden layers": len(hidden)})
        check_in("(0, inf)", resolution=resolution)
        self.schedule, self.resolution = schedule, resolution
        self.activation, self.embedding = activation(), embedding(schedule)
        self.inputs = inputs(dim, schedule)
        self.first = nn.Linear(self.inputs.size + self.embedding.size, hidden[0])
        self.hidden = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(hidden)])
        self.last = nn.Linear(hidden[-1], dim)

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        return self.shifted(x, k, self.shift(k))

    def pushforward(self, x: Tensor, k: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """As the base class's; the value and all tangents pass each layer in one product."""
        return self.pushforward_shifted(x, k, tangents, self.shift(k))

    def with_trace(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return self.with_trace_shifted(x, k, self.shift(k))

    # The first layer in two products instead of one on a concatenation: one level for all points
    # costs one row, and a subclass may add what else the network is to see.

    def shift(self, k: Tensor) -> Tensor:
        """What the first layer adds to its product with x: W e(k) + b, ``(*k.shape, H)``."""
        return F.linear(self.embedding(k), self._first_weights()[1], self.first.bias)

    def shifted(self, x: Tensor, k: Tensor, shift: Tensor) -> Tensor:
        """s, ``(B, d)``, with that shift ``(hidden[0],)`` or ``(B, hidden[0])`` given."""
        h = self.activation(F.linear(self.inputs(x, k), self._first_weights()[0]) + shift)
        for layer in self.hidden:
            h = self.activation(layer(h))
        return self._scaled(self.last(h), x, k)

    def pushforward_shifted(
        self, x: Tensor, k: Tensor, tangents: Tensor, shift: Tensor
    ) -> tuple[Tensor, Tensor]:
        """s and J v as `pushforward` has them, with the first layer's shift given."""
        features = self.inputs.dual(x, k, tangents)
        z = self.activation.dual(_affine(features, self._first_weights()[0], shift))
        for layer in self.hidden:
            z = self.activation.dual(_layer(layer, z))
        z = self._scaled(_layer(self.last, z), x, k)
        return z[0], z[1:]

    def with_trace_shifted(self, x: Tensor, k: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """s and tr J as `with_trace` has them, with the first layer's shift given.

        With two hidden layers on x itself, s = W₃ f(W₂ f(W₁x + a) + b) + c, the trace is
        f′(·₂)ᵀ [W₂ ∘ (W₁W₃)ᵀ] f′(·₁): one product of the size of W₂ instead of d of them.
        """
        if len(self.hidden) != 1 or not self.inputs.is_identity:
            s, columns = self.pushforward_shifted(x, k, directions(x), shift)
            return s, trace(columns)
        first, middle = self._first_weights()[0], cast(nn.Linear, self.hidden[0])
        h, slope = self._with_slope(F.linear(x, first) + shift)
        h, slope_2 = self._with_slope(middle(h))
        loops = middle.weight * (first @ self.last.weight).T
        divergence = (F.linear(slope, loops) * slope_2).sum(1)
        return self._scaled(self.last(h), x, k), self._scaled(divergence, divergence, k)

    def _with_slope(self, a: Tensor) -> Tensor:
        """f(a) and f′(a), ``(2, B, H)``."""
        return self.activation.dual(torch.stack([a, torch.ones_like(a)]))

    def _first_weights(self) -> tuple[Tensor, ...]:
        return self.first.weight.split([self.inputs.size, self.embedding.size], 1)

    def _scaled(self, raw: Tensor, x: Tensor, k: Tensor) -> Tensor:
        if self.resolution is None:
            return raw
        return raw / along(self.schedule.variance(k, self.resolution).sqrt(), x)


def _layer(layer: nn.Module, z: Tensor) -> Tensor:
    linear = cast(nn.Linear, layer)  # a ModuleList forgets what it holds
    return _affine(z, linear.weight, linear.bias)


def _affine(z: Tensor, weight: Tensor, shift: Tensor) -> Tensor:
    """A layer on a value and its tangents ``(1 + n, B, inputs)``: shifts are not for tangents."""
    product = F.linear(z, weight)
    product[0] += shift
    return product
