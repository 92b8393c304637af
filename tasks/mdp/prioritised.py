# ruff: noqa: ANN001, ANN202, N803  compiled: types are inferred; capitals are the symbols of the formulas
"""Prioritised sweeping: always back up the state whose value is most out of date.

A binary heap holds, for each state, an upper bound on |(Tv − v)(s)|. Backing up s sets its own to
zero and raises that of a predecessor p by γ max_a P(s | p, a)|Δ|, which is the most that the
change Δ of v(s) can do to it: the top of the heap bounds the Bellman residual at any time.
"""

from typing import Any

import numpy as np
from numba import njit
from scipy import sparse

from tasks.arrays import Floats, Ints
from tasks.mdp.backups import best_action, row_arrays
from tasks.mdp.bellman import PrioritisedSweep
from tasks.mdp.model import MDP

__all__ = ["predecessors", "prioritised_sweeps"]


def prioritised_sweeps(mdp: MDP, goal: float) -> PrioritisedSweep:
    """Sweeps from v = 0; see `bellman.BellmanOperators.prioritised`.

    The heap is the priority of each state, the states in heap order, and each one's place there.
    """
    priority = np.abs(mdp.R.max(axis=1))
    order = np.argsort(-priority)
    heap = priority, order, np.argsort(order)
    arrays, before = row_arrays(mdp), predecessors(mdp)

    def sweep(v: Floats, policy: Ints) -> tuple[int, float]:
        return _prioritised_sweep(*arrays, mdp.R, mdp.gamma, v, policy, before, heap, goal)

    return sweep


def predecessors(mdp: MDP) -> tuple[Any, Any, Any]:
    """max_a P(s | p, a) as CSC: column s lists the states p from which s can be reached."""
    entries = mdp.csr.tocoo()
    pairs = sparse.csc_array(mdp.csr)
    columns = np.repeat(np.arange(mdp.S), np.diff(pairs.indptr))
    states = pairs.indices // mdp.A
    first = np.ones(entries.nnz, dtype=bool)
    first[1:] = (states[1:] != states[:-1]) | (columns[1:] != columns[:-1])
    starts = np.flatnonzero(first)
    weights = np.maximum.reduceat(pairs.data, starts) if len(starts) else pairs.data
    indptr = np.searchsorted(columns[starts], np.arange(mdp.S + 1))
    return indptr, states[starts], weights


@njit(cache=True)
def _swap(i, j, order, place):
    order[i], order[j] = order[j], order[i]
    place[order[i]], place[order[j]] = i, j


@njit(cache=True)
def _rise(i, priority, order, place):
    while i > 0 and priority[order[i]] > priority[order[(i - 1) // 2]]:
        _swap(i, (i - 1) // 2, order, place)
        i = (i - 1) // 2


@njit(cache=True)
def _sink(i, priority, order, place):
    while True:
        child = 2 * i + 1
        if child >= len(order):
            return
        if child + 1 < len(order) and priority[order[child + 1]] > priority[order[child]]:
            child += 1
        if priority[order[child]] <= priority[order[i]]:
            return
        _swap(i, child, order, place)
        i = child


@njit(cache=True)
def _prioritised_sweep(indptr, indices, data, R, gamma, v, policy, before, heap, goal):
    starts, states, weights = before
    priority, order, place = heap
    count = 0
    while count < len(v) and priority[order[0]] > goal:
        s = order[0]
        best, policy[s] = best_action(s, indptr, indices, data, R, gamma, v, policy[s], 0.0)
        change = gamma * abs(best - v[s])
        v[s], priority[s] = best, 0.0
        _sink(0, priority, order, place)
        for k in range(starts[s], starts[s + 1]):
            priority[states[k]] += weights[k] * change
            _rise(place[states[k]], priority, order, place)
        count += 1
    return count, priority[order[0]]
