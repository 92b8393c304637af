"""Tables (CSV with a header line) that a person gives: every mistake with file, line and column."""

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO

from elbolab.errors import UserError, did_you_mean
from elbolab.files import one_line, read_text, shown

__all__ = ["TableRow", "parse_table", "read_table", "table_columns", "table_rows"]

ALIKE = 0.8
"""How alike (1 is equal) a strange column and an optional one are for one to be a slip."""


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        source: What errors call the table.
        line: Number of the row's first line in it; the header is line 1.
        cells: Column → what the row holds, without spaces around it.
    """

    source: str
    line: int
    cells: Mapping[str, str]

    def at(self, column: str) -> str:
        """Where a cell is, for messages: ``matches.csv, line 3, column goals1``."""
        return f"{self.source}, line {self.line}, column {column}"

    def text(self, column: str) -> str:
        """A cell that must not be empty.

        Raises:
            UserError: If it is.
        """
        if not self.cells[column]:
            raise UserError(f"{self.at(column)} is empty.")
        return self.cells[column]

    def number(self, column: str) -> float:
        """A cell that must hold a finite number.

        Raises:
            UserError: If it holds something else.
        """
        cell = self.cells[column]
        with suppress(ValueError):
            if math.isfinite(value := float(cell)) and "_" not in cell:
                return value
        raise UserError(f"{self.at(column)} must be a finite number, got '{shown(cell)}'.")

    def whole(self, column: str, largest: int = 10**15) -> int:
        """A cell that must hold a whole number from 0 to ``largest``.

        Raises:
            UserError: If it holds something else.
        """
        cell = self.cells[column]
        if cell.isascii() and cell.isdecimal() and len(cell) < 20 and int(cell) <= largest:
            return int(cell)
        limit = f"whole number from 0 to {largest}"
        raise UserError(f"{self.at(column)} must be a {limit}, got '{shown(cell)}'.")


def read_table(
    path: str | os.PathLike[str], required: Sequence[str], optional: Sequence[str] = ()
) -> list[TableRow]:
    """Reads a CSV with a header line: `files.read_text`, then `parse_table`."""
    return parse_table(read_text(path), one_line(path), required, optional)


def parse_table(
    text: str, source: str, required: Sequence[str], optional: Sequence[str] = ()
) -> list[TableRow]:
    """All rows of a CSV whose text is at hand; for the arguments see `table_rows`."""
    return list(table_rows(StringIO(text, newline=""), source, required, optional))


def table_rows(
    lines: Iterable[str], source: str, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[TableRow]:
    """The rows of a CSV with a header line; empty lines are left out.

    Args:
        lines: The file's lines, with their ends, as of `files.text_lines`.
        source: What errors call it.
        required: Columns that must be there.
        optional: Columns that may; others are not looked at.

    Raises:
        UserError: If `table_columns` does, or a row has more or fewer cells than the header; the
            header is read at once, each row where it is asked for.
    """
    rows = _numbered_rows(lines, source)
    _, header = next(rows, (1, []))
    columns = table_columns(header, source, required, optional)
    return _rows_under(header, columns, rows, source)


def table_columns(
    header: Sequence[str], source: str, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, int]:
    """Where the columns are.

    Args:
        header: The first row's cells.
        source: What errors call the table.
        required: Columns that must be there.
        optional: Columns that may.

    Returns:
        Column → its place, of those that are there.

    Raises:
        UserError: If a column is missing, is there twice, or is misspelt.
    """
    names = [name.strip() for name in header]
    if not any(names):
        raise UserError(f"{source} is empty: its first line must name {', '.join(required)}.")
    missing = [column for column in required if column not in names]
    if missing:
        raise UserError(f"{source} has no column '{missing[0]}'.{_remedy(missing[0], names)}")
    for name in names:
        if name and names.count(name) > 1:
            raise UserError(f"{source} has two columns '{shown(name)}': rename or remove one.")
    for column in optional:
        strange = [name for name in names if name not in (*required, *optional)]
        if column not in names and (close := get_close_matches(column, strange, 1, ALIKE)):
            raise UserError(
                f"{source} has a column '{close[0]}': is '{column}' meant? Rename or remove it."
            )
    return {column: names.index(column) for column in (*required, *optional) if column in names}


def _remedy(column: str, names: Sequence[str]) -> str:
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            return f" Its cells are parted by {word}: save it with commas."
    hint = did_you_mean(column, names).replace("Did you mean", "Is").replace("?", " meant?")
    return hint or f" Columns: {shown(', '.join(names))}."


def _numbered_rows(lines: Iterable[str], source: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, and cells, of every row that is not empty."""
    rows = csv.reader(lines, strict=True)
    line = 1
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise UserError(f"{source}, line {line} is no row of a CSV: {error}.") from error
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield line, row
        line = rows.line_num + 1


def _rows_under(
    header: Sequence[str],
    columns: Mapping[str, int],
    rows: Iterable[tuple[int, list[str]]],
    source: str,
) -> Iterator[TableRow]:
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{source}, line {line} has {len(row)} cells where the header has {len(header)}."
            )
        yield TableRow(source, line, {name: row[i].strip() for name, i in columns.items()})
