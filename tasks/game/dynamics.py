# ruff: noqa: N803  capitals are the symbols of the formulas
"""Ways to play a matrix game over and over.

Each goes from (x, y) to (x', y'); what is averaged over steps are these strategies.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from elbolab.checks import check_in
from tasks.arrays import Floats
from tasks.game.model import exploitability

__all__ = [
    "DescentAscent",
    "Dynamics",
    "Extragradient",
    "FictitiousPlay",
    "MultiplicativeWeights",
    "Play",
    "StrategyPair",
    "play_game",
    "project",
]

FAR = 1e4
"""Beyond it sums would lose digits that count in [0, 1]."""

StrategyPair = tuple[Floats, Floats]
"""Strategies of the row player ``(m,)`` and of the column player ``(n,)``."""


class Dynamics(ABC):
    """How both players change their strategies from one step to the next."""

    @abstractmethod
    def play(self, M: Floats, x: Floats, y: Floats) -> Iterator[StrategyPair]:
        """Yields strategies for ever, ``(x, y)`` first.

        Args:
            M: Payoffs to the row player ``(m, n)``.
            x: The row player's first strategy ``(m,)``.
            y: The column player's ``(n,)``.
        """


class FictitiousPlay(Dynamics):
    """Each plays the best reply to the mean of what the other has played so far."""

    def play(self, M: Floats, x: Floats, y: Floats) -> Iterator[StrategyPair]:
        rows, columns, played = np.eye(len(M)), np.eye(M.shape[1]), (x.copy(), y.copy())
        while True:
            yield x, y
            x, y = rows[(M @ played[1]).argmax()], columns[(played[0] @ M).argmin()]
            played[0][:], played[1][:] = played[0] + x, played[1] + y


@dataclass(frozen=True)
class GradientDynamics(Dynamics):
    """Steps of a length along the gradient, one way or another.

    Attributes:
        rate: Length of a step, in units of one over the payoffs' range.
    """

    rate: float = 0.1

    def __post_init__(self) -> None:
        check_in("(0, 1e6]", **{"dynamics.rate": self.rate})

    def play(self, M: Floats, x: Floats, y: Floats) -> Iterator[StrategyPair]:
        length = self.rate / (float(M.max() - M.min()) or 1.0)
        while True:
            yield x, y
            x, y = self.step(M, (x, y), length)

    @abstractmethod
    def step(self, M: Floats, now: StrategyPair, length: float) -> StrategyPair:
        """The next strategies."""


class MultiplicativeWeights(GradientDynamics):
    """x_i ← x_i exp(rate (M y)_i), normalised, and the other player likewise."""

    def step(self, M: Floats, now: StrategyPair, length: float) -> StrategyPair:
        x, y = now
        return _reweighted(x, length * (M @ y)), _reweighted(y, -length * (x @ M))


class DescentAscent(GradientDynamics):
    """Both follow their gradient at once, projected onto the simplex; circles, does not settle."""

    def step(self, M: Floats, now: StrategyPair, length: float) -> StrategyPair:
        return _ascend(M, now, now, length)


class Extragradient(GradientDynamics):
    """Descent–ascent from where they are, along the gradient of where it would lead; settles."""

    def step(self, M: Floats, now: StrategyPair, length: float) -> StrategyPair:
        return _ascend(M, now, _ascend(M, now, now, length), length)


def _reweighted(p: Floats, logs: Floats) -> Floats:
    with np.errstate(divide="ignore"):  # an action given up for good has weight log 0
        z = np.log(p) + logs
    weights = np.exp(z - z.max())
    return weights / weights.sum()


def _ascend(M: Floats, start: StrategyPair, at: StrategyPair, length: float) -> StrategyPair:
    """From ``start`` along the gradient at ``at``."""
    return project(start[0] + length * (M @ at[1])), project(start[1] - length * (at[0] @ M))


def project(z: Floats) -> Floats:
    """The closest distribution, max(z − τ, 0) with τ such that it sums to 1.

    Args:
        z: Any numbers ``(n,)``.
    """
    if np.abs(z).max() > FAR:
        z = z - z.max()  # has the same closest distribution
    falling = np.sort(z)[::-1]
    excess = np.cumsum(falling) - 1
    support = int((falling * np.arange(1, len(z) + 1) > excess).sum())
    return np.maximum(z - excess[support - 1] / support, 0.0)


@dataclass(frozen=True)
class Play:
    """What happened under one kind of dynamics.

    Attributes:
        name: Of the dynamics.
        strategies: Of both players at each step, ``(steps, m)`` and ``(steps, n)``.
        averages: Their means up to each step.
        last_gap: Exploitability of each step's strategies.
        average_gap: Exploitability of the averages.
    """

    name: str
    strategies: StrategyPair
    averages: StrategyPair
    last_gap: Floats
    average_gap: Floats


def play_game(M: Floats, dynamics: Dynamics, start: StrategyPair, steps: int) -> Play:
    """Plays ``steps`` steps after the start."""
    pairs = list(islice(dynamics.play(M, *start), steps + 1))
    x, y = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    counts = np.arange(1, len(x) + 1)[:, None]
    averages = np.cumsum(x, axis=0) / counts, np.cumsum(y, axis=0) / counts
    gaps = exploitability(M, x, y), exploitability(M, *averages)
    return Play(type(dynamics).__name__, (x, y), averages, *gaps)
