# ruff: noqa: N806  capitals are the symbols of the formulas
"""Where the payoffs of a matrix game come from: the embedded game, or a file."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from elbolab.errors import UserError, did_you_mean
from elbolab.files import one_line, read_json, read_text, shown
from tasks.game.model import ROCK_PAPER_SCISSORS, Game
from tasks.game.options import DEFAULT_GAME

__all__ = ["find_game"]

JSON_KEYS = ("payoffs", "rows", "columns")

LARGEST, SMALLEST = 1e100, 1e-100
"""Beyond these, products and quotients of payoffs leave the range of doubles."""


def find_game(name: str) -> Game:
    """The embedded game, or one from a ``.csv`` or ``.json``.

    Raises:
        UserError: If there is no such file, or it holds no matrix of finite numbers.
    """
    if name == DEFAULT_GAME:
        actions: list[str] = [*DEFAULT_GAME.split("-")]
        return Game(ROCK_PAPER_SCISSORS, actions, actions)
    readers = {".csv": _from_csv, ".json": _from_json}
    path = Path(name)
    if path.suffix.lower() not in readers:
        hint = did_you_mean(name, [DEFAULT_GAME])
        raise UserError(f"no game '{shown(name)}'.{hint} Give {DEFAULT_GAME}, or a .csv or .json.")
    return readers[path.suffix.lower()](path)


def _from_csv(path: Path) -> Game:
    source = one_line(path)
    lines = csv.reader(read_text(path).splitlines())
    places, rows = [], []
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells) or len(cells) > 1:
                places.append(f"{source}, line {lines.line_num}")
                rows.append(list(map(_typed, cells)))
    except csv.Error as error:
        raise UserError(f"{source}, line {lines.line_num}: {error}.") from error
    return _game(source, places, rows, None, None)


def _typed(cell: str) -> float | str:
    """The number in a cell, or its text if it is none."""
    try:
        return cell if "_" in cell else float(cell)
    except ValueError:
        return cell


def _from_json(path: Path) -> Game:
    source, content = one_line(path), read_json(path)
    content = content if isinstance(content, dict) else {"payoffs": content}
    for key in content:
        if key not in JSON_KEYS:
            hint = did_you_mean(key, JSON_KEYS)
            raise UserError(f"{source} has no place for '{shown(key)}'.{hint}")
    rows = content.get("payoffs")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise UserError(f"{source}: payoffs must be a list of rows, each a list of numbers.")
    places = [f"{source}, row {i + 1}" for i in range(len(rows))]
    return _game(source, places, rows, content.get("rows"), content.get("columns"))


def _game(
    source: str, places: list[str], rows: list[list[Any]], row_names: Any, column_names: Any
) -> Game:
    if not rows or not rows[0]:
        raise UserError(f"{source}: payoffs must be a matrix of at least one number.")
    for place, row in zip(places, rows, strict=True):
        _check_row(place, row, len(rows[0]))
    M = np.array(rows, dtype=float)
    if 0 < np.ptp(M) < SMALLEST:
        raise UserError(f"{source}: payoffs must differ by {SMALLEST:g} at least, or not at all.")
    return Game(
        M,
        _action_names(source, "rows", row_names, len(M)),
        _action_names(source, "columns", column_names, M.shape[1]),
    )


def _check_row(place: str, row: list[Any], length: int) -> None:
    if len(row) != length:
        raise UserError(
            f"{place}: payoffs must be as many in every row, got {len(row)} after {length}."
        )
    for column, value in enumerate(row, 1):
        if type(value) not in (int, float):
            raise UserError(f"{place}, column {column}: must be a number, got '{shown(value)}'.")
        if not math.isfinite(value):
            raise UserError(f"{place}, column {column}: must be finite, got {value}.")
        if abs(value) > LARGEST:
            raise UserError(
                f"{place}, column {column}: must lie in ±{LARGEST:g}, got {shown(value)}."
            )


def _action_names(source: str, kind: str, names: Any, count: int) -> list[str]:
    if names is None:
        return [str(i + 1) for i in range(count)]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{source}: {kind} must be a list of names, got {shown(names)}.")
    if len(names) != count:
        raise UserError(f"{source}: {kind} must name {count} actions, got {len(names)}.")
    _check_different(source, kind, names)
    return names


def _check_different(source: str, kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not name.isprintable() or not name.strip():
            raise UserError(f"{source}: {kind} must have names of letters, got '{shown(name)}'.")
        if name in seen:
            raise UserError(f"{source}: {kind} must differ, '{shown(name)}' stands twice.")
        seen.add(name)
