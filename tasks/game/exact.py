# ruff: noqa: N803  capitals are the symbols of the formulas
"""Solutions of matrix games in exact arithmetic: the value, and every optimal strategy's range.

A payoff counts as the decimal number that it prints as, so that 0.1 is a tenth. With M > 0, the
column player's optimal strategies are y = q/Σq for the q that solve

    max Σ_j q_j  subject to  M q ≤ 1, q ≥ 0,    and the value is 1/Σq.

The simplex method works on integers over one denominator, the last pivot (Edmonds, 1967; Azulay
and Pique, 2001); where a step changes nothing it takes the first column that may enter (Bland,
1977), and so comes to an end.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from tasks.arrays import Floats

__all__ = ["OptimalStrategies", "optimal_strategies"]


@dataclass(frozen=True)
class OptimalStrategies:
    """All optimal strategies of one player, by their ranges.

    Attributes:
        value: What the player who minimises pays.
        strategy: One of them, a vertex.
        lowest: Smallest probability of each action over all of them.
        highest: Largest.
    """

    value: Fraction
    strategy: list[Fraction]
    lowest: list[Fraction]
    highest: list[Fraction]

    @property
    def width(self) -> Fraction:
        """The largest range of a probability: 0 if and only if there is one strategy."""
        return max(high - low for low, high in zip(self.lowest, self.highest, strict=True))


def optimal_strategies(M: Floats) -> OptimalStrategies:
    """Optimal strategies of the player who chooses a column and pays M[i, j].

    Args:
        M: Payoffs to the row player ``(m, n)``; give −Mᵀ for the row player's strategies.
    """
    payoffs = [[Fraction(repr(value)) for value in row] for row in M.tolist()]
    shift = 1 - min(map(min, payoffs))
    shifted = [[value + shift for value in row] for row in payoffs]
    unit = math.lcm(*(value.denominator for row in shifted for value in row))
    table = _Tableau([[int(value * unit) for value in row] for row in shifted])
    table.maximise()
    table.keep_optimal()
    # The programme's q is 1/unit of the one above, and its bound 1 the same.
    total = sum(table.solution(), Fraction(0))
    ranges = [table.range_of(j) for j in range(M.shape[1])]
    return OptimalStrategies(
        1 / total / unit - shift,
        [q / total for q in table.solution()],
        [low / total for low, _ in ranges],
        [high / total for _, high in ranges],
    )


class _Tableau:
    """Maximises c·q subject to A q ≤ 1, q ≥ 0, c = 1 at first; A of integers above 0.

    Variables 0 … n−1 are q, n … n+m−1 the slacks. ``rows[i]`` is basic variable ``basic[i]`` in
    terms of the ``free`` ones, its last entry the value; ``costs`` is the objective's row. All
    entries are over the denominator ``D``.
    """

    def __init__(self, A: list[list[int]]) -> None:
        self.n, self.D = len(A[0]), 1
        self.rows = [[*row, 1] for row in A]
        self.costs = [-1] * self.n + [0]
        self.free = list(range(self.n))
        self.basic = [self.n + i for i in range(len(A))]

    def copy(self) -> "_Tableau":
        other = _Tableau([[0] * self.n])
        other.n, other.D = self.n, self.D
        other.rows, other.costs = [list(row) for row in self.rows], list(self.costs)
        other.free, other.basic = list(self.free), list(self.basic)
        return other

    def solution(self) -> list[Fraction]:
        """The values of q at the present vertex."""
        q = [Fraction(0)] * self.n
        for variable, row in zip(self.basic, self.rows, strict=True):
            if variable < self.n:
                q[variable] = Fraction(row[-1], self.D)
        return q

    def maximise(self) -> None:
        """Goes to a vertex at which no column improves the objective."""
        stalled = False
        while entering := [j for j, cost in enumerate(self.costs[:-1]) if cost < 0]:
            order = self.free.__getitem__ if stalled else self.costs.__getitem__
            column = min(entering, key=order)
            limits = [
                (Fraction(row[-1], row[column]), self.basic[i], i)
                for i, row in enumerate(self.rows)
                if row[column] > 0
            ]
            step, _, leaving = min(limits)  # M > 0: some row always limits the step
            stalled = step == 0
            self._pivot(leaving, column)

    def _pivot(self, r: int, s: int) -> None:
        pivot_row, pivot = self.rows[r], self.rows[r][s]
        for row in (*self.rows[:r], *self.rows[r + 1 :], self.costs):
            factor = row[s]
            row[:] = [
                (value * pivot - factor * other) // self.D
                for value, other in zip(row, pivot_row, strict=True)
            ]
            row[s] = -factor
        pivot_row[s], self.D = self.D, pivot
        self.basic[r], self.free[s] = self.free[s], self.basic[r]

    def keep_optimal(self) -> None:
        """Leaves only the optimal points: a column that costs something is 0 at all of them."""
        kept = [j for j, cost in enumerate(self.costs[:-1]) if cost == 0]
        self.free = [self.free[j] for j in kept]
        for row in (*self.rows, self.costs):
            row[:] = [*(row[j] for j in kept), row[-1]]

    def range_of(self, variable: int) -> tuple[Fraction, Fraction]:
        """Smallest and largest value of one q over the points that are left."""
        low, high = (self._extreme(variable, sign) for sign in (-1, 1))
        return low, high

    def _extreme(self, variable: int, sign: int) -> Fraction:
        if variable not in self.basic and variable not in self.free:
            return Fraction(0)
        other = self.copy()
        if variable in other.free:
            place = other.free.index(variable)
            other.costs = [-sign * other.D * (j == place) for j in range(len(other.free) + 1)]
        else:
            other.costs = [sign * x for x in other.rows[other.basic.index(variable)]]
        other.maximise()
        return other.solution()[variable]
