# ruff: noqa: ANN001, ANN201, ANN202, N803  compiled: types are inferred; capitals are the symbols of the formulas
"""Bellman backups, compiled; a loop over states reads P once and writes no (S, A) array.

(Tv)(s) = max_a q(s, a),  q(s, a) = r(s, a) + γ Σ_{s'} P[s·A + a, s'] v(s').
The stacked matrix comes as CSR: ``indptr``, ``indices``, ``data``.
"""

from typing import Any

import numpy as np
from numba import njit
from scipy import sparse

from tasks.mdp.model import MDP, Array, Policy

__all__ = [
    "best_action",
    "gauss_seidel",
    "improve",
    "policy_arrays",
    "q_values",
    "row_arrays",
    "sweep",
]


def row_arrays(mdp: MDP) -> tuple[Any, Any, Any]:
    """The three arrays of the stacked CSR, the columns as unsigned integers."""
    return _unsigned(mdp.csr)


def policy_arrays(mdp: MDP, policy: Policy) -> tuple[Any, Any, Any]:
    """The same of the rows that a policy takes, copied together: sweeps then read no gaps."""
    return _unsigned(mdp.csr[mdp.rows(policy)])


def _unsigned(matrix: sparse.csr_array) -> tuple[Any, Any, Any]:
    indices = matrix.indices
    return matrix.indptr, indices.view(f"u{indices.itemsize}"), matrix.data


def q_values(mdp: MDP, v: Array) -> Array:
    """q(s, a) ``(S, A)`` for the values ``v`` of what follows."""
    return mdp.R + mdp.gamma * (mdp.P @ v).reshape(mdp.S, mdp.A)


@njit(cache=True)
def _inner(row, indptr, indices, data, v):
    """Row times v. Unsigned counters: signed ones may be negative, which costs a test each."""
    x, row = 0.0, np.uint64(row)
    for k in range(np.uint64(indptr[row]), np.uint64(indptr[row + np.uint64(1)])):
        x += data[k] * v[indices[k]]
    return x


@njit(cache=True)
def best_action(s, indptr, indices, data, R, gamma, v, old, slack):
    """The largest q of a state, and its action: ``old`` unless another is better by ``slack``."""
    best, arg, kept = -np.inf, 0, -np.inf
    for a in range(R.shape[1]):
        q = R[s, a] + gamma * _inner(s * R.shape[1] + a, indptr, indices, data, v)
        arg = a if q > best else arg  # selections, not branches that are guessed wrong
        best = q if q > best else best
        kept = q if a == old else kept
    return best, (old if kept >= best - slack else arg)


@njit(cache=True)
def improve(indptr, indices, data, R, gamma, v, policy, slack, Tv):
    """Writes Tv into ``Tv`` and the greedy policy into ``policy``.

    An action is kept unless another one is better by more than ``slack``: ties that rounding
    breaks one way and then the other would never settle.

    Returns:
        Smallest and largest (Tv − v)(s).
    """
    low, high = np.inf, -np.inf
    for s in range(R.shape[0]):
        best, policy[s] = best_action(s, indptr, indices, data, R, gamma, v, policy[s], slack)
        Tv[s] = best
        low, high = min(low, best - v[s]), max(high, best - v[s])
    return low, high


@njit(cache=True)
def sweep(indptr, indices, data, r, gamma, v, out):
    """One synchronous sweep of evaluation, out = r_π + γ P_π v, with the rows of one policy.

    Returns:
        Smallest and largest (out − v)(s).
    """
    low, high = np.inf, -np.inf
    for s in range(len(r)):
        out[s] = r[s] + gamma * _inner(s, indptr, indices, data, v)
        low, high = min(low, out[s] - v[s]), max(high, out[s] - v[s])
    return low, high


@njit(cache=True)
def gauss_seidel(indptr, indices, data, R, gamma, v, policy):
    """One sweep in place: each state sees what the states before it have become.

    Returns:
        The largest change.
    """
    change = 0.0
    for s in range(R.shape[0]):
        best, policy[s] = best_action(s, indptr, indices, data, R, gamma, v, policy[s], 0.0)
        change = max(change, abs(best - v[s]))
        v[s] = best
    return change
