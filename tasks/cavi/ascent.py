"""Coordinate ascent: full passes over all restarts at once, until none gains any more."""

from collections.abc import Iterable

import numpy as np

from tasks.arrays import Floats, Ints
from tasks.cavi.methods import FullPass, Streaming
from tasks.cavi.model import EpicentreModel
from tasks.cavi.posterior import VariationalPosterior
from tasks.cavi.problem import Fit, FitProblem, TracePoint, trace_points
from tasks.cavi.statistics import Statistics, gather
from tasks.cavi.updates import (
    EvidenceTerms,
    update_globals,
    update_lambda,
    update_mu,
    update_pi,
)

__all__ = ["ascend", "coordinate_updates"]

ROUNDING = 1e-10
"""A fall of the ELBO by less than this share of its terms is rounding, by more a defect."""


def coordinate_updates(
    model: EpicentreModel, q: VariationalPosterior, z: Statistics
) -> Iterable[tuple[str, VariationalPosterior]]:
    """The posteriors after each update of one pass; q(Z) is updated first, in ``z``."""
    yield "z", q
    q = VariationalPosterior(update_mu(model, z), q.lam, q.pi)
    yield "mu", q
    q = VariationalPosterior(q.mu, update_lambda(model, z), q.pi)
    yield "lambda", q
    yield "pi", VariationalPosterior(q.mu, q.lam, update_pi(model, z))


def ascend(options: FullPass | Streaming, problem: FitProblem, q: VariationalPosterior) -> Fit:
    """Full passes for all restarts together; each stops when a pass gains too little.

    Args:
        options: How many passes at most, and when a restart stops.
        problem: The priors and the events.
        q: R starts.

    Raises:
        UserError: If constants and events are so far apart that the ELBO is no number.
        ArithmeticError: If the ELBO falls by more than rounding, which is a defect.
    """
    count = len(q.mu.mean)
    active, elbo, n = np.arange(count), np.full(count, -np.inf), np.empty(q.lam.shape.shape)
    passes, trace = np.zeros(count, dtype=np.int64), []
    for number in problem.watch(range(1, options.max_passes + 1)):
        part, last = q.take(active), elbo[active]
        z = gather(problem.model, part, problem.source.chunks(options.chunk))
        if problem.every_update:
            trace += _each_update(problem, part, z, active, number)
        new = update_globals(problem.model, z)
        terms = problem.evidence(new, z)
        _check_rise(last, terms)
        q, elbo[active] = q.replaced(active, new), terms.elbo
        passes[active], n[active] = number, z.n
        trace += trace_points(active, number, "all", terms.elbo)
        active = active[terms.elbo - last > options.tolerance * problem.summary.count]
        if not len(active):
            break
    return Fit(q, elbo, passes, ~np.isin(np.arange(count), active), n, trace)


def _each_update(
    problem: FitProblem, q: VariationalPosterior, z: Statistics, active: Ints, number: int
) -> Iterable[TracePoint]:
    for update, after in coordinate_updates(problem.model, q, z):
        yield from trace_points(active, number, update, problem.evidence(after, z).elbo)


def _check_rise(last: Floats, terms: EvidenceTerms) -> None:
    fall = last - terms.elbo
    if not (fall <= ROUNDING * terms.magnitude).all():
        raise ArithmeticError(f"the ELBO fell by {fall.max()} nats, which is no rounding error")
