"""The steps of modified policy iteration, with MacQueen's bounds."""

import numpy as np

from tasks.mdp.backups import improve, policy_arrays, row_arrays, sweep
from tasks.mdp.model import MDP

__all__ = ["ModifiedSteps"]

ENOUGH = 0.1
"""Sweeps end when the spread of their changes is this share of the improvement's."""


class ModifiedSteps:
    """Values and a policy that are improved and evaluated in turn.

    For δ = Tv − v and rows that sum to 1, γ/(1 − γ) min δ ≤ v_* − Tv ≤ γ/(1 − γ) max δ. So Tv and
    the middle of both is off by half their distance at most. A terminal state breaks this, since
    its value stays 0: then nothing is added.

    Args:
        mdp: What to solve.
        sweeps: Most sweeps of evaluation.
    """

    def __init__(self, mdp: MDP, sweeps: int) -> None:
        self.mdp, self.sweeps, self.backups = mdp, sweeps, 0
        self.v, self.policy = np.zeros(mdp.S), np.zeros(mdp.S, dtype=np.int64)
        self._shifts = mdp.gamma < 1 and not mdp.terminal.any()
        self._spread, self._arrays = np.inf, row_arrays(mdp)

    def _excess(self, low: float, high: float) -> tuple[float, float]:
        """What to add to all values in units of γ/(1 − γ), and the most that is left."""
        middle = (low + high) / 2 if self._shifts else 0.0
        return middle, max(high - middle, middle - low)

    def improve(self) -> float:
        """Sets v to Tv, and the policy to the greedy one; returns ε with ‖v − v_*‖ ≤ ε H."""
        mdp = self.mdp
        v, policy = np.empty(mdp.S), self.policy.copy()
        low, high = improve(*self._arrays, mdp.R, mdp.gamma, self.v, policy, 0.0, v)
        middle, self._spread = self._excess(low, high)
        if middle:
            v += mdp.gamma / (1 - mdp.gamma) * middle
        self.v, self.policy, self.backups = v, policy, self.backups + mdp.S
        return mdp.gamma * self._spread

    def evaluate(self, goal: float) -> None:
        """Sweeps of the policy in hand, until they change little but a constant."""
        mdp = self.mdp
        v, other = self.v.copy(), np.empty(mdp.S)
        taken, r = policy_arrays(mdp, self.policy), mdp.R.ravel()[mdp.rows(self.policy)]
        for _ in range(self.sweeps):
            bounds = sweep(*taken, r, mdp.gamma, v, other)
            v, other = other, v
            if self._excess(*bounds)[1] <= max(ENOUGH * self._spread, goal / 2):
                break
        self.v = v
