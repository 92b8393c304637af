"""The contract of a plug-in task: what it is given, what it returns, where it is found.

``--help`` of a task waits for this module: matplotlib, TensorBoard and tqdm are imported where they
are first used. Nothing here imports torch or Lightning.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.random import Generator

from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory, write_atomically
from elbolab.seeding import derive_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tasks.event_writer import EventWriter

__all__ = [
    "GROUP",
    "Table",
    "Task",
    "TaskContext",
    "TaskResult",
    "describe",
    "installed_tasks",
    "load_task",
    "write_result",
]

GROUP = "elbolab.tasks"
"""Entry-point group in which packages announce ``name = "module:Class"``."""

Table = Mapping[str, Iterable[object]]
"""Column name → values from top to bottom; every column has the same length."""

T = TypeVar("T")


class TaskContext:
    """What a task is given to work with.

    Args:
        seed: Seed of all noise.
        run: The run directory; the task may write further files under ``run.path``.
    """

    def __init__(self, seed: int, run: RunDirectory) -> None:
        self.seed, self.run = seed, run
        self._writer: EventWriter | None = None

    @property
    def writer(self) -> "EventWriter":
        """TensorBoard's writer for curves while the task runs; its first use creates the file."""
        if self._writer is None:
            from tasks.event_writer import EventWriter

            self._writer = EventWriter(self.run.path)
        return self._writer

    def generator(self, *purpose: int | str) -> Generator:
        """A NumPy generator that depends on the seed and ``purpose`` alone, fresh at every call.

        Streams with a purpose each, ``generator("chain", 3)``, do not shift when another one draws
        more or less.
        """
        return np.random.default_rng(derive_seed(self.seed, *purpose))

    def progress(
        self, iterable: Iterable[T], total: int | None = None, description: str | None = None
    ) -> Iterable[T]:
        """Passes ``iterable`` on under a progress bar, which is silent outside a terminal.

        Args:
            iterable: What to go through.
            total: Its length, where it has none of its own.
            description: What is being done, shown before the bar.
        """
        from tqdm import tqdm

        return tqdm(iterable, desc=description, total=total, disable=None)

    def close(self) -> None:
        """Writes out the events that are still in memory."""
        if self._writer is not None:
            self._writer.close()


@dataclass(frozen=True)
class TaskResult:
    """What a task returns, to be recorded as a fit's results are.

    Attributes:
        metrics: Name → value; recorded as ``<task>/<name>``.
        tables: Name → columns; written as ``<name>.csv``.
        figures: Name → matplotlib figure; written as ``images/<name>.png`` and to TensorBoard.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, "Figure"] = field(default_factory=dict)

    @classmethod
    def merged(cls, *parts: "TaskResult") -> "TaskResult":
        """One result of several.

        Raises:
            ValueError: If two of them have a metric, table or figure of the same name.
        """
        return cls(
            _joined(part.metrics for part in parts),
            _joined(part.tables for part in parts),
            _joined(part.figures for part in parts),
        )

    def tagged(self, task: str) -> dict[str, float]:
        """The metrics under the tags by which they are recorded, ``<task>/<name>``."""
        return {f"{task}/{name}": float(value) for name, value in self.metrics.items()}


def _joined(mappings: Iterable[Mapping[str, T]]) -> dict[str, T]:
    joined: dict[str, T] = {}
    for mapping in mappings:
        if twice := joined.keys() & mapping.keys():
            raise ValueError(f"named twice in a task's results: {', '.join(sorted(twice))}")
        joined |= mapping
    return joined


class Task(Protocol):
    """A class whose typed constructor is its command line; it need not derive from this one.

    The docstring's first line describes the task in the list, its ``Args:`` section the options.
    ``config``, ``seed`` and ``run_dir`` are every task's own options and no names for parameters.
    The constructor raises `UserError` for impossible values and touches no files. What is slow to
    import (SciPy, Numba, matplotlib) is imported in ``run``, best with the algorithm in a module of
    its own: ``--help`` waits for the rest.
    """

    def run(self, context: TaskContext) -> TaskResult:
        """Does the work.

        Raises:
            UserError: If the input is wrong. Raised before anything is written, it leaves no run
                directory behind.
        """
        ...


def installed_tasks() -> dict[str, EntryPoint]:
    """Every task that an installed package announces, by name; imports none of them.

    Raises:
        UserError: If two packages announce different tasks under one name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        known = found.setdefault(entry.name, entry)
        if known.value != entry.value:
            raise UserError(
                f"two packages announce a task '{entry.name}', {known.value} and {entry.value}: "
                "uninstall one."
            )
    return found


def load_task(entry: EntryPoint) -> type[Task]:
    """Imports the class of a task.

    Raises:
        UserError: If a module that the task needs is missing, or what is found is no task.
    """
    try:
        found = entry.load()
    except ImportError as error:
        raise UserError(f"task '{entry.name}' cannot be imported: {error}.") from error
    if not (isinstance(found, type) and callable(getattr(found, "run", None))):
        raise UserError(f"task '{entry.name}': {entry.value} is no class with a method 'run'.")
    return found


def describe(entry: EntryPoint) -> str:
    """One line about a task: its docstring's first, or why it cannot be loaded."""
    try:
        text = load_task(entry).__doc__ or "no description"
    except Exception as error:  # a plug-in may fail in any way; the list must show the others
        text = str(error) if isinstance(error, UserError) else f"cannot be loaded: {error!r}"
    return text.strip().partition("\n")[0]


def write_result(name: str, result: TaskResult, context: TaskContext) -> None:
    """Records a result in the run directory and in TensorBoard.

    Metrics and figures stand at the last step that the task itself wrote, or at 0.
    ``metrics.json`` comes last: where it exists, everything else does.

    Args:
        name: The task's name, prefix of its metrics.
        result: What the task returned.
        context: What the task was given.

    Raises:
        ValueError: If the columns of a table differ in length; nothing is written then.
    """
    files = {table: _as_csv(columns) for table, columns in result.tables.items()}
    metrics = result.tagged(name)
    for table, content in files.items():
        write_atomically(context.run.path / f"{table}.csv", content)
    step = context.writer.last_step
    _write_figures(result, context, step)
    for tag, value in metrics.items():
        context.writer.add_scalar(tag, value, step)
    context.run.merge_metrics(metrics)


def _write_figures(result: TaskResult, context: TaskContext, step: int) -> None:
    if not result.figures:
        return
    from elbolab.pictures import write_picture  # imports matplotlib

    for name, figure in result.figures.items():
        write_picture(figure, name, context.run, context.writer, step)


def _as_csv(columns: Table) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()
