"""Coordinate ascent: full passes over all restarts at once, until none gains any more."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tasks.cavi.events import Events, InMemory, Source, Summary, summarise
from tasks.cavi.model import Model
from tasks.cavi.posterior import Array, Indices, Posterior
from tasks.cavi.starts import start
from tasks.cavi.statistics import Statistics, gather
from tasks.cavi.updates import Bound, bound, update_globals, update_lambda, update_mu, update_pi

__all__ = ["Fit", "Point", "Problem", "ascend", "coordinate_updates", "fit_in_memory"]

ROUNDING = 1e-10
"""A fall of the ELBO by less than this share of its terms is rounding, by more a defect."""


class Point(NamedTuple):
    """One value of the ELBO.

    Attributes:
        restart: Which restart.
        passes: Full passes so far.
        update: The coordinate updated last: z, mu, lambda, pi, or all of a pass.
        elbo: In nats.
    """

    restart: int
    passes: int
    update: str
    elbo: float


@dataclass(frozen=True)
class Problem:
    """What a fit is given.

    Attributes:
        model: The priors.
        source: The events.
        summary: What one look at them said.
        every_update: Keep the ELBO after each coordinate update, not only after each pass.
        watch: Wraps the passes with a progress bar.
    """

    model: Model
    source: Source
    summary: Summary
    every_update: bool = False
    watch: Callable[[range], Iterable[int]] = lambda passes: passes

    def bound(self, q: Posterior, z: Statistics) -> Bound:
        """The ELBO's terms."""
        return bound(self.model, q, z, self.summary.log_base)


@dataclass(frozen=True)
class Fit:
    """What R restarts found.

    Attributes:
        q: Their posteriors.
        elbo: Theirs, in nats ``(R,)``.
        passes: How many each took ``(R,)``.
        converged: Which stopped because they gained no more ``(R,)``.
        n: Expected events of each component ``(R, K)``.
        trace: The ELBO along the way.
    """

    q: Posterior
    elbo: Array
    passes: Indices
    converged: NDArray[np.bool_]
    n: Array
    trace: list[Point]

    @property
    def winner(self) -> int:
        """The restart with the highest ELBO."""
        return int(self.elbo.argmax())

    @property
    def best(self) -> Posterior:
        """The winner's posterior, alone."""
        return self.q.take(np.array([self.winner]))


def coordinate_updates(
    model: Model, q: Posterior, z: Statistics
) -> Iterable[tuple[str, Posterior]]:
    """The posteriors after each update of one pass; q(Z) is updated first, in ``z``."""
    yield "z", q
    q = Posterior(update_mu(model, z), q.lam, q.pi)
    yield "mu", q
    q = Posterior(q.mu, update_lambda(model, z), q.pi)
    yield "lambda", q
    yield "pi", Posterior(q.mu, q.lam, update_pi(model, z))


def ascend(problem: Problem, q: Posterior, chunk: int, max_passes: int, tolerance: float) -> Fit:
    """Full passes for all restarts together; each stops when a pass gains too little.

    Args:
        problem: The priors and the events.
        q: R starts.
        chunk: Events held at a time.
        max_passes: Passes at most.
        tolerance: A restart stops when a pass gains less, in nats per event.

    Raises:
        ArithmeticError: If the ELBO falls by more than rounding, which is a defect.
    """
    count = len(q.mu.mean)
    active, elbo, n = np.arange(count), np.full(count, -np.inf), np.empty(q.lam.shape.shape)
    passes, trace = np.zeros(count, dtype=np.intp), []
    for number in problem.watch(range(1, max_passes + 1)):
        part, last = q.take(active), elbo[active]
        z = gather(problem.model, part, problem.source.chunks(chunk))
        if problem.every_update:
            trace += _updates(problem, part, z, active, number)
        new = update_globals(problem.model, z)
        found = problem.bound(new, z)
        _check(last, found)
        q, elbo[active] = q.replaced(active, new), found.elbo
        passes[active], n[active] = number, z.n
        trace += _points(active, number, "all", found.elbo)
        active = active[found.elbo - last > tolerance * problem.summary.count]
        if not len(active):
            break
    return Fit(q, elbo, passes, ~np.isin(np.arange(count), active), n, trace)


def _updates(
    problem: Problem, q: Posterior, z: Statistics, active: Indices, number: int
) -> list[Point]:
    found = []
    for update, after in coordinate_updates(problem.model, q, z):
        found += _points(active, number, update, problem.bound(after, z).elbo)
    return found


def _points(active: Indices, number: int, update: str, elbo: Array) -> list[Point]:
    columns = zip(active.tolist(), repeat(number), repeat(update), elbo.tolist(), strict=False)
    return [Point(*row) for row in columns]


def _check(last: Array, found: Bound) -> None:
    fall = last - found.elbo
    if not (fall <= ROUNDING * found.magnitude).all():
        raise ArithmeticError(f"the ELBO fell by {fall.max()} nats, which is no rounding error")


def fit_in_memory(
    model: Model,
    x: Array,
    strengths: Array,
    components: int,
    restarts: int = 10,
    seed: int = 0,
    max_passes: int = 1000,
    tolerance: float = 1e-8,
) -> Fit:
    """Fits arrays, without the command.

    Args:
        model: The priors.
        x: Positions ``(N, D)``.
        strengths: Counts ``(N,)``.
        components: K.
        restarts: R.
        seed: Of all noise.
        max_passes: Passes at most.
        tolerance: A restart stops when a pass gains less, in nats per event.
    """
    source = InMemory(Events(x, strengths))
    generators: list[Generator] = np.random.default_rng(seed).spawn(restarts + 1)
    summary = summarise(source, generators.pop())
    first = start(model, summary, components, generators)
    return ascend(Problem(model, source, summary), first, len(strengths), max_passes, tolerance)
