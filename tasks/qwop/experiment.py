"""What the command does with its options: search or score, report, draw."""

import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from elbolab.errors import UserError
from elbolab.run_directory import write_atomically
from tasks.base import Table, TaskContext, TaskResult
from tasks.qwop import pictures
from tasks.qwop.drawing import gait_gif
from tasks.qwop.executors import evaluate_plans, open_executor
from tasks.qwop.files import load_told, plan_table, read_plan, save_told
from tasks.qwop.options import Optimiser, QWOPOptions
from tasks.qwop.searches import begin_search
from tasks.qwop.simulator import Gait, as_plans, simulate_batch, trace_plan
from tasks.qwop.study import SearchRun, rounds

__all__ = ["run"]

CHECKPOINT = Path("checkpoints/search.npz")
"""In the run directory: all distances that the searches were told."""

SAVE_SECONDS = 5.0
"""Between two checkpoints."""

CURVE_POINTS = 500
"""At most, of a search's curve in TensorBoard."""

TARGET = 5.73
"""What the base experiment's genetic algorithm reached."""


def run(options: QWOPOptions, context: TaskContext) -> TaskResult:
    """Scores and draws the given plan, or searches for one and reports on the search.

    Raises:
        UserError: If the plan's file holds none, there is nothing to resume, or the executor cannot
            be had.
    """
    return _search(options, context) if options.plan is None else _score(options.plan, context)


def _score(plan: str, context: TaskContext) -> TaskResult:
    genes = as_plans(read_plan(plan), ndim=1)[0]
    gait = trace_plan(genes)
    steps = len(gait.points) - 1
    metrics = {"distance": gait.distance, "steps": steps, "fell": gait.fell}
    return TaskResult(metrics, {"plan": plan_table({"": genes})}, _draw(gait, plan, context))


def _draw(gait: Gait, name: str, context: TaskContext) -> dict[str, Figure]:
    write_atomically(context.run.images / "gait.gif", gait_gif(gait.points))
    title = f"{name}: distance {gait.distance:.4f} in {len(gait.points) - 1} steps, every tenth"
    return {"strobe": pictures.strobe(gait, title)}


def _search(options: QWOPOptions, context: TaskContext) -> TaskResult:
    """Searches with every optimiser and every seed, side by side."""
    optimisers = _named(options.optimisers)
    runs = {
        name: [_begin(options, name, seed, optimiser, context) for seed in range(options.seeds)]
        for name, optimiser in optimisers.items()
    }
    every = [run for its_own in runs.values() for run in its_own]
    if options.resume is not None:
        _resume(every, Path(options.resume) / CHECKPOINT)
    with open_executor(options.executor, options.scheduler) as executor:
        work = rounds(every, partial(evaluate_plans, executor=executor, chunk=options.chunk))
        ticks = _watched(work, every, context)
        for _ in context.progress(ticks, options.budget * len(every), "plans"):
            pass
    return _report(runs, context)


def _named(optimisers: list[Optimiser]) -> dict[str, Optimiser]:
    """Optimisers by their class, with a number where there are several of one class."""
    named: dict[str, Optimiser] = {}
    for optimiser in optimisers:
        name = type(optimiser).__name__
        count = sum(known.partition("-")[0] == name for known in named)
        named[f"{name}-{count + 1}" if count else name] = optimiser
    return named


def _begin(
    options: QWOPOptions, name: str, seed: int, optimiser: Optimiser, context: TaskContext
) -> SearchRun:
    return SearchRun(
        name,
        seed,
        settings={"class": type(optimiser).__name__, **vars(optimiser), "seed": context.seed},
        search=begin_search(optimiser, context.generator("search", seed)),
        budget=options.budget,
        patience=options.patience or math.inf,
        asks_per_iteration=optimiser.asks_per_iteration,
    )


