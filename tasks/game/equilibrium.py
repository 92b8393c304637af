# ruff: noqa: N803  capitals are the symbols of the formulas
"""The solution of a zero-sum game: exact for up to 1,600 payoffs, by linear programmes for more."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from tasks.arrays import Floats
from tasks.game.exact import OptimalStrategies, optimal_strategies

__all__ = ["Equilibrium", "optimal_range", "solve_exactly", "solve_game", "solve_programmes"]

EXACT = 1600
"""Payoffs up to which games are solved in fractions: seconds for 40 × 40 of sixteen digits."""

HIGHS_OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}

FACE = 1e-10
"""How far below the value a strategy still counts as optimal, in units of the payoffs' range."""

StrategyRange = tuple[Floats, Floats]
"""Smallest and largest probability of each action over all optimal strategies."""


@dataclass(frozen=True)
class Equilibrium:
    """Optimal strategies of both players.

    Attributes:
        x: The row player's ``(m,)``.
        y: The column player's ``(n,)``.
        x_range: Of all of the row player's.
        y_range: Of all of the column player's.
        value: To the row player.
        gap: Between what y concedes and what x enforces; the value is known to half of it.
        unique: Whether each player has one optimal strategy; None where fractions were not used,
            since no rounded arithmetic can tell one from several that are close.
    """

    x: Floats
    y: Floats
    x_range: StrategyRange
    y_range: StrategyRange
    value: float
    gap: float
    unique: bool | None


def solve_game(M: Floats) -> Equilibrium:
    """Solves the game, exactly where it is not too large.

    Args:
        M: Payoffs to the row player ``(m, n)``.
    """
    return solve_exactly(M) if M.size <= EXACT else solve_programmes(M)


def solve_exactly(M: Floats) -> Equilibrium:
    """Solves the game in fractions, which are rounded at the end.

    Args:
        M: Payoffs to the row player ``(m, n)``, each the decimal number that it prints as.
    """
    row, column = optimal_strategies(-M.T), optimal_strategies(M)
    x, y = np.array(row.strategy, dtype=float), np.array(column.strategy, dtype=float)
    low, high = _guarantees(M, x, y)
    unique = row.width == column.width == 0
    return Equilibrium(x, y, _range(row), _range(column), float(column.value), high - low, unique)


def _range(strategies: OptimalStrategies) -> StrategyRange:
    return np.array(strategies.lowest, dtype=float), np.array(strategies.highest, dtype=float)


def solve_programmes(M: Floats) -> Equilibrium:
    """Solves the game by one linear programme for each player, and two for each action's range.

    Args:
        M: Payoffs to the row player ``(m, n)``.
    """
    scaled, _, _ = _scaled(M)
    x, y = _optimal(scaled), _optimal(1 - scaled.T)
    low, high = _guarantees(M, x, y)
    x_range, y_range = optimal_range(M, low), optimal_range(-M.T, -high)
    return Equilibrium(x, y, x_range, y_range, (low + high) / 2, high - low, None)


def _guarantees(M: Floats, x: Floats, y: Floats) -> tuple[float, float]:
    """What x enforces, and what y concedes."""
    return float((x @ M).min()), float((M @ y).max())


def optimal_range(M: Floats, guaranteed: float) -> StrategyRange:
    """Smallest and largest probability of each row over all optimal strategies of the row player.

    Two linear programmes for each row, over the face of optimal strategies, widened by what the
    solver may be wrong: ill-conditioned games come out wider than they are.

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


def _scaled(M: Floats) -> tuple[Floats, float, float]:
    """Payoffs in [0, 1], and the offset and range that lead back; strategies stay the same."""
    spread = float(np.ptp(M)) or 1.0
    return (M - M.min()) / spread, float(M.min()), spread


def _optimal(payoffs: Floats) -> Floats:
    x = _programme(np.append(np.zeros(len(payoffs)), -1.0), payoffs, None)[:-1]
    x = np.maximum(x, 0)
    return x / x.sum()


def _programme(c: Floats, payoffs: Floats, level: float | None) -> Floats:
    """Minimises c·(x, v) over strategies x that earn at least v (or ``level``) in every column."""
    m, n = payoffs.shape
    solved = linprog(
        c,
        A_ub=np.hstack([-payoffs.T, np.ones((n, 1))]),
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(m), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, 1)] * m + [(None, None) if level is None else (level, level)],
        method="highs",
        options=HIGHS_OPTIONS,
    )
    if solved.status != 0:
        raise RuntimeError(f"linear programme: {solved.message}")
    return solved.x
