# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""Linear solves with I − γ P, and with them exact values and policy gradients.

J(θ) = Σ_s d(s) v_π(s), with d the distribution of the first state and π(a | s) ∝ exp θ[s, a]. η(s)
is the expected discounted number of visits, η = d + γ P_πᵀ η, and with it the policy-gradient
theorem is an equality: ∇J = Σ_s η(s) Σ_a q_π(s, a) ∇π(a | s).
"""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from tasks.arrays import Floats, Ints
from tasks.mdp.backups import q_values
from tasks.mdp.model import MDP
from tasks.mdp.policy_gradient import policy_of

__all__ = [
    "complex_step",
    "evaluate_exactly",
    "objective",
    "policy_value",
    "solve_linear",
    "theorem_gradient",
    "visits",
]

NO_PIVOTS: Any = {
    "permc_spec": "MMD_AT_PLUS_A",
    "diag_pivot_thresh": 0.0,
    "options": {"SymmetricMode": True},
}
"""The diagonal of I − γ P dominates: without pivots a solve is exact enough, and fills in less."""


STEP = 1e-100
"""Of the complex step: its square vanishes, so that no difference is ever taken."""


def solve_linear(P: Any, gamma: float, r: Floats, transposed: bool = False) -> Floats:
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


def policy_value(mdp: MDP, pi: Floats) -> Floats:
    """v_π ``(S,)`` of a stochastic policy π(a | s), ``(S, A)``."""
    P, r = mdp.under(pi)
    return solve_linear(P, mdp.gamma, r)


def evaluate_exactly(mdp: MDP, policy: Ints) -> Floats:
    """v_π ``(S,)`` of a deterministic policy."""
    rows = mdp.rows(policy)
    return solve_linear(mdp.P[rows], mdp.gamma, mdp.R.ravel()[rows])


def objective(mdp: MDP, theta: Floats) -> float:
    """J(θ), by a linear solve."""
    return float(mdp.start @ policy_value(mdp, policy_of(theta)))


def visits(mdp: MDP, pi: Floats) -> Floats:
    """η(s) ``(S,)``; terminal states count their arrivals."""
    P, _ = mdp.under(pi)
    return solve_linear(P, mdp.gamma, mdp.start, transposed=True)


def theorem_gradient(mdp: MDP, pi: Floats) -> Floats:
    """∇J ``(S, A)`` at the policy π by the theorem: η(s) π(a | s)(q_π(s, a) − v_π(s))."""
    v = policy_value(mdp, pi)
    return visits(mdp, pi)[:, None] * pi * (q_values(mdp, v) - v[:, None])


def complex_step(mdp: MDP, theta: Floats, direction: Floats) -> float:
    """The derivative of J at θ along ``direction``, without the theorem: Im J(θ + i h u)/h.

    The linear solve itself is differentiated; exact to rounding, since h may be tiny.
    """
    powers = np.exp(theta - theta.max(axis=1, keepdims=True) + 1j * STEP * direction)
    pi = powers / powers.sum(axis=1, keepdims=True)
    P, _ = mdp.under(pi.real)
    change, r = mdp.under(pi.imag / STEP)
    v = policy_value(mdp, pi.real)
    derivative = solve_linear(P, mdp.gamma, r + mdp.gamma * (change @ v))
    return float(mdp.start @ derivative)
