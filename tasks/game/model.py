# ruff: noqa: N803  capitals are the symbols of the formulas
"""A zero-sum game: M[i, j] is what the column player pays the row player.

x and y are the players' mixed strategies; the row player makes min_j (xᵀM)_j as large as it can,
the column player max_i (M y)_i as small as it can, and both meet in the value.
"""

from dataclasses import dataclass

import numpy as np

from tasks.arrays import Floats

__all__ = ["ROCK_PAPER_SCISSORS", "Game", "exploitability"]

ROCK_PAPER_SCISSORS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
"""Each beats the one before it, and the first beats the last: rock, paper, scissors."""


@dataclass(frozen=True)
class Game:
    """A matrix and the names of its actions.

    Attributes:
        M: Payoffs to the row player ``(m, n)``.
        rows: Names of its actions.
        columns: Names of the column player's.
    """

    M: Floats
    rows: list[str]
    columns: list[str]


def exploitability(M: Floats, x: Floats, y: Floats) -> Floats:
    """max_i (M y)_i − min_j (xᵀM)_j ≥ 0, and 0 at an equilibrium; x ``(…, m)``, y ``(…, n)``."""
    return (y @ M.T).max(axis=-1) - (x @ M).min(axis=-1)
