"""What is read and written: plans as CSV, and what searches were told."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path

import numpy as np

from elbolab.csv_tables import parse_table
from elbolab.errors import UserError
from elbolab.files import one_line, read_text, shown
from elbolab.run_directory import write_atomically
from tasks.arrays import Floats
from tasks.base import Table
from tasks.qwop.body import GENES, SEGMENTS
from tasks.qwop.study import SearchRun

__all__ = ["BEST", "best_plan", "load_told", "plan_table", "read_plan", "save_told"]

BEST = "best"
"""In place of a file: the best plan known."""


def plan_table(plans: Mapping[str, Floats]) -> Table:
    """Plans side by side: the segment, and a hip and a knee command of each plan.

    Args:
        plans: Name → plan (40,); one without a name has columns called ``hip`` and ``knee``.
    """
    columns: dict[str, list[float]] = {"segment": list(range(1, GENES // 2 + 1))}
    for name, plan in plans.items():
        prefix = f"{name}_" if name else ""
        columns |= {f"{prefix}hip": plan[::2].tolist(), f"{prefix}knee": plan[1::2].tolist()}
    return columns


def best_plan() -> Floats:
    """The best plan known (40,)."""
    with as_file(files("tasks.qwop") / "data/best_plan.csv") as path:
        return read_plan(str(path))


def read_plan(name: str) -> Floats:
    """A plan (40,) from a CSV file, not yet clipped.

    Args:
        name: A file with the columns ``hip`` and ``knee`` and 20 rows, as this project writes it,
            or of 40 numbers without any header; or `BEST`.

    Raises:
        UserError: If the file cannot be read, or holds something else.
    """
    if name == BEST:
        return best_plan()
    text = read_text(name).replace(";", ",")
    words = text.replace(",", " ").split()
    if words and not _is_number(words[0]):
        return _from_columns(text, one_line(name))
    for line, row in enumerate(text.splitlines(), 1):
        for word in row.replace(",", " ").split():
            if not (_is_number(word) and math.isfinite(float(word))):
                source = f"{one_line(name)}, line {line}"
                raise UserError(f"{source} holds '{shown(word)}', and a plan is finite numbers.")
    if len(words) != GENES:
        raise UserError(f"{one_line(name)} holds {len(words)} numbers, and a plan is {GENES}.")
    return np.array([float(word) for word in words])


def _is_number(word: str) -> bool:
    with suppress(ValueError):
        float(word)
        return "_" not in word
    return False


def _from_columns(text: str, source: str) -> Floats:
    required = ("hip", "knee")
    rows = parse_table(text, source, required, ("segment",))
    for number, row in enumerate(rows, 1):
        if "segment" in row.cells and row.whole("segment") != number:
            raise UserError(
                f"{row.at('segment')} must be {number}, got {row.cells['segment']}: bring the "
                "segments in order."
            )
    if len(rows) != SEGMENTS:
        raise UserError(f"{source} has {len(rows)} segments, and a plan is {SEGMENTS}.")
    return np.array([row.number(column) for row in rows for column in required])


def save_told(path: Path, runs: Sequence[SearchRun]) -> None:
    """Writes what every search was told; `load_told` and `SearchRun.replay` bring it back."""
    arrays = {_key(run): np.concatenate([np.zeros(0), *run.told]) for run in runs}
    settings = json.dumps({_key(run): run.settings for run in runs})
    buffer = BytesIO()
    np.savez(buffer, settings=np.array(settings), **arrays)  # pyright: ignore[reportArgumentType]
    write_atomically(path, buffer.getvalue())


def load_told(path: Path, runs: Sequence[SearchRun]) -> list[Floats]:
    """What each search was told; nothing for those that the file does not know.

    Raises:
        UserError: If the file is missing or damaged, or was written with other settings.
    """
    try:
        with np.load(path) as file:
            settings = dict(json.loads(str(file["settings"])))
            told = {name: _distances(file[name]) for name in settings}
    except Exception as error:  # a damaged file can fail in any way
        reason = getattr(error, "strerror", None) or shown(str(error) or type(error).__name__)
        raise UserError(
            f"cannot resume from {shown(str(path))}: {reason}. Name another run."
        ) from error
    for run in runs:
        if settings.get(_key(run), run.settings) != run.settings:
            raise UserError(
                f"cannot resume {_key(run)} from {path}: it ran with {settings[_key(run)]}, not "
                f"{run.settings}. Take that run's config.yaml as --config."
            )
    return [told.get(_key(run), np.zeros(0)) for run in runs]


def _distances(told: np.ndarray) -> Floats:
    if told.ndim != 1 or told.dtype != np.float64 or not np.isfinite(told).all():
        raise ValueError("it does not hold distances")
    return told


def _key(run: SearchRun) -> str:
    return f"{run.optimiser}.{run.seed}"
