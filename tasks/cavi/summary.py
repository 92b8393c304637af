"""What is found out in one look at all events, before the first pass."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.special import gammaln

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.cavi.events import CHUNK, Events, EventSource

__all__ = ["EventSummary", "summarise"]

SAMPLE = 10_000
"""Events on which starts are found and pictures drawn."""


@dataclass(frozen=True)
class EventSummary:
    """What one look at all events says.

    Attributes:
        count: N.
        mean: Mean position ``(D,)``.
        log_base: −Σ log S_n!, and −Σ log R_n for distances, in nats.
        sample: Up to `SAMPLE` of the events, drawn without replacement.
    """

    count: int
    mean: Floats
    log_base: float
    sample: Events


def summarise(source: EventSource, generator: Generator) -> EventSummary:
    """Counts, averages and samples the events in one pass.

    Raises:
        UserError: If there are none, or positions are too large to be squared.
    """
    count, total, log_base = 0, np.zeros(1), 0.0
    keys, kept = np.empty(0), None
    for chunk in source.chunks(CHUNK):
        count, total = count + len(chunk), total + chunk.x.sum(0)
        log_base += _log_base(chunk, source.log)
        keys = np.concatenate([keys, generator.random(len(chunk))])
        kept = chunk if kept is None else _joined(kept, chunk)
        if len(keys) > SAMPLE:
            lowest = np.sort(np.argpartition(keys, SAMPLE)[:SAMPLE])
            keys, kept = keys[lowest], kept.take(lowest)
    if kept is None or count == 0:
        raise UserError("there are no events: give a file with at least one.")
    return EventSummary(count, total / count, log_base, kept)


def _log_base(events: Events, log: bool) -> float:
    """−Σ log S_n! and, for distances R = e^x, −Σ log R_n."""
    with np.errstate(over="ignore"):
        if not np.isfinite((events.x**2).sum()):
            raise UserError("positions are too large to be squared: give them in larger units.")
    jacobian = float(events.x.sum()) if log else 0.0
    return -(float(gammaln(events.strengths + 1).sum()) + jacobian)


def _joined(one: Events, two: Events) -> Events:
    return Events(np.concatenate([one.x, two.x]), np.concatenate([one.strengths, two.strengths]))
