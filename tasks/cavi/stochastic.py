"""Stochastic variational inference: a natural-gradient step after every few events.

Hoffman, Blei, Wang & Paisley, Stochastic variational inference, JMLR 14 (2013).
"""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from tasks.cavi.events import Events, EventSource
from tasks.cavi.methods import Stochastic
from tasks.cavi.posterior import VariationalPosterior
from tasks.cavi.problem import Fit, FitProblem, trace_points
from tasks.cavi.statistics import gather
from tasks.cavi.updates import update_globals

__all__ = ["minibatches", "stochastic_ascent"]


def minibatches(
    source: EventSource, batch: int, buffer: int, generator: Generator
) -> Iterator[Events]:
    """All events once, ``batch`` at a time, in random order within ``buffer`` events."""
    for chunk in source.chunks(buffer):
        order = generator.permutation(len(chunk))
        for begin in range(0, len(chunk), batch):
            yield chunk.take(order[begin : begin + batch])


def stochastic_ascent(
    options: Stochastic, problem: FitProblem, q: VariationalPosterior, generator: Generator
) -> Fit:
    """Steps of size (t + delay)^−forgetting towards what a minibatch alone would suggest.

    The last pass goes over everything once more, so that the ELBO returned is exact. Those in the
    trace are estimates from the minibatches of an epoch.

    Args:
        options: How many epochs, and the sizes of batches and steps.
        problem: The priors and the events.
        q: R starts.
        generator: Source of the order.
    """
    t, trace, total = 0, [], problem.summary.count
    restarts = np.arange(len(q.mu.mean))
    for epoch in problem.watch(range(1, options.epochs + 1)):
        estimate = np.zeros(len(restarts))
        for events in minibatches(problem.source, options.batch, options.buffer, generator):
            z = gather(problem.model, q, [events]).scaled(total / len(events))
            estimate += len(events) / total * problem.evidence(q, z).elbo
            t += 1
            step = (t + options.delay) ** -options.forgetting
            q = q.blend(update_globals(problem.model, z), step)
        trace += trace_points(restarts, epoch, "estimate", estimate)
    z = gather(problem.model, q, problem.source.chunks(options.buffer))
    elbo, passes = problem.evidence(q, z).elbo, options.epochs + 1
    trace += trace_points(restarts, passes, "all", elbo)
    return Fit(q, elbo, np.full(len(elbo), passes), np.zeros(len(elbo), dtype=bool), z.n, trace)
