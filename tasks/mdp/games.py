# ruff: noqa: N803  capitals are the symbols of the formulas
"""Zero-sum games: M[i, j] is what the column player pays the row player.

x and y are the players' mixed strategies; the row player makes min_j (xᵀM)_j as large as it can,
the column player max_i (M y)_i as small as it can, and both meet in the value.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

__all__ = ["ROCK_PAPER_SCISSORS", "Equilibrium", "exploitability", "optimal_range", "solve_game"]

Array = NDArray[np.float64]

ROCK_PAPER_SCISSORS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
"""Each beats the one before it, and the first beats the last: rock, paper, scissors."""

OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}

FACE = 1e-10
"""How far below the value a strategy still counts as optimal, in units of the payoffs' range."""


@dataclass(frozen=True)
class Equilibrium:
    """Optimal strategies of both players.

    Attributes:
        x: The row player's ``(m,)``.
        y: The column player's ``(n,)``.
        value: Half-way between what each can enforce.
        gap: Between what the one can enforce and what the other concedes; the value is known to
            half of it.
    """

    x: Array
    y: Array
    value: float
    gap: float


def exploitability(M: Array, x: Array, y: Array) -> Array:
    """max_i (M y)_i − min_j (xᵀM)_j ≥ 0, and 0 at an equilibrium; x ``(…, m)``, y ``(…, n)``."""
    return (y @ M.T).max(axis=-1) - (x @ M).min(axis=-1)


def _programme(c: Array, payoffs: Array, level: float | None) -> Array:
    """Minimises c·(x, v) over strategies x that earn at least v (or ``level``) in every column."""
    m, n = payoffs.shape
    bounds = [(0, 1)] * m + [(None, None) if level is None else (level, level)]
    found = linprog(
        c,
        A_ub=np.hstack([-payoffs.T, np.ones((n, 1))]),
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(m), 0.0)[None],
        b_eq=[1.0],
        bounds=bounds,
        method="highs",
        options=OPTIONS,
    )
    if found.status != 0:
        raise RuntimeError(f"linear programme: {found.message}")
    return found.x


def _scaled(M: Array) -> tuple[Array, float, float]:
    """Payoffs in [0, 1], and the offset and range that lead back; strategies stay the same."""
    spread = float(np.ptp(M)) or 1.0
    return (M - M.min()) / spread, float(M.min()), spread


def _optimal(payoffs: Array) -> Array:
    x = _programme(np.append(np.zeros(len(payoffs)), -1.0), payoffs, None)[:-1]
    x = np.maximum(x, 0)
    return x / x.sum()


def solve_game(M: Array) -> Equilibrium:
    """Solves the game by one linear programme for each player.

    Args:
        M: Payoffs to the row player ``(m, n)``.
    """
    scaled, _, _ = _scaled(M)
    x, y = _optimal(scaled), _optimal(1 - scaled.T)
    low, high = float((x @ M).min()), float((M @ y).max())
    return Equilibrium(x, y, (low + high) / 2, high - low)


def optimal_range(M: Array, guaranteed: float) -> tuple[Array, Array]:
    """Smallest and largest probability of each row over all optimal strategies of the row player.

    Two linear programmes for each row, over the face of optimal strategies. The strategy is
    unique if and only if the two agree for all rows, up to rounding.

    Args:
        M: Payoffs to the player ``(m, n)``; give −Mᵀ for the column player.
        guaranteed: What the player can enforce.
    """
    scaled, offset, spread = _scaled(M)
    level, m = (guaranteed - offset) / spread - FACE, len(M)
    unit = np.eye(m + 1)
    low = [_programme(unit[i], scaled, level)[i] for i in range(m)]
    high = [_programme(-unit[i], scaled, level)[i] for i in range(m)]
    return np.array(low), np.array(high)
