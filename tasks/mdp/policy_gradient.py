# ruff: noqa: N806  capitals are the symbols of the formulas
"""Policy gradients of a tabular softmax policy, estimated from episodes (REINFORCE).

For many policies at once; η(s) is the expected discounted number of visits of a state.
"""

from dataclasses import dataclass

import numpy as np

from elbolab.errors import UserError
from tasks.arrays import Bools, Floats, Ints

__all__ = [
    "Episodes",
    "empirical_visits",
    "estimates",
    "fisher",
    "natural_direction",
    "policy_of",
    "returns",
]


@dataclass(frozen=True)
class Episodes:
    """Steps of many episodes, time first.

    Attributes:
        states: ``(T, K, n)``: n episodes for each of K policies.
        actions: ``(T, K, n)``.
        rewards: ``(T, K, n)``; 0 after the end.
        alive: ``(T, K, n)``: whether the episode was still on.
    """

    states: Ints
    actions: Ints
    rewards: Floats
    alive: Bools


def policy_of(theta: Floats) -> Floats:
    """π(a | s) ∝ exp θ[s, a] of preferences ``(…, S, A)``."""
    powers = np.exp(theta - theta.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def returns(episodes: Episodes, gamma: float) -> Floats:
    """G_t = R_{t+1} + γ G_{t+1}, ``(T, K, n)``."""
    G, following = np.empty_like(episodes.rewards), np.zeros(episodes.rewards.shape[1:])
    for t in range(len(G) - 1, -1, -1):
        following = G[t] = episodes.rewards[t] + gamma * following
    return G


def _discounts(episodes: Episodes, gamma: float) -> Floats:
    """γ^t while an episode is on, 0 after its end; ``(T, K, n)``."""
    powers = gamma ** np.arange(len(episodes.alive), dtype=float)
    return powers[:, None, None] * episodes.alive


def estimates(episodes: Episodes, gamma: float, pi: Floats, advantage: Floats) -> Floats:
    """Mean over episodes of Σ_t γ^t (G_t − b) ∇ log π(a_t | s_t), for each of K policies.

    For softmax, ∇_θ[s, ·] log π(a | s) = e_a − π(· | s).

    Args:
        episodes: n for each policy.
        gamma: γ.
        pi: Policies ``(K, S, A)`` that made them.
        advantage: G_t − b, ``(T, K, n)``.

    Returns:
        ``(K, S, A)``.
    """
    weights = _discounts(episodes, gamma) * advantage / episodes.states.shape[2]
    taken, total = np.zeros_like(pi), np.zeros(pi.shape[:2])
    k = np.broadcast_to(np.arange(len(pi))[:, None], episodes.states.shape)
    np.add.at(taken, (k, episodes.states, episodes.actions), weights)
    np.add.at(total, (k, episodes.states), weights)
    return taken - total[..., None] * pi


def empirical_visits(episodes: Episodes, gamma: float, states: int) -> Floats:
    """η(s) as counted, ``(K, S)``."""
    _, K, n = episodes.states.shape
    eta = np.zeros((K, states))
    k = np.broadcast_to(np.arange(K)[:, None], episodes.states.shape)
    np.add.at(eta, (k, episodes.states), _discounts(episodes, gamma) / n)
    return eta


def fisher(pi: Floats, eta: Floats) -> Floats:
    """Fisher information of each state's preferences ``(…, S, A, A)``: η (diag π − π πᵀ)."""
    identity = np.eye(pi.shape[-1])
    blocks = pi[..., None] * identity - pi[..., :, None] * pi[..., None, :]
    return eta[..., None, None] * blocks


def natural_direction(gradient: Floats, pi: Floats, eta: Floats, damping: float) -> Floats:
    """(F + damping I)⁻¹ ∇J, state by state; all of shape ``(…, S, A)`` but η ``(…, S)``."""
    matrix = fisher(pi, eta) + damping * np.eye(pi.shape[-1])
    try:
        return np.asarray(np.linalg.solve(matrix, gradient[..., None])[..., 0], dtype=float)
    except np.linalg.LinAlgError as error:
        raise UserError(f"learner.damping {damping} leaves F singular: take more.") from error
