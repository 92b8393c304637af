# ruff: noqa: ANN001, ANN201, ANN202, N803  compiled: types are inferred; capitals are the symbols of the formulas
"""Bellman backups, compiled; a loop over states reads P once and writes no (S, A) array.

(Tv)(s) = max_a q(s, a),  q(s, a) = r(s, a) + γ Σ_{s'} P[s·A + a, s'] v(s').
The stacked matrix comes as CSR: ``indptr``, ``indices``, ``data``.
"""

from typing import Any

import numpy as np
from numba import njit
from scipy import sparse

from tasks.arrays import Floats, Ints
from tasks.mdp.bellman import EvaluationSweep
from tasks.mdp.model import MDP

__all__ = ["best_action", "gauss_seidel", "improve", "q_values", "row_arrays", "sweep_of"]


def q_values(mdp: MDP, v: Floats) -> Floats:
    """q(s, a) ``(S, A)`` for the values ``v`` of what follows."""
    return mdp.R + mdp.gamma * (mdp.P @ v).reshape(mdp.S, mdp.A)


def improve(
    mdp: MDP, v: Floats, policy: Ints, Tv: Floats, slack: float = 0.0
) -> tuple[float, float]:
    """One backup of all states at once; see `bellman.BellmanOperators.improve`."""
    return _improve(*row_arrays(mdp), mdp.R, mdp.gamma, v, policy, slack, Tv)


def gauss_seidel(mdp: MDP, v: Floats, policy: Ints) -> float:
    """One sweep in place; see `bellman.BellmanOperators.improve_in_place`."""
    return _gauss_seidel(*row_arrays(mdp), mdp.R, mdp.gamma, v, policy)


def sweep_of(mdp: MDP, policy: Ints) -> EvaluationSweep:
    """Synchronous sweeps of evaluation; the policy's rows are copied, so that they lie together."""
    rows = mdp.rows(policy)
    indptr, indices, data = _unsigned(mdp.csr[rows])
    r, gamma = mdp.R.ravel()[rows], mdp.gamma

    def sweep(v: Floats, out: Floats) -> tuple[float, float]:
        return _sweep(indptr, indices, data, r, gamma, v, out)

    return sweep


def row_arrays(mdp: MDP) -> tuple[Any, Any, Any]:
    """The three arrays of the stacked CSR, the columns as unsigned integers."""
    return _unsigned(mdp.csr)


def _unsigned(matrix: sparse.csr_array) -> tuple[Any, Any, Any]:
    indices = matrix.indices
    return matrix.indptr, indices.view(f"u{indices.itemsize}"), matrix.data


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
def _improve(indptr, indices, data, R, gamma, v, policy, slack, Tv):
    low, high = np.inf, -np.inf
    for s in range(R.shape[0]):
        best, policy[s] = best_action(s, indptr, indices, data, R, gamma, v, policy[s], slack)
        Tv[s] = best
        low, high = min(low, best - v[s]), max(high, best - v[s])
    return low, high


@njit(cache=True)
def _sweep(indptr, indices, data, r, gamma, v, out):
    """out = r_π + γ P_π v, with the rows of one policy."""
    low, high = np.inf, -np.inf
    for s in range(len(r)):
        out[s] = r[s] + gamma * _inner(s, indptr, indices, data, v)
        low, high = min(low, out[s] - v[s]), max(high, out[s] - v[s])
    return low, high


@njit(cache=True)
def _gauss_seidel(indptr, indices, data, R, gamma, v, policy):
    change = 0.0
    for s in range(R.shape[0]):
        best, policy[s] = best_action(s, indptr, indices, data, R, gamma, v, policy[s], 0.0)
        change = max(change, abs(best - v[s]))
        v[s] = best
    return change
