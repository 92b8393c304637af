"""Quantities that change while a model trains, as functions of the epochs trained so far.

The weight β of the KL term, the temperature τ of a relaxed categorical: each is given by one of
these objects in the YAML, and none of them is ever below 0.
"""

from abc import ABC, abstractmethod

from elbolab.checks import check_in

__all__ = ["Annealing", "Constant", "Exponential", "Linear"]


class Annealing(ABC):
    """A number for every moment of training."""

    @abstractmethod
    def __call__(self, epoch: float) -> float:
        """Its value after ``epoch`` ≥ 0 epochs, whole or in part."""


class Constant(Annealing):
    """The same value always.

    Args:
        value: That value, not below 0.

    Raises:
        UserError: If it is, or is no finite number.
    """

    def __init__(self, value: float = 1.0) -> None:
        check_in("[0, inf)", value=value)
        self.value = value

    def __call__(self, epoch: float) -> float:
        return self.value


class Linear(Annealing):
    """From ``start`` to ``end`` in a straight line, then ``end``.

    Args:
        start: The value before training, not below 0.
        end: The value from ``epochs`` on, not below 0.
        epochs: How long it takes, above 0.

    Raises:
        UserError: If one of them is out of range.
    """

    def __init__(self, start: float = 0.0, end: float = 1.0, epochs: float = 10.0) -> None:
        check_in("[0, inf)", start=start, end=end)
        check_in("(0, inf)", epochs=epochs)
        self.start, self.end, self.epochs = start, end, epochs

    def __call__(self, epoch: float) -> float:
        progress = min(epoch / self.epochs, 1.0)
        return self.start + (self.end - self.start) * progress


class Exponential(Annealing):
    """From ``start`` to ``end`` by the same factor in every epoch, then ``end``.

    Args:
        start: The value before training, above 0.
        end: The value from ``epochs`` on, above 0.
        epochs: How long it takes, above 0.

    Raises:
        UserError: If one of them is not above 0.
    """

    def __init__(self, start: float = 1.0, end: float = 0.5, epochs: float = 10.0) -> None:
        check_in("(0, inf)", start=start, end=end, epochs=epochs)
        self.start, self.end, self.epochs = start, end, epochs

    def __call__(self, epoch: float) -> float:
        progress = min(epoch / self.epochs, 1.0)
        return self.start * (self.end / self.start) ** progress
