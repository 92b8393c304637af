"""The contract of a plug-in task: what it is given, what it returns.

``--help`` of a task waits for this module, which therefore imports TensorBoard and tqdm only where
a curve or a bar begins, and no matplotlib. Nothing here imports torch or Lightning.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.random import Generator

from elbolab.run_directory import RunDirectory
from elbolab.seeding import derive_seed

__all__ = ["CurveWriter", "Table", "Task", "TaskContext", "TaskResult"]

Table = Mapping[str, Iterable[object]]
"""Column name → values from top to bottom; every column has the same length."""

T = TypeVar("T")


class CurveWriter(Protocol):
    """TensorBoard's events of a run, as `tasks.event_writer.EventWriter` writes them.

    Attributes:
        last_step: The highest step written so far.
    """

    last_step: int

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Adds one point to the curve ``tag``."""

    def add_image(
        self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str = "HWC"
    ) -> None:
        """Adds one picture ``(height, width, 3)`` of whole numbers in [0, 255]."""

    def close(self) -> None:
        """Writes what is still in memory."""


class TaskContext:
    """What a task is given to work with.

    Args:
        seed: Seed of all noise.
        run: The run directory; the task may write further files under ``run.path``.
        figure_formats: Formats in which its figures are written beside PNG.
    """

    def __init__(self, seed: int, run: RunDirectory, figure_formats: Sequence[str] = ()) -> None:
        self.seed, self.run, self.figure_formats = seed, run, figure_formats
        self._writer: CurveWriter | None = None

    @property
    def writer(self) -> CurveWriter:
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

    Names of tables and figures are names of files, without folder and ending.

    Attributes:
        metrics: Name → number; recorded as ``<task>/<name>``.
        tables: Name → columns; written as ``<name>.csv``.
        figures: Name → matplotlib figure; written as ``images/<name>.png`` and to TensorBoard.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)

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
    ``config``, ``seed``, ``figures`` and ``run_dir`` are every task's own options and no names for
    parameters. The constructor raises `UserError` for impossible values and touches no files. What
    is slow to import (SciPy, Numba, matplotlib) is imported by a module of its own, which ``run``
    imports: ``--help`` waits for the rest.
    """

    def run(self, context: TaskContext) -> TaskResult:
        """Does the work.

        Raises:
            UserError: If the input is wrong. Raised before anything is written, it leaves no run
                directory behind.
        """
        ...
