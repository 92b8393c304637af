"""Quantities that change while a model trains, as functions of the epochs trained so far.

The weight β of the KL term, the temperature τ of a relaxed categorical: each is given by one of
these objects in the YAML.
"""

from abc import ABC, abstractmethod

from elbolab.errors import UserError

__all__ = ["Annealing", "Constant", "Exponential", "Linear"]


class Annealing(ABC):
    """A number for every moment of training."""

    @abstractmethod
    def __call__(self, epoch: float) -> float:
        """Its value after ``epoch`` ≥ 0 epochs, whole or in part."""


class Constant(Annealing):
    """The same value always.

    Args:
        value: That value.
    """

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def __call__(self, epoch: float) -> float:
        return self.value


class Linear(Annealing):
    """From ``start`` to ``end`` in a straight line, then ``end``.

    Args:
        start: The value before training.
        end: The value from ``epochs`` on.
        epochs: How long it takes, above 0.

    Raises:
        UserError: If ``epochs`` is not above 0.
    """

    def __init__(self, start: float = 0.0, end: float = 1.0, epochs: float = 10.0) -> None:
        _check_epochs(epochs)
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
        _check_epochs(epochs)
        for name, value in (("start", start), ("end", end)):
            if not value > 0:
                raise UserError(f"{name} of exponential annealing must be above 0, got {value}.")
        self.start, self.end, self.epochs = start, end, epochs

    def __call__(self, epoch: float) -> float:
        progress = min(epoch / self.epochs, 1.0)
        return self.start * (self.end / self.start) ** progress


def _check_epochs(epochs: float) -> None:
    if not epochs > 0:
        raise UserError(f"epochs of annealing must be above 0, got {epochs}.")
