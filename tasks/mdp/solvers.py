# ruff: noqa: N806  capitals are the symbols of the formulas
"""Solvers of a decision process, each a class with its options and its iterations.

`solution.solve` stops them, with the same certificate for all. They see the process through its
`bellman.BellmanOperators`; an own one derives from `Solver`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elbolab.checks import check_at_least_one, check_in
from tasks.arrays import Floats, Ints
from tasks.mdp.bellman import BellmanOperators

__all__ = [
    "GaussSeidel",
    "Iterate",
    "LinearProgramming",
    "ModifiedPolicyIteration",
    "PolicyIteration",
    "Prioritised",
    "Solver",
    "ValueIteration",
]

ENOUGH = 0.1
"""Sweeps of modified policy iteration end when the spread of their changes is this share of the
improvement's."""


@dataclass(frozen=True)
class Iterate:
    """Where a solver is after one iteration.

    Attributes:
        v: Values ``(S,)``.
        policy: Actions ``(S,)``.
        residual: ε with ‖v − v_*‖ ≤ ε H, where H is `certificate.horizon`.
        backups: Backups of one state so far, over all of its actions.
    """

    v: Floats
    policy: Ints
    residual: float
    backups: int


@dataclass(frozen=True, kw_only=True)
class Solver(ABC):
    """A way to v_*, from v_0 = 0.

    Attributes:
        tolerance: Iterations end when ‖v − v_*‖∞ is certified to be at most this, or when
            rounding allows nothing better.
        max_iterations: Iterations after which they end all the same; the bound stays true.
    """

    tolerance: float = 1e-10
    max_iterations: int = 1_000_000

    def __post_init__(self) -> None:
        check_in("(0, inf)", **{"solver.tolerance": self.tolerance})
        check_at_least_one(**{"solver.max_iterations": self.max_iterations})

    @abstractmethod
    def iterates(self, bellman: BellmanOperators, goal: float = 0.0) -> Iterator[Iterate]:
        """Goes on for ever, from the start; no array of an iterate changes later.

        Args:
            bellman: The operators of what to solve.
            goal: The residual that is wanted, for solvers whose work depends on it.
        """


class ValueIteration(Solver):
    """v ← Tv, all states at once; stops when ‖v_{k+1} − v_k‖ ≤ tolerance (1 − γ)/γ."""

    def iterates(self, bellman: BellmanOperators, goal: float = 0.0) -> Iterator[Iterate]:
        v, policy = _nothing_known(bellman)
        backups = 0
        yield Iterate(v, policy, np.inf, backups)
        while True:
            Tv, policy = np.empty_like(v), policy.copy()
            low, high = bellman.improve(v, policy, Tv)
            v, backups = Tv, backups + bellman.S
            yield Iterate(v, policy, bellman.gamma * max(high, -low), backups)


class GaussSeidel(Solver):
    """v(s) ← (Tv)(s) in place, one state after the other."""

    def iterates(self, bellman: BellmanOperators, goal: float = 0.0) -> Iterator[Iterate]:
        v, policy = _nothing_known(bellman)
        backups = 0
        yield Iterate(v, policy, np.inf, backups)
        while True:
            v, policy = v.copy(), policy.copy()
            change = bellman.improve_in_place(v, policy)
            backups += bellman.S
            yield Iterate(v, policy, bellman.gamma * change, backups)


class Prioritised(Solver):
    """Always the state whose value is most out of date; an iteration is S such backups."""

    def iterates(self, bellman: BellmanOperators, goal: float = 0.0) -> Iterator[Iterate]:
        v, policy = _nothing_known(bellman)
        backups, sweep = 0, bellman.prioritised(goal)
        yield Iterate(v, policy, np.inf, backups)
        while True:
            v, policy = v.copy(), policy.copy()
            count, residual = sweep(v, policy)
            backups += count
            yield Iterate(v, policy, residual, backups)


