"""The algorithms, one interface; options of the command, whose help waits for this module."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from elbolab.errors import UserError

if TYPE_CHECKING:
    from numpy.random import Generator

    from tasks.cavi.events import Source
    from tasks.cavi.fitting import Fit, Problem
    from tasks.cavi.posterior import Posterior

__all__ = ["Algorithm", "FullPass", "Stochastic", "Streaming"]


class Algorithm(ABC):
    """How the posterior is found from starts."""

    def hold(self, source: "Source") -> "Source":
        """What is kept of the source; itself unless said otherwise."""
        return source

    @abstractmethod
    def fit(self, problem: "Problem", q: "Posterior", generator: "Generator") -> "Fit":
        """Ascends from all starts at once."""


class Streaming(Algorithm):
    """Coordinate ascent that reads the file again in every pass and holds one chunk of it.

    Args:
        chunk: Events held at a time.
        max_passes: Full passes at most.
        tolerance: A restart stops when a pass gains less, in nats per event.
    """

    def __init__(
        self, chunk: int = 65_536, max_passes: int = 1000, tolerance: float = 1e-8
    ) -> None:
        _positive(chunk=chunk, max_passes=max_passes, tolerance=tolerance)
        self.chunk, self.max_passes, self.tolerance = chunk, max_passes, tolerance

    def fit(self, problem: "Problem", q: "Posterior", generator: "Generator") -> "Fit":
        from tasks.cavi.fitting import ascend

        return ascend(problem, q, self.chunk, self.max_passes, self.tolerance)


class FullPass(Streaming):
    """Coordinate ascent over all events, read into memory once.

    Args:
        max_passes: Full passes at most.
        tolerance: A restart stops when a pass gains less, in nats per event.
    """

    def __init__(self, max_passes: int = 1000, tolerance: float = 1e-8) -> None:
        super().__init__(2**62, max_passes, tolerance)

    def hold(self, source: "Source") -> "Source":
        from tasks.cavi.events import whole

        return whole(source)


class Stochastic(Algorithm):
    """Stochastic variational inference: natural-gradient steps, for data that never fits.

    Args:
        epochs: Passes over all events; one more measures the ELBO.
        batch: Events of a step.
        buffer: Events held at a time; the order is random within them, so shuffle a sorted file.
        forgetting: κ of the step sizes (t + delay)^−κ, in (0.5, 1].
        delay: Makes the first steps smaller; at least 0.
    """

    def __init__(
        self,
        epochs: int = 10,
        batch: int = 256,
        buffer: int = 65_536,
        forgetting: float = 0.7,
        delay: float = 1.0,
    ) -> None:
        _positive(epochs=epochs, batch=batch, buffer=buffer)
        if not 0.5 < forgetting <= 1:
            raise UserError(f"algorithm.forgetting must lie in (0.5, 1], got {forgetting}.")
        if not delay >= 0:
            raise UserError(f"algorithm.delay must not be negative, got {delay}.")
        self.epochs, self.batch, self.buffer = epochs, batch, buffer
        self.forgetting, self.delay = forgetting, delay

    def fit(self, problem: "Problem", q: "Posterior", generator: "Generator") -> "Fit":
        from tasks.cavi.stochastic import stochastic_ascent

        options = (self.epochs, self.batch, self.buffer, self.forgetting, self.delay)
        return stochastic_ascent(problem, q, generator, *options)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise UserError(f"algorithm.{name} must be positive, got {value}.")
