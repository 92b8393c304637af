# ruff: noqa: ANN001, ANN202, N803, N806  compiled: types are inferred; capitals are the symbols of the formulas
"""How far values can be from the optimum, as a number that holds in floating point.

If |Tv − v| ≤ ε everywhere, then |v − v_*|(s) ≤ ε h(s), with h(s) the largest expected sum of
discounts Σ_t γ^t before the end, over all policies: h ≤ H = 1/(1 − γ) for γ < 1. For γ = 1, h is
the largest expected number of steps, finite because every policy ends; any w > 0 with
w − max_a P w ≥ 1 − η > 0 proves h ≤ w/(1 − η).
"""

import math

import numpy as np
from numba import njit
from scipy import sparse

from elbolab.errors import UserError
from tasks.arrays import Floats, Ints
from tasks.mdp.backups import improve, sweep_of
from tasks.mdp.model import MDP

__all__ = ["certified_bound", "first_endless_state", "horizon", "rounding"]

UNIT = 2.0**-53
"""Largest relative error of one rounded operation on doubles."""

PROOF = 0.01
"""η at which the search for w ends: the bound is 1 % larger than it could be."""

MAX_STEPS = 1_000_000
"""Improvements after which the search for w gives up; the bound is then infinite."""


def rounding(mdp: MDP, v: Floats) -> float:
    """What rounding can do to one Tv − v: (n + 4)u(max|r| + (1 + γ) max|v|), n terms in a row."""
    size = mdp.largest_reward + (1 + mdp.gamma) * float(np.abs(v).max())
    return (mdp.width + 4) * UNIT * size


def horizon(mdp: MDP) -> float:
    """H with ‖v − v_*‖ ≤ H ‖Tv − v‖; for γ = 1 proved by expected numbers of steps.

    Raises:
        UserError: If γ = 1 and some policy never ends, or γ < 1 cannot be told from 1.
    """
    if mdp.gamma < 1:
        return _discounted_horizon(mdp)
    s = first_endless_state(mdp)
    if s is not None:
        raise UserError(
            f"with gamma = 1 every policy must end, and from state '{mdp.state(s)}' one need not: "
            "take gamma < 1, or make a state terminal."
        )
    return _steps_to_end(mdp)


def _discounted_horizon(mdp: MDP) -> float:
    """1/(1 − γρ), with ρ the largest row's sum, which rounding may have put above 1."""
    factor = mdp.gamma * float(mdp.mass.max(initial=0.0)) * (1 + (mdp.width + 2) * UNIT)
    if factor >= 1:
        raise UserError(
            f"gamma = {mdp.gamma} is too close to 1 for a bound in doubles: take a smaller one."
        )
    return 1 / (1 - factor)


def _steps_to_end(mdp: MDP) -> float:
    """The bound max w/(1 − η): w from iterating w ← 1 + max_a P w until max(1 + P w − w) ≤ η."""
    counting = mdp.counting_steps()
    w, Tw, policy = np.zeros(mdp.S), np.zeros(mdp.S), np.zeros(mdp.S, dtype=np.int64)
    for _ in range(MAX_STEPS):
        _, high = improve(counting, w, policy, Tw)
        eta = high + (mdp.width + 4) * UNIT * (1 + 2 * float(w.max()))
        if eta <= PROOF:
            return float(w.max()) / (1 - eta) * (1 + 4 * UNIT)
        w, Tw = Tw, w
        sweep = sweep_of(counting, policy)
        for _ in range(20):
            sweep(w, Tw)
            w, Tw = Tw, w
    return math.inf


def first_endless_state(mdp: MDP) -> int | None:
    """A state from which some policy never ends, or None.

    Such states are the largest set, without terminal ones, in which each state has an action that
    stays inside. Whatever leaves the set takes the state-action pairs that lead to it along.
    """
    columns = sparse.csc_array(mdp.csr)
    actions = np.where(mdp.terminal, 0, mdp.A)
    inside = _largest_closed_set(columns.indptr, columns.indices, actions, mdp.A)
    return int(np.flatnonzero(inside)[0]) if inside.any() else None


@njit(cache=True)
def _largest_closed_set(indptr, rows, actions, A):
    """Flags of the states left when all without a safe action are gone; linear in P's entries."""
    inside = actions > 0
    safe = np.ones(len(actions) * A, dtype=np.bool_)
    left = [np.int64(s) for s in np.flatnonzero(~inside)]
    while left:
        gone = left.pop()
        for k in range(indptr[gone], indptr[gone + 1]):
            s = rows[k] // A
            if not inside[s] or not safe[rows[k]]:
                continue
            safe[rows[k]] = False
            actions[s] -= 1
            if actions[s] == 0:
                inside[s] = False
                left.append(np.int64(s))
    return inside


def certified_bound(mdp: MDP, v: Floats, H: float) -> tuple[Ints, float]:
    """The greedy policy of ``v``, and a bound on ‖v − v_*‖∞ for the process as it is stored.

    Args:
        mdp: The process.
        v: Values ``(S,)``.
        H: What `horizon` says.
    """
    policy, Tv = np.zeros(mdp.S, dtype=np.int64), np.empty(mdp.S)
    low, high = improve(mdp, v, policy, Tv, slack=rounding(mdp, v))
    return policy, (max(high, -low) + rounding(mdp, v)) * H * (1 + 4 * UNIT)