@dataclass(frozen=True, kw_only=True)
class PolicyIteration(Solver):
    """Evaluates a policy, takes the greedy one, and so on.

    Attributes:
        sweeps: Sweeps of evaluation in each iteration, going on from the values before; default:
            exact evaluation by a linear solve.
        warm_up: Backups of value iteration that choose the first policy; with none it takes the
            first action everywhere.
    """

    sweeps: int | None = None
    warm_up: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_in("[0, inf)", **{"solver.warm_up": self.warm_up})
        check_in("[1, inf)", **{"solver.sweeps": self.sweeps})

    def iterates(self, bellman: BellmanOperators, goal: float = 0.0) -> Iterator[Iterate]:
        v, policy = _nothing_known(bellman)
        Tv, backups = np.empty_like(v), self.warm_up * bellman.S
        for _ in range(self.warm_up):
            bellman.improve(v, policy, Tv)
            v, Tv = Tv, v
        yield Iterate(v, policy, np.inf, backups)
        while True:
            v = self._evaluate(bellman, policy, v)
            Tv, policy = np.empty_like(v), policy.copy()
            low, high = bellman.improve(v, policy, Tv, slack=bellman.rounding(v))
            backups += bellman.S
            yield Iterate(v, policy, max(high, -low), backups)

    def _evaluate(self, bellman: BellmanOperators, policy: Ints, v: Floats) -> Floats:
        if self.sweeps is None:
            return bellman.evaluate(policy)
        v, other, sweep = v.copy(), v.copy(), bellman.sweep_of(policy)
        for _ in range(self.sweeps):
            sweep(v, other)
            v, other = other, v
        return v


@dataclass(frozen=True, kw_only=True)
class ModifiedPolicyIteration(Solver):
    """Value iteration with sweeps of evaluation between; the fastest for many states.

    For δ = Tv − v and rows that sum to 1, MacQueen's bounds are γ/(1 − γ) min δ ≤ v_* − Tv ≤
    γ/(1 − γ) max δ. So Tv and the middle of both is off by half their distance at most. A terminal
    state breaks this, since its value stays 0: then nothing is added. Sweeps end early when they
    change values by little more than a constant.

    Attributes:
        sweeps: Most sweeps of evaluation after each improvement.
    """

    sweeps: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        check_in("[0, inf)", **{"solver.sweeps": self.sweeps})

    def iterates(self, bellman: BellmanOperators, goal: float = 0.0) -> Iterator[Iterate]:
        v, policy = _nothing_known(bellman)
        backups, gamma = 0, bellman.gamma
        yield Iterate(v, policy, np.inf, backups)
        while True:
            Tv, policy = np.empty_like(v), policy.copy()
            middle, spread = _middle(bellman, *bellman.improve(v, policy, Tv))
            v, backups = Tv, backups + bellman.S
            if middle:
                v += gamma / (1 - gamma) * middle
            yield Iterate(v, policy, gamma * spread, backups)
            v = self._evaluate(bellman, policy, v, max(ENOUGH * spread, goal / 2))

    def _evaluate(self, bellman: BellmanOperators, policy: Ints, v: Floats, least: float) -> Floats:
        """Sweeps until they change little but a constant."""
        v, other, sweep = v.copy(), np.empty_like(v), bellman.sweep_of(policy)
        for _ in range(self.sweeps):
            change = sweep(v, other)
            v, other = other, v
            if _middle(bellman, *change)[1] <= least:
                break
        return v


class LinearProgramming(Solver):
    """min Σ v(s) subject to v(s) ≥ q(s, a) for all s and a, then v_π of the actions it names.

    The programme is solved to the tolerance of its solver, the vertex then to rounding.
    """

    def iterates(self, bellman: BellmanOperators, goal: float = 0.0) -> Iterator[Iterate]:
        v, policy = _nothing_known(bellman)
        yield Iterate(v, policy, np.inf, 0)
        while True:
            Tv, policy = np.empty_like(v), np.zeros_like(policy)
            bellman.improve(bellman.programme(), policy, Tv)
            v = bellman.evaluate(policy)
            low, high = bellman.improve(v, policy, Tv, slack=bellman.rounding(v))
            yield Iterate(v, policy, max(high, -low), bellman.S)


def _nothing_known(bellman: BellmanOperators) -> tuple[Floats, Ints]:
    """v = 0 and the first action everywhere."""
    return np.zeros(bellman.S), np.zeros(bellman.S, dtype=np.int64)


def _middle(bellman: BellmanOperators, low: float, high: float) -> tuple[float, float]:
    """What to add to all values in units of γ/(1 − γ), and the most that is left."""
    shifts = bellman.gamma < 1 and not bellman.ends
    middle = (low + high) / 2 if shifts else 0.0
    return middle, max(high - middle, middle - low)
