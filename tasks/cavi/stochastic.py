"""Stochastic variational inference: a natural-gradient step after every few events.

Hoffman, Blei, Wang & Paisley, Stochastic variational inference, JMLR 14 (2013).
"""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from tasks.cavi.events import Events, Source
from tasks.cavi.fitting import Fit, Point, Problem
from tasks.cavi.posterior import Posterior
from tasks.cavi.statistics import gather
from tasks.cavi.updates import update_globals

__all__ = ["minibatches", "stochastic_ascent"]


def minibatches(source: Source, batch: int, buffer: int, generator: Generator) -> Iterator[Events]:
    """All events once, ``batch`` at a time, in random order within ``buffer`` events."""
    for chunk in source.chunks(buffer):
        order = generator.permutation(len(chunk))
        for begin in range(0, len(chunk), batch):
            yield chunk.take(order[begin : begin + batch])


def stochastic_ascent(
    problem: Problem,
    q: Posterior,
    generator: Generator,
    epochs: int,
    batch: int,
    buffer: int,
    forgetting: float,
    delay: float,
) -> Fit:
    """Steps of size (t + delay)^−forgetting towards what a minibatch alone would suggest.

    The last pass goes over everything once more, so that the ELBO returned is exact. Those in the
    trace are estimates from the minibatches of an epoch.

    Args:
        problem: The priors and the events.
        q: R starts.
        generator: Source of the order.
        epochs: Passes over all events.
        batch: Events of a step.
        buffer: Events held at a time, within which the order is random.
        forgetting: κ in (½, 1], for which the steps converge.
        delay: Positive; larger makes the first steps smaller.
    """
    t, trace, total = 0, [], problem.summary.count
    restarts = range(len(q.mu.mean))
    for epoch in problem.watch(range(1, epochs + 1)):
        estimate = np.zeros(len(restarts))
        for events in minibatches(problem.source, batch, buffer, generator):
            z = gather(problem.model, q, [events]).scaled(total / len(events))
            estimate += len(events) / total * problem.bound(q, z).elbo
            t += 1
            q = q.blend(update_globals(problem.model, z), (t + delay) ** -forgetting)
        trace += [Point(i, epoch, "estimate", float(estimate[i])) for i in restarts]
    z = gather(problem.model, q, problem.source.chunks(buffer))
    elbo = problem.bound(q, z).elbo
    trace += [Point(i, epochs + 1, "all", float(elbo[i])) for i in restarts]
    passes = np.full(len(restarts), epochs + 1)
    return Fit(q, elbo, passes, np.zeros(len(restarts), dtype=bool), z.n, trace)
