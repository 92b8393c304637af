r"""What a score field is, and how to differentiate one.

A score field maps points x ``(B, d)`` and noise levels k, ``()`` or ``(B,)``, to s(x, k) =
∇_x log p_k(x), ``(B, d)``. Losses need its Jacobian J = ∂s/∂x: the exact trace is one forward-mode
product J e_i per dimension, and all of them share the primal evaluation of the network.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap

__all__ = ["Score", "directions", "trace"]


class Score(nn.Module, ABC):
    """A score field s(x, k). One writes ``forward``; faster derivatives may be written too."""

    @abstractmethod
    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        """s(x, k), ``(B, d)``, at points x ``(B, d)`` and levels k, ``()`` or ``(B,)``."""

    def pushforward(self, x: Tensor, k: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """The score and J v for n directions at once, by forward-mode differentiation.

        Args:
            x: Points, ``(B, d)``.
            k: Levels, ``()`` or ``(B,)``.
            tangents: Directions v, ``(n, B, d)`` or, the same for all points, ``(n, 1, d)``.

        Returns:
            s ``(B, d)`` and J v ``(n, B, d)``.
        """

        def along_one(v: Tensor) -> Any:
            return jvp(lambda x: self(x, k), (x,), (v.expand_as(x),))

        primal_once: Any = (None, 0)  # torch's annotation knows no None within a tuple
        return vmap(along_one, out_dims=primal_once)(tangents)

    def with_trace(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """The score ``(B, d)`` and the trace of its Jacobian, ``(B,)``, exactly."""
        s, columns = self.pushforward(x, k, directions(x))
        return s, trace(columns)


def directions(x: Tensor) -> Tensor:
    """The unit vectors e_1 … e_d of the space of x ``(B, d)``, ``(d, 1, d)``."""
    return torch.eye(x.shape[1], dtype=x.dtype, device=x.device).unsqueeze(1)


def trace(columns: Tensor) -> Tensor:
    """tr J, ``(B,)``, from J e_i ``(d, B, d)``."""
    return columns.diagonal(dim1=0, dim2=2).sum(1)
