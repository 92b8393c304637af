"""Events, and where they come from piece by piece."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from tasks.arrays import Floats

__all__ = ["CHUNK", "EventSource", "Events", "InMemory", "whole"]

CHUNK = 65_536
"""Events read at a time where nothing else is asked for."""


@dataclass(frozen=True)
class Events:
    """Events in the coordinates of the model.

    Attributes:
        x: Positions ``(N, D)``, column after column in memory; log R of distances.
        strengths: Counts S ``(N,)``, whole numbers.
    """

    x: Floats
    strengths: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", np.asfortranarray(self.x, dtype=np.float64))
        object.__setattr__(self, "strengths", np.ascontiguousarray(self.strengths, np.float64))

    def __len__(self) -> int:
        return len(self.strengths)

    def take(self, rows: object) -> Self:
        """Some of them, by index, mask or slice."""
        return type(self)(self.x[rows], self.strengths[rows])  # pyright: ignore


class EventSource(Protocol):
    """Where events come from, as often as they are asked for, in the same order."""

    @property
    def log(self) -> bool:
        """Whether positions are logarithms of distances."""
        ...

    def chunks(self, size: int) -> Iterator[Events]:
        """All events, at most ``size`` at a time."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Events that are all there.

    Attributes:
        events: They.
        log: Positions are logarithms of distances.
    """

    events: Events
    log: bool = False

    def chunks(self, size: int) -> Iterator[Events]:
        if size >= len(self.events):
            yield self.events
            return
        for start in range(0, len(self.events), size):
            yield self.events.take(slice(start, start + size))


def whole(source: EventSource) -> InMemory:
    """Reads everything into memory."""
    chunks = list(source.chunks(CHUNK))
    if len(chunks) == 1:
        return InMemory(chunks[0], source.log)
    x = np.concatenate([c.x.T for c in chunks], axis=1).T
    return InMemory(Events(x, np.concatenate([c.strengths for c in chunks])), source.log)
