# ruff: noqa: N806  capitals are the symbols of the formulas
"""REINFORCE: estimates of ∇J from episodes, for many policies at once."""

import numpy as np

from tasks.mdp.model import Array
from tasks.mdp.rollouts import Episodes

__all__ = ["empirical_visits", "estimates", "returns"]


def returns(episodes: Episodes, gamma: float) -> Array:
    """G_t = R_{t+1} + γ G_{t+1}, ``(T, K, n)``."""
    G, following = np.empty_like(episodes.rewards), np.zeros(episodes.rewards.shape[1:])
    for t in range(len(G) - 1, -1, -1):
        following = G[t] = episodes.rewards[t] + gamma * following
    return G


def _discounts(episodes: Episodes, gamma: float) -> Array:
    """γ^t while an episode is on, 0 after its end; ``(T, K, n)``."""
    powers = gamma ** np.arange(len(episodes.alive), dtype=float)
    return powers[:, None, None] * episodes.alive


def estimates(episodes: Episodes, gamma: float, pi: Array, advantage: Array) -> Array:
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


def empirical_visits(episodes: Episodes, gamma: float, states: int) -> Array:
    """η(s) as counted, ``(K, S)``."""
    _, K, n = episodes.states.shape
    found = np.zeros((K, states))
    k = np.broadcast_to(np.arange(K)[:, None], episodes.states.shape)
    np.add.at(found, (k, episodes.states), _discounts(episodes, gamma) / n)
    return found
