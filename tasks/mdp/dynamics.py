# ruff: noqa: N803  capitals are the symbols of the formulas
"""Ways to play a matrix game over and over; options of the command.

Each goes from (x, y) to (x', y'); what is averaged over steps are these strategies.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from elbolab.errors import UserError

if TYPE_CHECKING:
    from tasks.mdp.games import Array

__all__ = [
    "DescentAscent",
    "Dynamics",
    "Extragradient",
    "FictitiousPlay",
    "MultiplicativeWeights",
]

Pair = tuple["Array", "Array"]


class Dynamics(ABC):
    """How both players change their strategies from one step to the next."""

    @abstractmethod
    def play(self, M: "Array", x: "Array", y: "Array") -> Iterator[Pair]:
        """Yields strategies for ever, ``(x, y)`` first.

        Args:
            M: Payoffs to the row player ``(m, n)``.
            x: The row player's first strategy ``(m,)``.
            y: The column player's ``(n,)``.
        """


class FictitiousPlay(Dynamics):
    """Each plays the best reply to the mean of what the other has played so far."""

    def play(self, M: "Array", x: "Array", y: "Array") -> Iterator[Pair]:
        import numpy as np

        rows, columns, played = np.eye(len(M)), np.eye(M.shape[1]), (x.copy(), y.copy())
        while True:
            yield x, y
            x, y = rows[(M @ played[1]).argmax()], columns[(played[0] @ M).argmin()]
            played[0][:], played[1][:] = played[0] + x, played[1] + y


class _Gradient(Dynamics):
    """Steps of a length.

    Args:
        rate: Length of a step, in units of one over the payoffs' range.
    """

    def __init__(self, rate: float = 0.1) -> None:
        if not rate > 0:
            raise UserError(f"dynamics.rate must be positive, got {rate}.")
        self.rate = rate

    def _length(self, M: "Array") -> float:
        return self.rate / (float(M.max() - M.min()) or 1.0)

    def play(self, M: "Array", x: "Array", y: "Array") -> Iterator[Pair]:
        while True:
            yield x, y
            x, y = self.step(M, x, y, self._length(M))

    @abstractmethod
    def step(self, M: "Array", x: "Array", y: "Array", length: float) -> Pair:
        """The next strategies."""


class MultiplicativeWeights(_Gradient):
    """x_i ← x_i exp(rate (M y)_i), normalised, and the other player likewise.

    Args:
        rate: Length of a step, in units of one over the payoffs' range.
    """

    def step(self, M: "Array", x: "Array", y: "Array", length: float) -> Pair:
        import numpy as np
        from scipy.special import softmax

        with np.errstate(divide="ignore"):  # an action given up for good has weight log 0
            logs = np.log(x), np.log(y)
        return softmax(logs[0] + length * (M @ y)), softmax(logs[1] - length * (x @ M))


class DescentAscent(_Gradient):
    """Both follow their gradient at once, projected onto the simplex; circles, does not settle.

    Args:
        rate: Length of a step, in units of one over the payoffs' range.
    """

    def step(self, M: "Array", x: "Array", y: "Array", length: float) -> Pair:
        return _ascend(M, (x, y), (x, y), length)


class Extragradient(_Gradient):
    """Descent–ascent from where they are, along the gradient of where it would lead; settles.

    Args:
        rate: Length of a step, in units of one over the payoffs' range.
    """

    def step(self, M: "Array", x: "Array", y: "Array", length: float) -> Pair:
        return _ascend(M, (x, y), _ascend(M, (x, y), (x, y), length), length)


def _ascend(M: "Array", start: Pair, at: Pair, length: float) -> Pair:
    """From ``start`` along the gradient at ``at``."""
    from tasks.mdp.simplex import project

    return project(start[0] + length * (M @ at[1])), project(start[1] - length * (at[0] @ M))
