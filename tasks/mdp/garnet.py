# ruff: noqa: N806  capitals are the symbols of the formulas
"""Random sparse processes (Garnets): every state and action leads to a few random states."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from elbolab.errors import UserError

if TYPE_CHECKING:
    from numpy.random import Generator

    from tasks.mdp.model import MDP

__all__ = ["Garnet", "random_mdp"]


@dataclass(frozen=True)
class Garnet:
    """Size of a random process.

    Attributes:
        states: S.
        actions: A.
        branching: Successors drawn for each state and action; two draws may be the same.
    """

    states: int = 1000
    actions: int = 4
    branching: int = 5

    def __post_init__(self) -> None:
        for name in ("states", "actions", "branching"):
            if getattr(self, name) < 1:
                raise UserError(f"garnet.{name} must be at least 1, got {getattr(self, name)}.")


def random_mdp(size: Garnet, gamma: float, generator: "Generator") -> "MDP":
    """Successors uniform, probabilities exponential and normalised, rewards standard normal."""
    import numpy as np
    from scipy import sparse

    from tasks.mdp.model import MDP

    pairs, b = size.states * size.actions, size.branching
    p = generator.standard_exponential((pairs, b))
    p /= p.sum(axis=1, keepdims=True)
    indices = generator.integers(0, size.states, pairs * b, dtype=np.int32)
    indptr = np.arange(0, pairs * b + 1, b, dtype=np.int32)
    P = sparse.csr_array((p.ravel(), indices, indptr), shape=(pairs, size.states))
    P.sum_duplicates()
    return MDP(P, generator.standard_normal((size.states, size.actions)), gamma)
