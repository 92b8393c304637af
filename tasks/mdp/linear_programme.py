# ruff: noqa: N806  capitals are the symbols of the formulas
"""The linear programme of a decision process."""

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from tasks.mdp.backups import improve, row_arrays
from tasks.mdp.certificate import rounding
from tasks.mdp.exact import evaluate_exactly
from tasks.mdp.model import MDP
from tasks.mdp.solvers import Iterate

__all__ = ["solve_programme"]

OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def solve_programme(mdp: MDP) -> Iterate:
    """The vertex at which Σ v is smallest; its tight constraints name the policy.

    The programme is solved to the tolerance of its solver, the vertex then to rounding.

    Raises:
        RuntimeError: If HiGHS finds no optimum, which a checked process always has.
    """
    owner = sparse.csr_array(sparse.kron(sparse.eye_array(mdp.S), np.ones((mdp.A, 1))))
    found = linprog(
        np.ones(mdp.S),
        A_ub=mdp.gamma * mdp.csr - owner,
        b_ub=-mdp.R.ravel(),
        bounds=(None, None),
        method="highs",
        options=OPTIONS,
    )
    if found.status != 0:
        raise RuntimeError(f"linear programme: {found.message}")
    arrays, Tv = row_arrays(mdp), np.empty(mdp.S)
    policy = np.zeros(mdp.S, dtype=np.int64)
    improve(*arrays, mdp.R, mdp.gamma, found.x, policy, 0.0, Tv)
    v = evaluate_exactly(mdp, policy)
    low, high = improve(*arrays, mdp.R, mdp.gamma, v, policy, rounding(mdp, v), Tv)
    return Iterate(v, policy, max(high, -low), mdp.S)
