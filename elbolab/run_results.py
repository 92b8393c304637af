"""What a run left, as Python has it: pictures, tables and curves."""

import base64
import csv
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from elbolab.errors import UserError, did_you_mean
from elbolab.run_directory import RunDirectory

__all__ = ["Curve", "Pictures", "RunTable", "read_curves", "read_pictures", "read_tables"]

Curve = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Steps and values."""

RunTable = dict[str, NDArray]
"""Column name → values from top to bottom."""

EMPTY = ""
"""A cell without a number."""


class Pictures(dict[str, Path]):
    """Name of a picture → its file; a notebook shows them all."""

    def show(self, name: str) -> Image.Image:
        """One picture, which a notebook shows.

        Raises:
            UserError: If there is none of that name.
        """
        if name not in self:
            raise UserError(f"no picture '{name}'.{did_you_mean(name, self)}")
        with Image.open(self[name]) as image:
            image.load()
        return image

    def _repr_html_(self) -> str:
        return "".join(_as_html(name, path) for name, path in self.items())


def _as_html(name: str, path: Path) -> str:
    pixels = base64.b64encode(path.read_bytes()).decode()
    image = f'<img src="data:image/png;base64,{pixels}" alt="{html.escape(name)}">'
    return f"<figure>{image}<figcaption>{html.escape(name)}</figcaption></figure>"


def read_pictures(run: RunDirectory) -> Pictures:
    """The newest picture of each name."""
    return Pictures((path.stem, path) for path in sorted(run.images.glob("*.png")))


def read_tables(run: RunDirectory) -> dict[str, RunTable]:
    """Name → table, of the ``.csv`` files that lie in the run directory.

    Raises:
        UserError: Naming a file that is no table.
    """
    return {path.stem: _table(path) for path in sorted(run.path.glob("*.csv"))}


def _table(path: Path) -> RunTable:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file, strict=True)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(head)
        return {name: _column(cells) for name, cells in zip(head, columns, strict=True)}
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is no table: {error}.") from error


def _column(cells: Sequence[str]) -> NDArray:
    """Whole numbers, else numbers (NaN where a cell is empty), else text."""
    if any(cell != EMPTY for cell in cells):
        for kind in (np.int64, np.float64):
            whole = kind is np.int64
            try:
                return np.array([cell if cell or whole else "nan" for cell in cells]).astype(kind)
            except (ValueError, OverflowError):
                continue
    return np.array(cells, dtype=str)


def read_curves(run: RunDirectory) -> dict[str, Curve]:
    """Tag → curve, of all of TensorBoard's events in the run directory."""
    # A fifth of a second, which who wants no curves need not wait for.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not any(run.path.glob("events.out.tfevents.*")):
        return {}
    events = EventAccumulator(str(run.path), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: _curve(events.Scalars(tag)) for tag in sorted(events.Tags()["scalars"])}


def _curve(points: Sequence) -> Curve:
    steps = np.array([point.step for point in points], dtype=np.int64)
    return steps, np.array([point.value for point in points], dtype=np.float64)
