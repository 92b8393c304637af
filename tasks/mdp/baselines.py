"""Baselines of REINFORCE: b in G_t − b.

Anything that does not depend on the action leaves the estimates' mean as it is and may take out
noise.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from elbolab.checks import check_in
from tasks.arrays import Floats
from tasks.mdp.policy_gradient import Episodes

__all__ = ["LearnedValue", "LeaveOneOutReturn", "MeanReturn", "NoReturnBaseline", "ReturnBaseline"]


class ReturnBaseline(ABC):
    """A number to compare returns with."""

    least_episodes = 1

    def reset(self, seeds: int, states: int) -> None:  # noqa: B027  most have nothing to forget
        """Forgets everything, before the first update."""

    @abstractmethod
    def advantage(self, episodes: Episodes, returns: Floats) -> Floats:
        """G_t − b ``(T, K, n)``; learns from the episodes after it has used what it knew."""


class NoReturnBaseline(ReturnBaseline):
    """b = 0."""

    def advantage(self, episodes: Episodes, returns: Floats) -> Floats:
        return returns


class LeaveOneOutReturn(ReturnBaseline):
    """b = mean of G_t over the other episodes of the update."""

    least_episodes = 2

    def advantage(self, episodes: Episodes, returns: Floats) -> Floats:
        n = returns.shape[2]
        return returns - (returns.sum(axis=2, keepdims=True) - returns) / (n - 1)


@dataclass
class MeanReturn(ReturnBaseline):
    """b = running mean of G_0 over the updates before.

    Attributes:
        rate: Share of the newest mean, in (0, 1].
    """

    rate: float = 0.1

    def __post_init__(self) -> None:
        check_in("(0, 1]", **{"learner.baseline.rate": self.rate})

    def reset(self, seeds: int, states: int) -> None:
        self._mean, self._updates = None, 0

    def advantage(self, episodes: Episodes, returns: Floats) -> Floats:
        newest = returns[0].mean(axis=1)
        before = 0 * newest if self._mean is None else self._mean
        self._updates += 1
        share = max(self.rate, 1 / self._updates)
        self._mean = before + share * (newest - before)
        return returns - before[:, None]


@dataclass
class LearnedValue(ReturnBaseline):
    """b(s) = a value learned for each state from the returns that followed it.

    Attributes:
        rate: Share of the newest mean of a state, in (0, 1].
    """

    rate: float = 0.2

    def __post_init__(self) -> None:
        check_in("(0, 1]", **{"learner.baseline.rate": self.rate})

    def reset(self, seeds: int, states: int) -> None:
        self._value = np.zeros((seeds, states))

    def advantage(self, episodes: Episodes, returns: Floats) -> Floats:
        k = np.broadcast_to(np.arange(len(self._value))[:, None], episodes.states.shape)
        at = (k, episodes.states)
        advantage = returns - self._value[at]
        count, total = np.zeros_like(self._value), np.zeros_like(self._value)
        np.add.at(count, at, episodes.alive)
        np.add.at(total, at, np.where(episodes.alive, advantage, 0.0))
        self._value += self.rate * total / np.maximum(count, 1)
        return advantage
