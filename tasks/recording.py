"""A task's results as files and in TensorBoard, checked before anything is written."""

import csv
import io
import math
import re
import sys
from collections.abc import Iterable, Mapping

import numpy as np

from elbolab import pictures
from elbolab.errors import UserError
from elbolab.run_directory import write_atomically
from tasks.base import Table, TaskContext, TaskResult

__all__ = ["write_result"]

RESERVED = ("config", "metrics", "provenance")
"""Names of files that every run has."""

LONGEST_NAME = 100

RETURN = "a task's run ends with: return TaskResult(metrics, tables, figures)"


def write_result(name: str, result: TaskResult, context: TaskContext) -> None:
    """Records a result in the run directory and in TensorBoard.

    Metrics and figures stand at the last step that the task itself wrote, or at 0.
    ``metrics.json`` comes last: where it exists, everything else does. A metric that is no finite
    number is null there, which is said on standard error.

    Args:
        name: The task's name, prefix of its metrics.
        result: What the task returned.
        context: What the task was given.

    Raises:
        UserError: If the result is none, or holds something that cannot be recorded under its name;
            nothing is written then.
    """
    if not isinstance(result, TaskResult):
        raise UserError(f"task '{name}' returned {_kind(result)}, no TaskResult: {RETURN}.")
    metrics = _checked_metrics(name, result)
    tables = {table: _as_csv(name, table, columns) for table, columns in _tables(name, result)}
    _check_figures(name, result)
    for table, content in tables.items():
        write_atomically(context.run.path / f"{table}.csv", content)
    step = context.writer.last_step
    for figure, drawn in result.figures.items():
        formats = context.figure_formats
        pictures.write_picture(drawn, figure, context.run, context.writer, step, formats)
    for tag, value in metrics.items():
        context.writer.add_scalar(tag, value, step)
    context.run.merge_metrics(metrics)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _checked_metrics(name: str, result: TaskResult) -> dict[str, float]:
    if not isinstance(result.metrics, Mapping):
        raise UserError(f"task '{name}' has metrics that are {_kind(result.metrics)}, no dict.")
    for metric, value in result.metrics.items():
        if not isinstance(metric, str) or not metric.strip():
            raise UserError(f"task '{name}' has a metric called {metric!r}: give it a name.")
        if not _is_real(value):
            raise UserError(
                f"task '{name}' has a metric '{metric}' that is {_kind(value)}: give one real "
                "number."
            )
    metrics = result.tagged(name)
    for tag, value in metrics.items():
        if not math.isfinite(value):
            print(f"warning: {tag} is {value}, recorded as null", file=sys.stderr)
    return metrics


def _is_real(value: object) -> bool:
    """Whether this is one real number: Python's, NumPy's, or in an array without dimensions."""
    return np.ndim(np.asarray(value)) == 0 and np.asarray(value).dtype.kind in "biuf"


def _tables(name: str, result: TaskResult) -> Iterable[tuple[str, Table]]:
    if not isinstance(result.tables, Mapping):
        raise UserError(f"task '{name}' has tables that are {_kind(result.tables)}, no dict.")
    for table in result.tables:
        _check_name(name, "table", table)
    return result.tables.items()


def _check_figures(name: str, result: TaskResult) -> None:
    if not isinstance(result.figures, Mapping):
        raise UserError(f"task '{name}' has figures that are {_kind(result.figures)}, no dict.")
    for figure, drawn in result.figures.items():
        _check_name(name, "figure", figure)
        if not hasattr(drawn, "savefig"):
            raise UserError(
                f"task '{name}' has a figure '{figure}' that is {_kind(drawn)}: give a figure of "
                "matplotlib, as elbolab.pictures.new_figure makes them."
            )


def _check_name(name: str, kind: str, given: object) -> None:
    """Refuses what is no name of a file in the run directory, or another file's there."""
    plain = isinstance(given, str) and re.fullmatch(r"[^\W_][\w .+=,()-]*", given) is not None
    if not plain or len(str(given)) > LONGEST_NAME:
        shown = repr(given) if len(repr(given)) < LONGEST_NAME else f"{repr(given)[:40]}…"
        raise UserError(
            f"task '{name}' has a {kind} called {shown}: give a name of at most {LONGEST_NAME} "
            "letters, digits, spaces and .+-=,()_ without folders."
        )
    if str(given).lower() in RESERVED:
        raise UserError(
            f"task '{name}' has a {kind} called '{given}', a file of every run: rename it."
        )


def _as_csv(name: str, table: str, columns: Table) -> bytes:
    where = f"task '{name}' has a table '{table}'"
    if not isinstance(columns, Mapping):
        raise UserError(f"{where} that is {_kind(columns)}: give a dict, column name → values.")
    values: dict[object, list[object]] = {}
    for column, cells in columns.items():
        if isinstance(cells, str | bytes) or not isinstance(cells, Iterable):
            raise UserError(f"{where} whose column '{column}' is {_kind(cells)}: give a list.")
        values[column] = list(cells)
    lengths = {column: len(cells) for column, cells in values.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{column} {length}" for column, length in lengths.items())
        raise UserError(f"{where} whose columns differ in length: {shown}.")
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(values)
    rows.writerows(zip(*values.values(), strict=True))
    return text.getvalue().encode()
