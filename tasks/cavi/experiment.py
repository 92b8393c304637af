"""What the command does with its options: read, fit every K, choose, assign, draw, record."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from elbolab.errors import UserError
from elbolab.files import shown
from elbolab.pictures import plain_text
from tasks.base import Table, TaskContext, TaskResult
from tasks.cavi import graph_picture, pictures
from tasks.cavi.events import Events, EventSource, InMemory, whole
from tasks.cavi.fitting import fit_posterior
from tasks.cavi.model import DirichletWeights, EpicentreModel, FixedWeights, WeightPrior
from tasks.cavi.options import CAVIOptions
from tasks.cavi.predictive import assign, log_predictive, responsibilities
from tasks.cavi.problem import Fit, FitProblem
from tasks.cavi.readers import CsvEvents
from tasks.cavi.simulation import Truth, accuracy, match, simulate_events
from tasks.cavi.starts import start
from tasks.cavi.summary import EventSummary, summarise

__all__ = ["PreparedFit", "prepare_fit", "run"]

TAKEN = re.compile(r"component|weight|events|(position|strength)_std|strength|log_density|p\d+")
"""Columns of our own tables: a coordinate of that name gets another one."""


@dataclass(frozen=True)
class PreparedFit:
    """What is known before the first pass.

    Attributes:
        model: The priors.
        source: The events.
        summary: What one look at them said.
        names: Of the coordinates.
        truth: Of simulated events.
        new: Events to assign.
    """

    model: EpicentreModel
    source: EventSource
    summary: EventSummary
    names: list[str]
    truth: Truth | None
    new: Events | None


def run(options: CAVIOptions, context: TaskContext) -> TaskResult:
    """Reads or simulates, fits, chooses, assigns and draws.

    Raises:
        UserError: If a file or an option is wrong.
    """
    given = prepare_fit(options, context)
    fits = {k: _fit(options, given, k, context) for k in options.counts}
    chosen = max(fits, key=lambda k: fits[k].elbo.max())
    best = fits[chosen]
    result = TaskResult.merged(
        _fitted(given, best),
        _drawn(given, best),
        _choice(fits),
        _recovery(given, best),
        _assignments(given, best),
    )
    for passes, elbo in best.curve:
        context.writer.add_scalar("cavi/running/elbo", elbo, passes)
    return result


def prepare_fit(options: CAVIOptions, context: TaskContext) -> PreparedFit:
    """Reads or simulates the events, and completes the model.

    Raises:
        UserError: If a file is wrong, or there are fewer events than components.
    """
    source, truth = _source(options, context)
    source = options.algorithm.hold(source)
    summary = summarise(source, context.generator("sample"))
    most = max(options.counts)
    if summary.count < most:
        raise UserError(
            f"{most} components need as many events, and there are {summary.count}: "
            "ask for fewer --components."
        )
    nu = summary.mean if options.nu is None else np.array(options.nu, dtype=float)
    model = EpicentreModel(options.constants, nu, _weight_prior(options))
    new = whole(_file(options, options.assign)).events if options.assign else None
    return PreparedFit(model, source, summary, _names(options), truth, new)


def _source(options: CAVIOptions, context: TaskContext) -> tuple[EventSource, Truth | None]:
    if options.data is not None:
        return _file(options, options.data), None
    nu = np.array(options.nu or [0.0] * options.dimensions, dtype=float)
    model = EpicentreModel(options.constants, nu, _weight_prior(options))
    noise = context.generator("simulation")
    events, truth = simulate_events(options.simulation, model, noise)
    return InMemory(events, options.log), truth


def _file(options: CAVIOptions, path: str) -> CsvEvents:
    return CsvEvents(path, options.position or [], options.strength or "", options.log)


def _weight_prior(options: CAVIOptions) -> WeightPrior:
    if options.weights == "learn":
        return DirichletWeights(options.concentration)
    if options.weights == "uniform":
        return FixedWeights()
    return FixedWeights(tuple(options.weights))


def _names(options: CAVIOptions) -> list[str]:
    """Of the coordinates, and of their columns in tables."""
    if options.log:
        return [f"log {name}" for name in options.position or _numbered("distance", options)]
    names = options.position or _numbered("x", options)
    return [f"position {name}" if TAKEN.fullmatch(name) else name for name in names]


def _numbered(name: str, options: CAVIOptions) -> list[str]:
    if options.log and options.dimensions == 1:
        return [name]
    return [f"{name}{i}" for i in range(1, options.dimensions + 1)]


def _fit(options: CAVIOptions, given: PreparedFit, k: int, context: TaskContext) -> Fit:
    def watch(passes: range) -> Iterable[int]:
        return context.progress(passes, description=f"K = {k}, passes")

    every_update = options.trace == "updates"
    problem = FitProblem(given.model, given.source, given.summary, every_update, watch)
    generators = [context.generator("start", k, i) for i in range(options.restarts)]
    first = start(given.model, given.summary, k, generators)
    return fit_posterior(options.algorithm, problem, first, context.generator("order", k))


def _fitted(given: PreparedFit, fit: Fit) -> TaskResult:
    tables = {"epicentres": _epicentres(given, fit), "restarts": _restarts(fit)}
    figures = {
        "elbo": pictures.elbo_picture(fit),
        "restarts": pictures.restarts_picture(fit),
        "graphical_model": graph_picture.graph_picture(given.source.log, given.model.weights),
    }
    return TaskResult(_metrics(given, fit), {**tables, "elbo": _trace(fit)}, figures)


def _metrics(given: PreparedFit, fit: Fit) -> dict[str, float]:
    return {
        "elbo": fit.elbo.max(),
        "elbo_mean": fit.elbo.mean(),
        "elbo_min": fit.elbo.min(),
        "elbo_std": fit.elbo.std(),
        "elbo_per_event": fit.elbo.max() / given.summary.count,
        "events": given.summary.count,
        "components": fit.n.shape[1],
        "passes": int(fit.passes[fit.winner]),
        "converged": int(fit.converged.sum()),
    }


def _epicentres(given: PreparedFit, fit: Fit) -> Table:
    q = fit.best
    return {
        "component": range(1, fit.n.shape[1] + 1),
        "weight": q.pi.mean[0],
        "events": fit.n[fit.winner],
        **{name: q.mu.mean[0, :, i] for i, name in enumerate(given.names)},
        "position_std": 1 / np.sqrt(q.mu.precision[0]),
        "strength": q.lam.mean[0],
        "strength_std": np.sqrt(q.lam.shape[0]) / q.lam.rate[0],
    }


def _restarts(fit: Fit) -> Table:
    return {
        "restart": range(1, len(fit.elbo) + 1),
        "elbo": fit.elbo,
        "passes": fit.passes,
        "converged": fit.converged,
    }


def _trace(fit: Fit) -> Table:
    return {
        "restart": [point.restart + 1 for point in fit.trace],
        "passes": [point.passes for point in fit.trace],
        "update": [point.update for point in fit.trace],
        "elbo": [point.elbo for point in fit.trace],
    }


def _drawn(given: PreparedFit, fit: Fit) -> TaskResult:
    q, sample = fit.best, given.summary.sample
    some, names = sample.take(slice(pictures.SHOWN)), [_no_formula(name) for name in given.names]
    r = responsibilities(given.model, q, some)[0]
    figures = {
        "events": pictures.events_picture(given.model, q, some, r, names),
        "predictive": pictures.predictive_picture(given.model, q, sample, names),
    }
    return TaskResult(figures=figures)


def _no_formula(name: str) -> str:
    """A column's name as matplotlib shall draw it, whatever it contains and however long it is."""
    return plain_text(shown(name))


