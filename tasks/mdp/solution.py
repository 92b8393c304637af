# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""Solves a decision process with any solver, and certifies what comes out."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from elbolab.errors import UserError
from tasks.arrays import Floats, Ints
from tasks.mdp.backups import gauss_seidel, improve, sweep_of
from tasks.mdp.bellman import BellmanOperators, EvaluationSweep, PrioritisedSweep
from tasks.mdp.certificate import certified_bound, horizon, rounding
from tasks.mdp.exact import evaluate_exactly
from tasks.mdp.model import MDP
from tasks.mdp.prioritised import prioritised_sweeps
from tasks.mdp.solvers import Iterate, PolicyIteration, Solver

__all__ = ["CompiledOperators", "Solution", "solve"]

HIGHS_OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}

EXACT = PolicyIteration()


class CompiledOperators(BellmanOperators):
    """The operators of a process, compiled."""

    def __init__(self, mdp: MDP) -> None:
        super().__init__(mdp.R, mdp.gamma, bool(mdp.terminal.any()))
        self._mdp = mdp

    def improve(
        self, v: Floats, policy: Ints, Tv: Floats, slack: float = 0.0
    ) -> tuple[float, float]:
        return improve(self._mdp, v, policy, Tv, slack)

    def improve_in_place(self, v: Floats, policy: Ints) -> float:
        return gauss_seidel(self._mdp, v, policy)

    def prioritised(self, goal: float) -> PrioritisedSweep:
        return prioritised_sweeps(self._mdp, goal)

    def sweep_of(self, policy: Ints) -> EvaluationSweep:
        return sweep_of(self._mdp, policy)

    def evaluate(self, policy: Ints) -> Floats:
        return evaluate_exactly(self._mdp, policy)

    def programme(self) -> Floats:
        mdp = self._mdp
        owner = sparse.csr_array(sparse.kron(sparse.eye_array(mdp.S), np.ones((mdp.A, 1))))
        solved = linprog(
            np.ones(mdp.S),
            A_ub=mdp.gamma * mdp.csr - owner,
            b_ub=-mdp.R.ravel(),
            bounds=(None, None),
            method="highs",
            options=HIGHS_OPTIONS,
        )
        if solved.status != 0:  # a checked process always has an optimum
            raise UserError(
                f"with gamma = {mdp.gamma} the linear programme is beyond its solver: take a "
                "smaller gamma, or --compare false."
            )
        return solved.x

    def rounding(self, v: Floats) -> float:
        return rounding(self._mdp, v)


@dataclass(frozen=True)
class Solution:
    """What a solver arrived at.

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

    v: Floats
    policy: Ints
    bound: float
    iterations: int
    backups: int
    converged: bool
    residuals: list[float]
    iterates: list[Iterate] = field(default_factory=list)


def solve(mdp: MDP, solver: Solver = EXACT, keep: bool = False) -> Solution:
    """Iterates until the tolerance is met, and certifies what came out.

    Args:
        mdp: What to solve.
        solver: How; default: policy iteration with exact evaluation.
        keep: Keep every iterate.

    Raises:
        UserError: If γ = 1 and some policy never ends, or γ < 1 cannot be told from 1.
    """
    H = horizon(mdp)
    goal = solver.tolerance / H

    def done(iterate: Iterate) -> bool:
        return iterate.residual <= max(goal, rounding(mdp, iterate.v))

    iterates = solver.iterates(CompiledOperators(mdp), goal)
    now = next(iterates)
    residuals, kept = [now.residual], [now] * keep
    while not done(now) and len(residuals) <= solver.max_iterations:
        now = next(iterates)
        residuals.append(now.residual)
        kept += [now] * keep
    policy, bound = certified_bound(mdp, now.v, H)
    steps = len(residuals) - 1
    return Solution(now.v, policy, bound, steps, now.backups, done(now), residuals, kept)
