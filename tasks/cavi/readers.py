"""CSV files of events, read piece by piece."""

import csv
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat

import numpy as np

from elbolab.csv_tables import TableRow, table_columns, table_rows
from elbolab.errors import UserError
from elbolab.files import one_line, shown, text_lines
from tasks.arrays import Floats
from tasks.cavi.events import Events
from tasks.cavi.options import LARGEST_NUMBER

__all__ = ["CsvEvents"]


NO_SEPARATORS = bytes(set(range(256)) - set(b',\n"'))
"""All bytes but those that part cells and rows, and quotes, which may hold either."""

LARGEST_COUNT = 2**53
"""The largest count below which every count is a double."""


@dataclass(frozen=True)
class CsvEvents:
    """Events in the named columns of a CSV with a header line.

    Lines that all have the header's number of cells are parsed by NumPy, a chunk at a time. From
    the first chunk that has others, or a wrong cell, rows are looked at one by one: that allows for
    cells of several lines, and names a wrong one.

    Attributes:
        path: The file.
        position: Names of the columns of positions.
        strength: Name of the column of counts.
        log: Positions are distances, of which the model wants the logarithm.

    Raises:
        UserError: If the file cannot be read or lacks a column; where it is read, if it is no text,
            a row has more or fewer cells than the header, a position is no finite number (or no
            positive one, of distances), or a strength no count.
    """

    path: str | os.PathLike[str]
    position: Sequence[str]
    strength: str
    log: bool = False

    def __post_init__(self) -> None:
        path = self.path
        if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
            raise UserError(f"{one_line(path)} is a pipe, and is read several times: save a file.")
        self._rows(text_lines(path))

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.position, self.strength)

    def _rows(self, lines: Iterable[str]) -> Iterator[TableRow]:
        return table_rows(lines, one_line(self.path), self._names)

    def chunks(self, size: int) -> Iterator[Events]:
        count = 0
        for values in self._values(size):
            count += len(values)
            x = values[:, :-1]
            yield Events(np.log(x) if self.log else x, values[:, -1])
        if not count:
            raise UserError(f"{one_line(self.path)} has no events: give a file with at least one.")

    def _values(self, size: int) -> Iterator[Floats]:
        """The wanted columns, at most ``size`` rows at a time and at least one."""
        try:
            with open(self.path, encoding="utf-8-sig", newline="") as lines:
                yield from self._blocks(lines, size)
        except (OSError, UnicodeDecodeError):
            self._blame_line()
            raise

    def _blame_line(self) -> None:
        """Raises for the first line that is no text."""
        deque(text_lines(self.path), maxlen=0)

    def _blocks(self, lines: Iterator[str], size: int) -> Iterator[Floats]:
        header, read = next(lines, ""), 0
        while block := list(islice(lines, size)):
            values = self._parsed(header, block)
            if values is None:
                # Empty lines stand for those already read: the others keep their numbers.
                rest = chain([header], repeat("\n", read), self._text(chain(block, lines)))
                yield from self._row_by_row(rest, size)
                return
            if len(values):
                yield values
            read += len(block)

    def _parsed(self, header: str, block: list[str]) -> Floats | None:
        """The wanted columns of some lines; None if rows must be looked at one by one."""
        names = next(csv.reader([header]))
        if header.count('"') % 2 or not _of_width(len(names), block):
            return None
        places = table_columns(names, one_line(self.path), self._names)
        if not any(line.strip() for line in block):
            return np.empty((0, len(places)))
        try:
            values = np.loadtxt(
                block,
                delimiter=",",
                usecols=[places[name] for name in self._names],
                quotechar='"',
                comments=None,
                ndmin=2,
            )
        except ValueError:
            return None
        return values if self._sound(values) else None

    def _sound(self, values: Floats) -> bool:
        x, s = values[:, :-1], values[:, -1]
        counts = (s >= 0) & (s == s.round()) & (s <= LARGEST_COUNT)
        low, high = self._range
        return bool(counts.all() and ((x > low) & (x < high)).all())

    @property
    def _range(self) -> tuple[float, float]:
        """Between what a position must lie."""
        return (0, math.inf) if self.log else (-LARGEST_NUMBER, LARGEST_NUMBER)

    def _text(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            if "\0" in line:
                self._blame_line()
            yield line

    def _row_by_row(self, lines: Iterable[str], size: int) -> Iterator[Floats]:
        rows = self._rows(lines)
        while some := [self._checked(row) for row in islice(rows, size)]:
            yield np.array(some)

    def _checked(self, row: TableRow) -> list[float]:
        """One event.

        Raises:
            UserError: Naming the cell that is wrong.
        """
        for name in self.position:
            low, high = self._range
            if not low < row.number(name) < high:
                wanted = "a positive distance" if self.log else f"within ±{high:g}"
                raise UserError(f"{row.at(name)} must be {wanted}, got '{shown(row.cells[name])}'.")
        count = row.number(self.strength)
        if not (0 <= count <= LARGEST_COUNT and count.is_integer()):
            cell = shown(row.cells[self.strength])
            wanted = f"a count 0, 1, 2, … up to {LARGEST_COUNT}"
            raise UserError(f"{row.at(self.strength)} must be {wanted}, got '{cell}'.")
        return [row.number(name) for name in self._names]


def _of_width(width: int, block: list[str]) -> bool:
    """Whether every line is a row of ``width`` cells, or empty."""
    text = "".join(block)
    if "\0" in text:
        return False
    separators = text.encode().translate(None, NO_SEPARATORS)
    if separators == (b"," * (width - 1) + b"\n") * len(block):
        return True
    try:
        return set(map(len, csv.reader(block, strict=True))) <= {0, width}
    except csv.Error:
        return False
