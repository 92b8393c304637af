"""The way in: from an algorithm's options to what it does, and a fit without the command."""

from functools import singledispatch

import numpy as np
from numpy.random import Generator

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.cavi.ascent import ascend
from tasks.cavi.events import Events, InMemory
from tasks.cavi.methods import Algorithm, FullPass, Stochastic, Streaming
from tasks.cavi.model import EpicentreModel
from tasks.cavi.posterior import VariationalPosterior
from tasks.cavi.problem import Fit, FitProblem
from tasks.cavi.starts import start
from tasks.cavi.stochastic import stochastic_ascent
from tasks.cavi.summary import summarise

__all__ = ["fit_in_memory", "fit_posterior"]


@singledispatch
def fit_posterior(
    options: Algorithm, problem: FitProblem, q: VariationalPosterior, generator: Generator
) -> Fit:
    """Ascends from all starts at once, as the options' class says.

    An algorithm of one's own is a class of options and a function registered for it
    (``@fit_posterior.register``).

    Args:
        options: The algorithm's.
        problem: The priors and the events.
        q: R starts.
        generator: Source of the order of events, where an algorithm draws one.

    Raises:
        UserError: If nothing is registered for that class.
    """
    del problem, q, generator  # for those that are registered
    name = type(options).__name__
    raise UserError(f"algorithm {name} must be registered with tasks.cavi.fitting.fit_posterior.")


@fit_posterior.register
def _ascend(
    options: FullPass | Streaming, problem: FitProblem, q: VariationalPosterior, _: Generator
) -> Fit:
    return ascend(options, problem, q)


fit_posterior.register(Stochastic, stochastic_ascent)


def fit_in_memory(
    model: EpicentreModel,
    x: Floats,
    strengths: Floats,
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
    return ascend(FullPass(max_passes, tolerance), FitProblem(model, source, summary), first)
