"""What the command does with its options: read, fit every K, choose, assign, draw, record."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from elbolab.errors import UserError
from tasks.base import Table, TaskContext, TaskResult
from tasks.cavi import graph_picture, pictures
from tasks.cavi.events import Events, InMemory, Source, Summary, summarise, whole
from tasks.cavi.fitting import Fit, Problem
from tasks.cavi.model import Model
from tasks.cavi.predictive import assign, log_density
from tasks.cavi.readers import CsvEvents
from tasks.cavi.recovery import accuracy, match
from tasks.cavi.simulation import Truth, simulate
from tasks.cavi.starts import start
from tasks.cavi.task import CAVI
from tasks.cavi.updates import responsibilities

__all__ = ["Prepared", "run"]


@dataclass(frozen=True)
class Prepared:
    """What is known before the first pass.

    Attributes:
        model: The priors.
        source: The events.
        summary: What one look at them said.
        names: Of the coordinates.
        truth: Of simulated events.
        new: Events to assign.
    """

    model: Model
    source: Source
    summary: Summary
    names: list[str]
    truth: Truth | None
    new: Events | None


def run(task: CAVI, context: TaskContext) -> TaskResult:
    """Does what `task.CAVI` promises.

    Raises:
        UserError: If a file or an option is wrong.
    """
    given = prepare(task, context)
    fits = {k: _fit(task, given, k, context) for k in sorted(set(task.components))}
    chosen = max(fits, key=lambda k: fits[k].elbo.max())
    fit = fits[chosen]
    parts = [
        _summary(given, fit),
        _picture(given, fit),
        _choice(fits),
        _recovery(given, fit),
        _assignments(given, fit),
    ]
    _curve(fit, context)
    return _merged(parts)


def prepare(task: CAVI, context: TaskContext) -> Prepared:
    """Reads or simulates the events, and completes the model.

    Raises:
        UserError: If a file is wrong, or there are fewer events than components.
    """
    source, truth = _source(task, context)
    source = task.algorithm.hold(source)
    summary = summarise(source, context.generator("sample"))
    if summary.count < max(task.components):
        raise UserError(
            f"{max(task.components)} components need as many events, and there are "
            f"{summary.count}: ask for fewer --components."
        )
    nu = summary.mean if task.nu is None else np.array(task.nu, dtype=float)
    model = Model(task.constants, nu, task.weights)
    names = task.position or [f"x{i}" for i in range(1, task.dimensions + 1)]
    if task.log:
        names = [f"log {name}" for name in (task.position or ["distance"])]
    return Prepared(model, source, summary, names, truth, _new_events(task))


def _source(task: CAVI, context: TaskContext) -> tuple[Source, Truth | None]:
    if task.data is None:
        nu = np.array(task.nu or [0.0] * task.dimensions, dtype=float)
        model = Model(task.constants, nu, task.weights)
        events, truth = simulate(task.simulation, model, context.generator("simulation"))
        return InMemory(events, task.log), truth
    return _file(task, task.data), None


def _file(task: CAVI, path: str) -> CsvEvents:
    return CsvEvents(Path(path), task.position or [], task.strength or "", task.log)


def _new_events(task: CAVI) -> Events | None:
    return whole(_file(task, task.assign)).events if task.assign else None


def _fit(task: CAVI, given: Prepared, k: int, context: TaskContext) -> Fit:
    def watch(passes: range) -> object:
        return context.progress(passes, description=f"K = {k}, passes")

    problem = Problem(given.model, given.source, given.summary, task.every_update, watch)  # pyright: ignore
    generators = [context.generator("start", k, i) for i in range(task.restarts)]
    first = start(given.model, given.summary, k, generators)
    return task.algorithm.fit(problem, first, context.generator("order", k))


def _summary(given: Prepared, fit: Fit) -> TaskResult:
    q = fit.best
    std = 1 / np.sqrt(q.mu.precision[0])
    table: Table = {
        "component": range(1, len(std) + 1),
        "weight": q.pi.mean[0],
        "events": fit.n[fit.winner],
        **{name: q.mu.mean[0, :, i] for i, name in enumerate(given.names)},
        "position_std": std,
        "strength": q.lam.mean[0],
        "strength_std": np.sqrt(q.lam.shape[0]) / q.lam.rate[0],
    }
    metrics = {
        "elbo": fit.elbo.max(),
        "elbo_mean": fit.elbo.mean(),
        "elbo_min": fit.elbo.min(),
        "elbo_std": fit.elbo.std(),
        "elbo_per_event": fit.elbo.max() / given.summary.count,
        "events": given.summary.count,
        "components": len(std),
        "passes": int(fit.passes[fit.winner]),
        "converged": int(fit.converged.sum()),
    }
    restarts: Table = {
        "restart": range(1, len(fit.elbo) + 1),
        "elbo": fit.elbo,
        "passes": fit.passes,
        "converged": fit.converged,
    }
    trace: Table = {
        "restart": [point.restart + 1 for point in fit.trace],
        "passes": [point.passes for point in fit.trace],
        "update": [point.update for point in fit.trace],
        "elbo": [point.elbo for point in fit.trace],
    }
    tables = {"epicentres": table, "restarts": restarts, "elbo": trace}
    figures = {
        "elbo": pictures.elbo_picture(fit),
        "restarts": pictures.restarts_picture(fit),
        "graphical_model": graph_picture.graph_picture(given.source.log, given.model.weights),
    }
    return TaskResult(metrics, tables, figures)


def _picture(given: Prepared, fit: Fit) -> TaskResult:
    q, sample = fit.best, given.summary.sample
    shown = sample.take(slice(pictures.SHOWN))
    r = responsibilities(given.model, q, shown)[0]
    figures = {
        "events": pictures.events_picture(given.model, q, shown, r, given.names),
        "predictive": pictures.predictive_picture(given.model, q, sample, given.names),
    }
    return TaskResult(figures=figures)


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


def _recovery(given: Prepared, fit: Fit) -> TaskResult:
    if given.truth is None:
        return TaskResult()
    q, truth = fit.best, given.truth
    found, true = pairs = match(given.model, q, truth)
    away = q.mu.mean[0][found] - truth.mu[true]
    label = responsibilities(given.model, q, whole(given.source).events)[0].argmax(-1)
    metrics = {
        "recovery/position_rmse": np.sqrt((away**2).mean()),
        "recovery/strength_rmse": np.sqrt(((q.lam.mean[0][found] - truth.lam[true]) ** 2).mean()),
        "recovery/accuracy": accuracy(pairs, label, truth.z),
    }
    table: Table = {
        "component": found + 1,
        **{f"true {name}": truth.mu[true, i] for i, name in enumerate(given.names)},
        **{name: q.mu.mean[0][found, i] for i, name in enumerate(given.names)},
        "position_std": 1 / np.sqrt(q.mu.precision[0][found]),
        "true strength": truth.lam[true],
        "strength": q.lam.mean[0][found],
    }
    figure = pictures.recovery_picture(q, truth, pairs, given.names)
    return TaskResult(metrics, {"recovery": table}, {"recovery": figure})


def _assignments(given: Prepared, fit: Fit) -> TaskResult:
    if given.new is None:
        return TaskResult()
    new, q, log = given.new, fit.best, given.source.log
    p, density = assign(given.model, q, new), log_density(given.model, q, new, log)
    table: Table = {
        **{name: new.x[:, i] for i, name in enumerate(given.names)},
        "strength": new.strengths.astype(int),
        "component": p.argmax(-1) + 1,
        **{f"p{k}": column for k, column in enumerate(p.T, 1)},
        "log_density": density,
    }
    return TaskResult({"assigned_log_density": density.mean()}, {"assignments": table})


def _curve(fit: Fit, context: TaskContext) -> None:
    """The best restart's ELBO in TensorBoard, a point a pass."""
    for point in fit.trace:
        if point.restart == fit.winner and point.update in ("all", "estimate"):
            context.writer.add_scalar("cavi/running/elbo", point.elbo, point.passes)


def _merged(parts: list[TaskResult]) -> TaskResult:
    metrics, tables, figures = {}, {}, {}
    for part in parts:
        metrics |= part.metrics
        tables |= part.tables
        figures |= part.figures
    return TaskResult(metrics, tables, figures)
