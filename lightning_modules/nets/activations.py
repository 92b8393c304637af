"""Activations that carry derivatives forward with their value."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

__all__ = ["Activation", "ReLU", "SiLU"]


class Activation(nn.Module, ABC):
    """An elementwise function f."""

    @abstractmethod
    def forward(self, a: Tensor) -> Tensor:
        """f(a)."""

    @abstractmethod
    def dual(self, z: Tensor) -> Tensor:
        """f and its differential: ``[a, ȧ_1, …, ȧ_n]`` → ``[f(a), f′(a) ȧ_1, …, f′(a) ȧ_n]``.

        Args:
            z: A value and n tangents, ``(1 + n, *shape)``; gradients flow through all of them.
        """


class SiLU(Activation):
    """f(a) = a σ(a), smooth."""

    def forward(self, a: Tensor) -> Tensor:
        return nn.functional.silu(a)

    def dual(self, z: Tensor) -> Tensor:
        return _DualSiLU.apply(z)


class ReLU(Activation):
    """f(a) = max(a, 0): here to show that it fails.

    Its slope does not depend on a but for jumps, so that the gradient of a divergence misses how
    the kinks move, and training has no reason to move them.
    """

    def forward(self, a: Tensor) -> Tensor:
        return a.relu()

    def dual(self, z: Tensor) -> Tensor:
        return z * (z[:1] > 0).to(z.dtype)


class _DualSiLU(Function):
    """`SiLU.dual` in the fewest passes over memory: autograd's own would take twice as long.

    With g = σ(a) and v = a g the slope is f′ = g + v (1 − g), and f″ = (1 − g)(g (1 − v) + f′).
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        gate = z[0].sigmoid()
        out = torch.empty_like(z)
        torch.mul(z[0], gate, out=out[0])
        slope = torch.addcmul(out[0], gate, 1 - out[0])
        torch.mul(z[1:], slope, out=out[1:])
        ctx.save_for_backward(z, gate, slope)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,), (z, gate, slope) = gradients, ctx.saved_tensors
        curvature = torch.addcmul(slope, gate, 1 - z[0] * gate).mul_(1 - gate)
        out = gradient * slope
        bend = (gradient[1:] * z[1:]).sum(0)
        out[0].addcmul_(bend, curvature)
        return out
