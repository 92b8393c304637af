r"""What a score field is, how to differentiate one, and how to combine two of them.

A score field maps points x ``(B, *shape)`` and noise levels k, ``()`` or ``(B,)``, to s(x, k) =
∇_x log p_k(x), ``(B, *shape)``. Samplers ask no more of it than that. Losses and likelihoods need
its Jacobian J = ∂s/∂x too, of d dimensions, the numbers in one point: the exact trace is one
forward-mode product J e_i per dimension, and all of them share the primal evaluation.

Classifier-free guidance says how strongly a sample keeps to its label:

.. math:: s_w(x, k) = (1 + w)\, s(x, k, y) - w\, s(x, k, \varnothing)

Symbols: w ``weight``, at least −1; s(x, k, y) ``labelled``; s(x, k, ∅) ``unlabelled``. w = −1 drops
the label, w = 0 is plain conditional sampling, w > 0 sharpens: s_w is the score of
p_k(x|y) p_k(y|x)^w up to a factor, if the networks are exact.

Source: Ho & Salimans, *Classifier-Free Diffusion Guidance*, 2022, equation 6.
"""

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap

from elbolab.checks import check_in

__all__ = [
    "DifferentiableScore",
    "ScoreField",
    "check_guidance",
    "directions",
    "guided",
    "squared_norm",
    "trace",
]


class ScoreField(Protocol):
    """Anything that gives s(x, k), a plain function for one."""

    def __call__(self, x: Tensor, k: Tensor, /) -> Tensor:
        """s ``(B, *shape)`` at points x ``(B, *shape)`` and levels k, ``()`` or ``(B,)``."""
        ...


class DifferentiableScore(nn.Module, ABC):
    """A score field that knows its derivatives.

    One writes ``forward``; faster derivatives may be written too.
    """

    @abstractmethod
    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        """s ``(B, *shape)`` at points x ``(B, *shape)`` and levels k, ``()`` or ``(B,)``."""

    def pushforward(self, x: Tensor, k: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """The score and J v for n directions at once, by forward-mode differentiation.

        Args:
            x: Points, ``(B, *shape)``.
            k: Levels, ``()`` or ``(B,)``.
            tangents: Directions v, ``(n, B, *shape)`` or, the same for all, ``(n, 1, *shape)``.

        Returns:
            s ``(B, *shape)`` and J v ``(n, B, *shape)``.
        """

        def along_one(v: Tensor) -> Any:
            return jvp(lambda x: self(x, k), (x,), (v.expand_as(x),))

        primal_once: Any = (None, 0)  # torch's annotation knows no None within a tuple
        return vmap(along_one, out_dims=primal_once)(tangents)

    def with_trace(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """The score ``(B, *shape)`` and the trace of its Jacobian, ``(B,)``, exactly."""
        s, columns = self.pushforward(x, k, directions(x))
        return s, trace(columns)


def directions(x: Tensor) -> Tensor:
    """The unit vectors e_1 … e_d of the space of x ``(B, *shape)``, ``(d, 1, *shape)``."""
    d = x[0].numel()
    return torch.eye(d, dtype=x.dtype, device=x.device).view(d, 1, *x.shape[1:])


def trace(columns: Tensor) -> Tensor:
    """tr J, ``(B,)``, from J e_i ``(d, B, *shape)``."""
    return columns.flatten(2).diagonal(dim1=0, dim2=2).sum(1)


def squared_norm(s: Tensor) -> Tensor:
    """‖s‖², ``(B,)``, over all dimensions of s ``(B, *shape)``."""
    return s.square().flatten(1).sum(1)


def check_guidance(weight: float) -> None:
    """Refuses a weight that is no number or below −1.

    Raises:
        UserError: Naming it.
    """
    check_in("[-1, inf)", guidance=weight)


def guided(labelled: ScoreField, unlabelled: ScoreField, weight: float) -> ScoreField:
    """s_w; with w = 0 the labelled score itself, which then costs one evaluation instead of two."""
    check_guidance(weight)
    if weight == 0:
        return labelled

    def combined(x: Tensor, k: Tensor) -> Tensor:
        return (1 + weight) * labelled(x, k) - weight * unlabelled(x, k)

    return combined
