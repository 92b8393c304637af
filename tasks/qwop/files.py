"""What is read and written: plans as CSV, and what searches were told."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from elbolab.errors import UserError
from elbolab.run_directory import write_atomically
from tasks.arrays import Floats
from tasks.base import Table
from tasks.qwop.body import GENES
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
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read plan {name}: {error}. Give a CSV file, or best.") from error
    rows = [row for row in csv.reader(text.replace(";", ",").splitlines()) if row]
    header = [cell.strip() for cell in rows[0]] if rows else []
    if {"hip", "knee"} <= set(header):
        places = header.index("hip"), header.index("knee")
        cells = [row[place] for row in rows[1:] for place in places if place < len(row)]
    else:
        cells = [cell for row in rows for cell in row]
    return _numbers([word for cell in cells for word in cell.split()], name)


def _numbers(words: list[str], name: str) -> Floats:
    if len(words) != GENES:
        raise UserError(f"{name} holds {len(words)} numbers, and a plan is {GENES}.")
    for word in words:
        try:
            finite = math.isfinite(float(word))
        except ValueError:
            finite = False
        if not finite:
            raise UserError(f"{name} holds '{word}', and a plan is {GENES} finite numbers.")
    return np.array([float(word) for word in words])


def save_told(path: Path, runs: Sequence[SearchRun]) -> None:
    """Writes what every search was told; `load_told` and `SearchRun.replay` bring it back."""
    arrays = {_key(run): np.concatenate([np.zeros(0), *run.told]) for run in runs}
    settings = json.dumps({_key(run): run.settings for run in runs})
    buffer = io.BytesIO()
    np.savez(buffer, settings=np.array(settings), **arrays)  # pyright: ignore[reportArgumentType]
    write_atomically(path, buffer.getvalue())


def load_told(path: Path, runs: Sequence[SearchRun]) -> list[Floats]:
    """What each search was told; nothing for those that the file does not know.

    Raises:
        UserError: If the file is missing or damaged, or was written with other settings.
    """
    try:
        with np.load(path) as file:
            settings = json.loads(str(file["settings"]))
            told = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"cannot resume from {path}: {error}. Name another run.") from error
    for run in runs:
        if settings.get(_key(run), run.settings) != run.settings:
            raise UserError(
                f"cannot resume {_key(run)} from {path}: it ran with {settings[_key(run)]}, not "
                f"{run.settings}. Take that run's config.yaml as --config."
            )
    return [told.get(_key(run), np.zeros(0)) for run in runs]


def _key(run: SearchRun) -> str:
    return f"{run.optimiser}.{run.seed}"
