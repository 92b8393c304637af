"""What a fit is given and what it returns, whatever the algorithm."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np

from tasks.arrays import Bools, Floats, Ints
from tasks.cavi.events import EventSource
from tasks.cavi.model import EpicentreModel
from tasks.cavi.posterior import VariationalPosterior
from tasks.cavi.statistics import Statistics
from tasks.cavi.summary import EventSummary
from tasks.cavi.updates import EvidenceTerms, evidence_terms

__all__ = ["Fit", "FitProblem", "TracePoint", "trace_points"]


@dataclass(frozen=True)
class FitProblem:
    """What a fit is given.

    Attributes:
        model: The priors.
        source: The events.
        summary: What one look at them said.
        every_update: Keep the ELBO after each coordinate update, not only after each pass.
        watch: Wraps the passes with a progress bar.
    """

    model: EpicentreModel
    source: EventSource
    summary: EventSummary
    every_update: bool = False
    watch: Callable[[range], Iterable[int]] = lambda passes: passes

    def evidence(self, q: VariationalPosterior, z: Statistics) -> EvidenceTerms:
        """The ELBO's terms.

        Raises:
            UserError: If constants and events are so far apart that the ELBO is no number.
        """
        terms = evidence_terms(self.model, q, z, self.summary.log_base)
        self.model.check_finite(terms.elbo)
        return terms


class TracePoint(NamedTuple):
    """One value of the ELBO.

    Attributes:
        restart: Which restart.
        passes: Full passes so far.
        update: The coordinate updated last (z, mu, lambda or pi), all of a pass, or an estimate
            from minibatches.
        elbo: In nats.
    """

    restart: int
    passes: int
    update: str
    elbo: float


def trace_points(restarts: Ints, passes: int, update: str, elbo: Floats) -> list[TracePoint]:
    """One point for each of some restarts, whose ELBOs are ``(R,)``."""
    columns = zip(restarts.tolist(), repeat(passes), repeat(update), elbo.tolist(), strict=False)
    return [TracePoint(*row) for row in columns]


@dataclass(frozen=True)
class Fit:
    """Where R restarts ended.

    Attributes:
        q: Their posteriors.
        elbo: Theirs, in nats ``(R,)``.
        passes: How many each took ``(R,)``.
        converged: Which stopped because they gained no more ``(R,)``.
        n: Expected events of each component ``(R, K)``.
        trace: The ELBO along the way.
    """

    q: VariationalPosterior
    elbo: Floats
    passes: Ints
    converged: Bools
    n: Floats
    trace: list[TracePoint]

    @property
    def winner(self) -> int:
        """The restart with the highest ELBO."""
        return int(self.elbo.argmax())

    @property
    def best(self) -> VariationalPosterior:
        """The winner's posterior, alone."""
        return self.q.take(np.array([self.winner]))

    @property
    def curve(self) -> list[tuple[int, float]]:
        """The winner's ELBO after each pass, or its estimate: pairs of passes and nats."""
        return self.curve_of(self.winner)

    def curve_of(self, restart: int) -> list[tuple[int, float]]:
        """The same of another restart."""
        whole = [p for p in self.trace if p.restart == restart and p.update in ("all", "estimate")]
        return [(point.passes, point.elbo) for point in whole]