def _resume(runs: list[SearchRun], path: Path) -> None:
    """Brings searches to where they were, if they were told what this simulator says."""
    for run, told in zip(runs, load_told(path, runs), strict=True):
        plans = run.ask()[: len(told)]
        if (simulate_batch(plans) != told[: len(plans)]).any():
            raise UserError(
                f"cannot resume from {path}: its distances are not those of this simulator. Name "
                "another run."
            )
        run.replay(told)


def _watched(work: Iterator[int], runs: list[SearchRun], context: TaskContext) -> Iterator[None]:
    """Does the work, with curves and checkpoints on the way; yields once for each evaluation."""
    saved, drawn = time.monotonic(), [0] * len(runs)
    try:
        for count in work:
            drawn = [_curve(run, start, context) for run, start in zip(runs, drawn, strict=True)]
            if time.monotonic() - saved > SAVE_SECONDS:
                save_told(context.run.path / CHECKPOINT, runs)
                saved = time.monotonic()
            yield from (None for _ in range(count))
    finally:
        save_told(context.run.path / CHECKPOINT, runs)


def _curve(run: SearchRun, start: int, context: TaskContext) -> int:
    """Writes a search's new iterations to TensorBoard, or every so many of them."""
    tag = f"qwop/{run.optimiser}/seed_{run.seed}"
    for number in range(start, len(run.history)):
        entry = run.history[number]
        every = max(run.budget // (entry.evaluations // (number + 1) or 1) // CURVE_POINTS, 1)
        if number % every == 0:
            for name in ("best", "mean", "spread"):
                value = getattr(entry, name)
                context.writer.add_scalar(f"{tag}/{name}", value, entry.evaluations)
    return len(run.history)


def _report(optimisers: Mapping[str, list[SearchRun]], context: TaskContext) -> TaskResult:
    best = {name: max(runs, key=lambda run: run.best) for name, runs in optimisers.items()}
    champion = max(best.values(), key=lambda run: run.best)
    gait = trace_plan(champion.plan)
    metrics = {"distance": champion.best}
    for name, runs in optimisers.items():
        metrics |= {f"{name}/{key}": value for key, value in _summary(runs).items()}
    tables = {
        "best_plan": plan_table({"": champion.plan}),
        "plans": plan_table({name: run.plan for name, run in best.items()}),
        "history": _history([run for runs in optimisers.values() for run in runs]),
        "optimisers": _comparison(optimisers),
    }
    figures = _draw(gait, f"{champion.optimiser}, seed {champion.seed}", context)
    figures["learning_curves"] = pictures.learning_curves(optimisers)
    return TaskResult(metrics, tables, figures)


def _summary(runs: list[SearchRun]) -> dict[str, float]:
    """Quantiles over seeds of the longest distance, and what it cost."""
    distances = np.array([run.best for run in runs])
    names = ("min", "quartile_1", "median", "quartile_3", "max")
    quantiles = np.quantile(distances, [0, 0.25, 0.5, 0.75, 1]).tolist()
    reached = np.mean(distances >= TARGET)
    evaluations = np.median([run.evaluations for run in runs])
    return {
        **dict(zip(names, quantiles, strict=True)),
        "reached_target": float(reached),
        "evaluations": float(evaluations),
    }


def _comparison(optimisers: Mapping[str, list[SearchRun]]) -> Table:
    rows = [
        {"optimiser": name, "seeds": len(runs), **_summary(runs)}
        for name, runs in optimisers.items()
    ]
    return {column: [row[column] for row in rows] for column in rows[0]}


def _history(runs: list[SearchRun]) -> Table:
    rows = [
        (run.optimiser, run.seed, number, entry.evaluations, entry.best, entry.mean, entry.spread)
        for run in runs
        for number, entry in enumerate(run.history, 1)
    ]
    columns = ("optimiser", "seed", "iteration", "evaluations", "best", "mean", "spread")
    return dict(zip(columns, zip(*rows, strict=True), strict=True))
