"""CSV files of events, read piece by piece."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from elbolab.errors import UserError, did_you_mean
from tasks.arrays import Floats
from tasks.cavi.events import Events

__all__ = ["CsvEvents"]


@dataclass(frozen=True)
class CsvEvents:
    """Events in the named columns of a CSV with a header line.

    Attributes:
        path: The file.
        position: Names of the columns of positions.
        strength: Name of the column of counts.
        log: Positions are distances, of which the model wants the logarithm.

    Raises:
        UserError: If the file cannot be read or lacks a column; where it is read, if a position is
            no finite number (or no positive one, of distances) or a strength no count.
    """

    path: Path
    position: Sequence[str]
    strength: str
    log: bool = False

    def __post_init__(self) -> None:
        self._columns()

    def _columns(self) -> list[int]:
        with self._open() as file:
            names = [name.strip() for name in next(csv.reader(file), [])]
        for column in (*self.position, self.strength):
            if column not in names:
                hint = did_you_mean(column, names) or f" Columns: {', '.join(names) or 'none'}."
                raise UserError(f"{self.path} has no column '{column}'.{hint}")
        return [names.index(column) for column in (*self.position, self.strength)]

    def _open(self) -> TextIO:
        try:
            file = self.path.open(encoding="utf-8-sig", newline="")
            file.read(1)
            file.seek(0)
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path} is no text in UTF-8: {error.reason}.") from error
        return file

    def chunks(self, size: int) -> Iterator[Events]:
        columns, line, found = self._columns(), 2, False
        with self._open() as file:
            next(file, None)
            while lines := list(islice(file, size)):
                if any(text.strip() for text in lines):
                    found = True
                    yield self._events(self._numbers(lines, columns, line))
                line += len(lines)
        if not found:
            raise UserError(f"{self.path} has no events: give a file with at least one.")

    def _events(self, values: Floats) -> Events:
        x = values[:, :-1]
        return Events(np.log(x) if self.log else x, values[:, -1])

    def _numbers(self, lines: list[str], columns: list[int], first: int) -> Floats:
        """The wanted columns of some lines; one wrong cell is searched for only where one is."""
        try:
            values = np.loadtxt(
                lines, delimiter=",", usecols=columns, quotechar='"', comments=None, ndmin=2
            )
        except ValueError:
            values = np.full((1, len(columns)), np.nan)
        if not self._sound(values):
            self._blame(lines, columns, first)
        return values

    def _sound(self, values: Floats) -> bool:
        x, s = values[:, :-1], values[:, -1]
        good: NDArray[np.bool_] = (
            np.isfinite(values).all() & (s >= 0).all() & (s == s.round()).all()
        )
        return bool(good and (not self.log or (x > 0).all()))

    def _blame(self, lines: list[str], columns: list[int], first: int) -> None:
        """Raises for the first wrong cell."""
        names = (*self.position, self.strength)
        for number, row in enumerate(csv.reader(lines), first):
            for name, index in zip(names, columns, strict=True) if row else ():
                cell = row[index].strip() if index < len(row) else ""
                self._check(cell, name, f"{self.path}, line {number}")
        raise UserError(f"{self.path}, from line {first}: cells must be plain numbers like 17.5.")

    def _check(self, cell: str, name: str, where: str) -> None:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(f"{where}: {name} must be a finite number, got '{cell}'.")
        if name == self.strength and not (value >= 0 and value.is_integer()):
            raise UserError(f"{where}: {name} must be a count 0, 1, 2, …, got '{cell}'.")
        if self.log and name in self.position and value <= 0:
            raise UserError(f"{where}: {name} must be a positive distance, got '{cell}'.")
