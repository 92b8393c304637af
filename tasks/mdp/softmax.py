# ruff: noqa: N806  capitals are the symbols of the formulas
"""Exact policy gradients of a tabular softmax policy, π(a | s) ∝ exp θ[s, a].

J(θ) = Σ_s d(s) v_π(s), with d the distribution of the first state. η(s) is the expected discounted
number of visits, η = d + γ P_πᵀ η, and with it the policy-gradient theorem is an equality:
∇J = Σ_s η(s) Σ_a q_π(s, a) ∇π(a | s).
"""

import numpy as np
from scipy.special import softmax

from tasks.mdp.backups import q_values
from tasks.mdp.exact import policy_value, solve_linear
from tasks.mdp.model import MDP, Array

__all__ = [
    "complex_step",
    "fisher",
    "natural_direction",
    "objective",
    "policy_of",
    "theorem_gradient",
    "visits",
]

STEP = 1e-100
"""Of the complex step: its square vanishes, so that no difference is ever taken."""


def policy_of(theta: Array) -> Array:
    """π(a | s) of preferences ``(…, S, A)``."""
    return np.asarray(softmax(theta, axis=-1), dtype=float)


def objective(mdp: MDP, theta: Array) -> float:
    """J(θ), by a linear solve."""
    return float(mdp.start @ policy_value(mdp, policy_of(theta)))


def visits(mdp: MDP, pi: Array) -> Array:
    """η(s) ``(S,)``; terminal states count their arrivals."""
    P, _ = mdp.under(pi)
    return solve_linear(P, mdp.gamma, mdp.start, transposed=True)


def theorem_gradient(mdp: MDP, pi: Array) -> Array:
    """∇J ``(S, A)`` at the policy π by the theorem: η(s) π(a | s)(q_π(s, a) − v_π(s))."""
    v = policy_value(mdp, pi)
    return visits(mdp, pi)[:, None] * pi * (q_values(mdp, v) - v[:, None])


def complex_step(mdp: MDP, theta: Array, direction: Array) -> float:
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


def fisher(pi: Array, eta: Array) -> Array:
    """Fisher information of each state's preferences ``(…, S, A, A)``: η (diag π − π πᵀ)."""
    identity = np.eye(pi.shape[-1])
    blocks = pi[..., None] * identity - pi[..., :, None] * pi[..., None, :]
    return eta[..., None, None] * blocks


def natural_direction(gradient: Array, pi: Array, eta: Array, damping: float) -> Array:
    """(F + damping I)⁻¹ ∇J, state by state; all of shape ``(…, S, A)`` but η ``(…, S)``."""
    matrix = fisher(pi, eta) + damping * np.eye(pi.shape[-1])
    return np.asarray(np.linalg.solve(matrix, gradient[..., None])[..., 0], dtype=float)