def _choice(fits: dict[int, Fit]) -> TaskResult:
    if len(fits) == 1:
        return TaskResult()
    factorials = [math.lgamma(k + 1) for k in fits]
    best = [float(fit.elbo.max()) for fit in fits.values()]
    table: Table = {
        "components": fits,
        "elbo": best,
        "elbo_mean": [fit.elbo.mean() for fit in fits.values()],
        "elbo_min": [fit.elbo.min() for fit in fits.values()],
        "elbo_plus_log_factorial": np.add(best, factorials),
        "passes": [fit.passes[fit.winner] for fit in fits.values()],
    }
    figures = {"components": pictures.components_picture(fits)}
    return TaskResult(tables={"components": table}, figures=figures)


def _recovery(given: PreparedFit, fit: Fit) -> TaskResult:
    if given.truth is None:
        return TaskResult()
    q, truth = fit.best, given.truth
    fitted, true = pairs = match(given.model, q, truth)
    position, strength = q.mu.mean[0][fitted], q.lam.mean[0][fitted]
    label = responsibilities(given.model, q, whole(given.source).events)[0].argmax(-1)
    metrics = {
        "recovery/position_rmse": np.sqrt(((position - truth.mu[true]) ** 2).mean()),
        "recovery/strength_rmse": np.sqrt(((strength - truth.lam[true]) ** 2).mean()),
        "recovery/accuracy": accuracy(pairs, label, truth.z),
    }
    table: Table = {
        "component": fitted + 1,
        **{f"true {name}": truth.mu[true, i] for i, name in enumerate(given.names)},
        **{name: position[:, i] for i, name in enumerate(given.names)},
        "position_std": 1 / np.sqrt(q.mu.precision[0][fitted]),
        "true strength": truth.lam[true],
        "strength": strength,
    }
    figure = pictures.recovery_picture(q, truth, pairs, given.names)
    return TaskResult(metrics, {"recovery": table}, {"recovery": figure})


def _assignments(given: PreparedFit, fit: Fit) -> TaskResult:
    if given.new is None:
        return TaskResult()
    new, q, log = given.new, fit.best, given.source.log
    p, density = assign(given.model, q, new), log_predictive(given.model, q, new, log)
    table: Table = {
        **{name: new.x[:, i] for i, name in enumerate(given.names)},
        "strength": new.strengths.astype(int),
        "component": p.argmax(-1) + 1,
        **{f"p{k}": column for k, column in enumerate(p.T, 1)},
        "log_density": density,
    }
    return TaskResult({"assigned_log_density": density.mean()}, {"assignments": table})
