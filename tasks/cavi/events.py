"""Events, where they come from piece by piece, and what is found out in one look at all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from scipy.special import gammaln

from elbolab.errors import UserError
from tasks.cavi.posterior import Array

__all__ = ["Events", "InMemory", "Source", "Summary", "summarise", "whole"]

CHUNK = 65_536
"""Events read at a time where nothing else is asked for."""

SAMPLE = 10_000
"""Events on which starts are found and pictures drawn."""


@dataclass(frozen=True)
class Events:
    """Events in the coordinates of the model.

    Attributes:
        x: Positions ``(N, D)``, column after column in memory; log R of distances.
        strengths: Counts S ``(N,)``, whole numbers.
    """

    x: Array
    strengths: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", np.asfortranarray(self.x, dtype=np.float64))
        object.__setattr__(self, "strengths", np.ascontiguousarray(self.strengths, np.float64))

    def __len__(self) -> int:
        return len(self.strengths)

    def take(self, rows: object) -> "Events":
        """Some of them, by index, mask or slice."""
        return Events(self.x[rows], self.strengths[rows])  # pyright: ignore


class Source(Protocol):
    """Where events come from, as often as they are asked for, in the same order.

    Attributes:
        log: Positions are logarithms of distances.
    """

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


def whole(source: Source) -> InMemory:
    """Reads everything into memory."""
    chunks = list(source.chunks(CHUNK))
    if len(chunks) == 1:
        return InMemory(chunks[0], source.log)
    x = np.concatenate([c.x.T for c in chunks], axis=1).T
    return InMemory(Events(x, np.concatenate([c.strengths for c in chunks])), source.log)


@dataclass(frozen=True)
class Summary:
    """What one look at all events says.

    Attributes:
        count: N.
        mean: Mean position ``(D,)``.
        log_base: −Σ log S_n!, and −Σ log R_n for distances, in nats.
        sample: Up to `SAMPLE` of the events, drawn without replacement.
    """

    count: int
    mean: Array
    log_base: float
    sample: Events


def summarise(source: Source, generator: Generator) -> Summary:
    """Counts, averages and samples the events in one pass.

    Raises:
        UserError: If there are none, or positions are too large to be squared.
    """
    count, total, log_base = 0, np.zeros(1), 0.0
    keys, kept = np.empty(0), None
    for chunk in source.chunks(CHUNK):
        count, total = count + len(chunk), total + chunk.x.sum(0)
        jacobian = float(chunk.x.sum()) if source.log else 0.0
        log_base -= float(gammaln(chunk.strengths + 1).sum()) + jacobian
        if not np.isfinite((chunk.x**2).sum()):
            raise UserError("positions are too large to be squared: give them in larger units.")
        keys = np.concatenate([keys, generator.random(len(chunk))])
        kept = chunk if kept is None else _joined(kept, chunk)
        if len(keys) > SAMPLE:
            lowest = np.sort(np.argpartition(keys, SAMPLE)[:SAMPLE])
            keys, kept = keys[lowest], kept.take(lowest)
    if kept is None or count == 0:
        raise UserError("there are no events: give a file with at least one.")
    return Summary(count, total / count, log_base, kept)


def _joined(one: Events, two: Events) -> Events:
    return Events(np.concatenate([one.x, two.x]), np.concatenate([one.strengths, two.strengths]))
