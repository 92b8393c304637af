"""Plans as files: CSV with a row for each segment."""

import csv
import math
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elbolab.errors import UserError
from tasks.base import Table
from tasks.qwop.simulator import GENES

__all__ = ["BEST", "best_plan", "plan_table", "read_plan"]

BEST = "best"
"""In place of a file: the best plan known."""


def plan_table(plans: Mapping[str, NDArray[np.float64]]) -> Table:
    """Plans side by side: the segment, and a hip and a knee command of each plan.

    Args:
        plans: Name → plan (40,); one without a name has columns called ``hip`` and ``knee``.
    """
    columns: dict[str, list[float]] = {"segment": list(range(1, GENES // 2 + 1))}
    for name, plan in plans.items():
        prefix = f"{name}_" if name else ""
        columns |= {f"{prefix}hip": plan[::2].tolist(), f"{prefix}knee": plan[1::2].tolist()}
    return columns


def best_plan() -> NDArray[np.float64]:
    """The best plan known (40,)."""
    with as_file(files("tasks.qwop") / "data/best_plan.csv") as path:
        return read_plan(str(path))


def read_plan(name: str) -> NDArray[np.float64]:
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


def _numbers(words: list[str], name: str) -> NDArray[np.float64]:
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
