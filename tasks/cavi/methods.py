"""The algorithms that the command offers: their options, which say nothing of how they work."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from elbolab.checks import check_at_least_one, check_in
from tasks.cavi.events import EventSource, whole

__all__ = ["Algorithm", "FullPass", "Stochastic", "Streaming"]

EVERYTHING = 2**62
"""A chunk that holds all events."""

MOST_STEPS = 10**9
"""Of passes, epochs and sizes of chunks: more than anybody waits for, or holds."""


class Algorithm(ABC):
    """How the posterior is found from starts; `fitting.fit_posterior` says how."""

    @abstractmethod
    def hold(self, source: EventSource) -> EventSource:
        """What is kept of the events while they are fitted: all in memory, or the source itself."""


@dataclass(frozen=True)
class FullPass(Algorithm):
    """Coordinate ascent over all events, read into memory once.

    Args:
        max_passes: Full passes at most.
        tolerance: A restart stops when a pass gains less, in nats per event.
    """

    max_passes: int = 1000
    tolerance: float = 1e-8
    chunk: ClassVar[int] = EVERYTHING

    def __post_init__(self) -> None:
        _check_passes(self.max_passes, self.tolerance)

    def hold(self, source: EventSource) -> EventSource:
        return whole(source)


@dataclass(frozen=True)
class Streaming(Algorithm):
    """Coordinate ascent that reads the file again in every pass and holds one chunk of it.

    Args:
        chunk: Events held at a time.
        max_passes: Full passes at most.
        tolerance: A restart stops when a pass gains less, in nats per event.
    """

    chunk: int = 65_536
    max_passes: int = 1000
    tolerance: float = 1e-8

    def __post_init__(self) -> None:
        _check_sizes(chunk=self.chunk)
        _check_passes(self.max_passes, self.tolerance)

    def hold(self, source: EventSource) -> EventSource:
        return source


@dataclass(frozen=True)
class Stochastic(Algorithm):
    """Stochastic variational inference: natural-gradient steps, for data that never fits.

    Args:
        epochs: Passes over all events; one more measures the ELBO.
        batch: Events of a step.
        buffer: Events held at a time; the order is random within them, so shuffle a sorted file.
        forgetting: κ of the step sizes (t + delay)^−κ, in (0.5, 1].
        delay: Makes the first steps smaller; at least 0.
    """

    epochs: int = 10
    batch: int = 256
    buffer: int = 65_536
    forgetting: float = 0.7
    delay: float = 1.0

    def __post_init__(self) -> None:
        _check_sizes(epochs=self.epochs, batch=self.batch, buffer=self.buffer)
        check_in("(0.5, 1]", **{"algorithm.forgetting": self.forgetting})
        check_in("[0, inf)", **{"algorithm.delay": self.delay})

    def hold(self, source: EventSource) -> EventSource:
        return source


def _check_passes(max_passes: int, tolerance: float) -> None:
    _check_sizes(max_passes=max_passes)
    check_in("(0, inf)", **{"algorithm.tolerance": tolerance})


def _check_sizes(**sizes: int) -> None:
    named = {f"algorithm.{name}": size for name, size in sizes.items()}
    check_at_least_one(**named)
    check_in(f"[1, {MOST_STEPS}]", **named)
