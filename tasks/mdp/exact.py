# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""Linear solves with I − γ P, dense or sparse, and values of stochastic policies."""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from tasks.mdp.model import MDP, Array, Policy

__all__ = ["evaluate_exactly", "policy_value", "solve_linear"]

NO_PIVOTS: Any = {
    "permc_spec": "MMD_AT_PLUS_A",
    "diag_pivot_thresh": 0.0,
    "options": {"SymmetricMode": True},
}
"""The diagonal of I − γ P dominates: without pivots a solve is exact enough, and fills in less."""


def solve_linear(P: Any, gamma: float, r: Array, transposed: bool = False) -> Array:
    """The solution x of (I − γ P) x = r, or of (I − γ P)ᵀ x = r.

    Args:
        P: ``(S, S)``, an array or sparse.
        gamma: γ.
        r: Right-hand side ``(S,)``; may be complex where P is dense.
        transposed: Solve with the transpose.
    """
    if not sparse.issparse(P):
        matrix = np.eye(P.shape[0]) - gamma * P
        return np.linalg.solve(matrix.T if transposed else matrix, r)
    matrix = sparse.eye_array(P.shape[0], format="csc") - gamma * P.tocsc()
    return splu(matrix, **NO_PIVOTS).solve(r, trans="T" if transposed else "N")


def policy_value(mdp: MDP, pi: Array) -> Array:
    """v_π ``(S,)`` of a stochastic policy π(a | s), ``(S, A)``."""
    P, r = mdp.under(pi)
    return solve_linear(P, mdp.gamma, r)


def evaluate_exactly(mdp: MDP, policy: Policy) -> Array:
    """v_π ``(S,)`` of a deterministic policy."""
    rows = mdp.rows(policy)
    return solve_linear(mdp.P[rows], mdp.gamma, mdp.R.ravel()[rows])
