# ruff: noqa: N806  capitals are the symbols of the formulas
"""Solvers of a decision process: one interface, and the same certificate for all.

Options of the command, whose help waits for this module: algorithms are imported where they run.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from elbolab.errors import UserError

if TYPE_CHECKING:
    from tasks.mdp.model import MDP, Array, Policy

__all__ = [
    "GaussSeidel",
    "Iterate",
    "LinearProgramming",
    "ModifiedPolicyIteration",
    "PolicyIteration",
    "Prioritised",
    "Solution",
    "Solver",
    "ValueIteration",
]


@dataclass(frozen=True)
class Iterate:
    """Where a solver is after one iteration.

    Attributes:
        v: Values ``(S,)``.
        policy: Actions ``(S,)``.
        residual: ε with ‖v − v_*‖ ≤ ε H, where H is `certificate.horizon`.
        backups: Backups of one state so far, over all of its actions.
    """

    v: "Array"
    policy: "Policy"
    residual: float
    backups: int


@dataclass(frozen=True)
class Solution:
    """What a solver found.

    Attributes:
        v: Values ``(S,)``.
        policy: Greedy actions ``(S,)``.
        bound: Certified: ‖v − v_*‖∞ is not larger, rounding included.
        iterations: How often the solver iterated.
        backups: Backups of one state, over all of its actions.
        converged: Whether it stopped by its rule and not at ``max_iterations``.
        residuals: ε of each iterate, from the start; ε H bounds its error.
        iterates: All of them, the start first, if they were kept.
    """

    v: "Array"
    policy: "Policy"
    bound: float
    iterations: int
    backups: int
    converged: bool
    residuals: list[float]
    iterates: list[Iterate] = field(default_factory=list)


class Solver(ABC):
    """A way to v_*, from v_0 = 0.

    Args:
        tolerance: Iterations end when ‖v − v_*‖∞ is certified to be at most this, or when
            rounding allows nothing better.
        max_iterations: Iterations after which they end all the same; the bound stays true.
    """

    def __init__(self, tolerance: float = 1e-10, max_iterations: int = 1_000_000) -> None:
        if not tolerance > 0:
            raise UserError(f"solver.tolerance must be positive, got {tolerance}.")
        if max_iterations < 1:
            raise UserError(f"solver.max_iterations must be at least 1, got {max_iterations}.")
        self.tolerance, self.max_iterations = tolerance, max_iterations

    @abstractmethod
    def iterates(self, mdp: "MDP", goal: float = 0.0) -> Iterator[Iterate]:
        """Goes on for ever, from the start; no array of an iterate changes later.

        Args:
            mdp: What to solve.
            goal: The residual that is wanted, for solvers whose work depends on it.
        """

    def solve(self, mdp: "MDP", keep: bool = False) -> Solution:
        """Iterates until the tolerance is met, and certifies what was found.

        Args:
            mdp: What to solve.
            keep: Keep every iterate.

        Raises:
            UserError: If γ = 1 and some policy never ends.
        """
        from tasks.mdp.certificate import certified_bound, horizon, rounding

        H = horizon(mdp)
        goal = self.tolerance / H

        def done(iterate: Iterate) -> bool:
            return iterate.residual <= max(goal, rounding(mdp, iterate.v))

        iterates = self.iterates(mdp, goal)
        now = next(iterates)
        residuals, kept = [now.residual], [now] * keep
        while not done(now) and len(residuals) <= self.max_iterations:
            now = next(iterates)
            residuals.append(now.residual)
            kept += [now] * keep
        policy, bound = certified_bound(mdp, now.v, H)
        steps = len(residuals) - 1
        return Solution(now.v, policy, bound, steps, now.backups, done(now), residuals, kept)


class ValueIteration(Solver):
    """v ← Tv, all states at once; stops when ‖v_{k+1} − v_k‖ ≤ tolerance (1 − γ)/γ."""

    def iterates(self, mdp: "MDP", goal: float = 0.0) -> Iterator[Iterate]:
        import numpy as np

        from tasks.mdp.backups import improve, row_arrays

        v, policy = np.zeros(mdp.S), np.zeros(mdp.S, dtype=np.int64)
        backups, arrays = 0, row_arrays(mdp)
        yield Iterate(v, policy, np.inf, backups)
        while True:
            Tv, policy = np.empty_like(v), policy.copy()
            low, high = improve(*arrays, mdp.R, mdp.gamma, v, policy, 0.0, Tv)
            v, backups = Tv, backups + mdp.S
            yield Iterate(v, policy, mdp.gamma * max(high, -low), backups)


class GaussSeidel(Solver):
    """v(s) ← (Tv)(s) in place, one state after the other."""

    def iterates(self, mdp: "MDP", goal: float = 0.0) -> Iterator[Iterate]:
        import numpy as np

        from tasks.mdp.backups import gauss_seidel, row_arrays

        v, policy = np.zeros(mdp.S), np.zeros(mdp.S, dtype=np.int64)
        backups, arrays = 0, row_arrays(mdp)
        yield Iterate(v, policy, np.inf, backups)
        while True:
            v, policy = v.copy(), policy.copy()
            change = gauss_seidel(*arrays, mdp.R, mdp.gamma, v, policy)
            backups += mdp.S
            yield Iterate(v, policy, mdp.gamma * change, backups)


class Prioritised(Solver):
    """Always the state whose value is most out of date; an iteration is S such backups."""

    def iterates(self, mdp: "MDP", goal: float = 0.0) -> Iterator[Iterate]:
        import numpy as np

        from tasks.mdp.backups import row_arrays
        from tasks.mdp.prioritised import predecessors, prioritised_sweep

        v, policy = np.zeros(mdp.S), np.zeros(mdp.S, dtype=np.int64)
        priority = np.abs(mdp.R.max(axis=1))
        order = np.argsort(-priority)
        heap = priority, order, np.argsort(order)
        backups, arrays, before = 0, row_arrays(mdp), predecessors(mdp)
        yield Iterate(v, policy, np.inf, backups)
        while True:
            v, policy = v.copy(), policy.copy()
            count, residual = prioritised_sweep(
                *arrays, mdp.R, mdp.gamma, v, policy, before, heap, goal
            )
            backups += count
            yield Iterate(v, policy, residual, backups)


class PolicyIteration(Solver):
    """Evaluates a policy, takes the greedy one, and so on.

    Args:
        sweeps: Sweeps of evaluation in each iteration, going on from the values before; default:
            exact evaluation by a linear solve.
        warm_up: Backups of value iteration that choose the first policy; with none it takes the
            first action everywhere.
        tolerance: Iterations end when ‖v − v_*‖∞ is certified to be at most this, or when
            rounding allows nothing better.
        max_iterations: Iterations after which they end all the same; the bound stays true.
    """

    def __init__(
        self,
        sweeps: int | None = None,
        warm_up: int = 0,
        tolerance: float = 1e-10,
        max_iterations: int = 1_000_000,
    ) -> None:
        super().__init__(tolerance, max_iterations)
        if warm_up < 0:
            raise UserError(f"solver.warm_up must not be negative, got {warm_up}.")
        self.warm_up = warm_up
        if sweeps is not None and sweeps < 1:
            raise UserError(f"solver.sweeps must be at least 1, got {sweeps}.")
        self.sweeps = sweeps

    def iterates(self, mdp: "MDP", goal: float = 0.0) -> Iterator[Iterate]:
        import numpy as np

        from tasks.mdp.backups import improve, row_arrays
        from tasks.mdp.certificate import rounding

        v, policy, Tv = np.zeros(mdp.S), np.zeros(mdp.S, dtype=np.int64), np.empty(mdp.S)
        backups, arrays = self.warm_up * mdp.S, row_arrays(mdp)
        for _ in range(self.warm_up):
            improve(*arrays, mdp.R, mdp.gamma, v, policy, 0.0, Tv)
            v, Tv = Tv, v
        yield Iterate(v, policy, np.inf, backups)
        while True:
            v = self._evaluate(mdp, policy, v)
            Tv, policy = np.empty_like(v), policy.copy()
            low, high = improve(*arrays, mdp.R, mdp.gamma, v, policy, rounding(mdp, v), Tv)
            backups += mdp.S
            yield Iterate(v, policy, max(high, -low), backups)

    def _evaluate(self, mdp: "MDP", policy: "Policy", v: "Array") -> "Array":
        from tasks.mdp.backups import policy_arrays, sweep
        from tasks.mdp.exact import evaluate_exactly

        if self.sweeps is None:
            return evaluate_exactly(mdp, policy)
        v, other = v.copy(), v.copy()
        taken, r = policy_arrays(mdp, policy), mdp.R.ravel()[mdp.rows(policy)]
        for _ in range(self.sweeps):
            sweep(*taken, r, mdp.gamma, v, other)
            v, other = other, v
        return v


class ModifiedPolicyIteration(Solver):
    """Value iteration with sweeps of evaluation between; the fastest for many states.

    Where no state is terminal, MacQueen's bounds say how far all values are off together, and the
    middle of them is added. Sweeps end early when they change values by little more than a
    constant.

    Args:
        sweeps: Most sweeps of evaluation after each improvement.
        tolerance: Iterations end when ‖v − v_*‖∞ is certified to be at most this, or when
            rounding allows nothing better.
        max_iterations: Iterations after which they end all the same; the bound stays true.
    """

    def __init__(
        self, sweeps: int = 50, tolerance: float = 1e-10, max_iterations: int = 1_000_000
    ) -> None:
        super().__init__(tolerance, max_iterations)
        if sweeps < 0:
            raise UserError(f"solver.sweeps must not be negative, got {sweeps}.")
        self.sweeps = sweeps

    def iterates(self, mdp: "MDP", goal: float = 0.0) -> Iterator[Iterate]:
        import numpy as np

        from tasks.mdp.modified import ModifiedSteps

        steps = ModifiedSteps(mdp, self.sweeps)
        yield Iterate(steps.v, steps.policy, np.inf, 0)
        while True:
            residual = steps.improve()
            yield Iterate(steps.v, steps.policy, residual, steps.backups)
            steps.evaluate(goal)


class LinearProgramming(Solver):
    """min Σ v(s) subject to v(s) ≥ q(s, a) for all s and a, then v_π of the actions it names."""

    def iterates(self, mdp: "MDP", goal: float = 0.0) -> Iterator[Iterate]:
        import numpy as np

        from tasks.mdp.linear_programme import solve_programme

        v, policy = np.zeros(mdp.S), np.zeros(mdp.S, dtype=np.int64)
        yield Iterate(v, policy, np.inf, 0)
        while True:
            yield solve_programme(mdp)
