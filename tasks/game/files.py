# ruff: noqa: N806  capitals are the symbols of the formulas
"""Where the payoffs of a matrix game come from."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from elbolab.errors import UserError, did_you_mean
from tasks.game.model import ROCK_PAPER_SCISSORS, Game
from tasks.game.options import DEFAULT_GAME

__all__ = ["find_game"]


def find_game(name: str) -> Game:
    """The embedded game, or one from a ``.csv`` or ``.json``.

    Raises:
        UserError: If there is no such file, or it holds no matrix of finite numbers.
    """
    if name == DEFAULT_GAME:
        names = [str(name) for name in DEFAULT_GAME.split("-")]
        return Game(ROCK_PAPER_SCISSORS, names, names)
    readers = {".csv": _from_csv, ".json": _from_json}
    path = Path(name)
    if path.suffix not in readers:
        hint = did_you_mean(name, [DEFAULT_GAME])
        raise UserError(f"no game '{name}'.{hint} Give {DEFAULT_GAME}, or a .csv or .json file.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise UserError(f"cannot read {path}: {reason}.") from error
    return readers[path.suffix](path, text)


def _from_csv(path: Path, text: str) -> Game:
    return _game(path, [row for row in csv.reader(text.splitlines()) if row], None, None)


def _from_json(path: Path, text: str) -> Game:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}.") from error
    given = found if hasattr(found, "get") else {"payoffs": found}
    for key in given:
        if key not in ("payoffs", "rows", "columns"):
            hint = did_you_mean(key, ["payoffs", "rows", "columns"])
            raise UserError(f"{path} has no place for '{key}'.{hint}")
    return _game(path, given.get("payoffs"), given.get("rows"), given.get("columns"))


def _game(path: Path, rows: Any, row_names: Any, column_names: Any) -> Game:
    try:
        M = np.array(rows, dtype=float)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: payoffs must be numbers, as many in every row.") from error
    if M.ndim != 2 or not M.size:
        raise UserError(f"{path}: payoffs must be a matrix of at least one number.")
    if not np.isfinite(M).all():
        i, j = np.argwhere(~np.isfinite(M))[0] + 1
        raise UserError(f"{path}: payoff in row {i}, column {j} is {M[i - 1, j - 1]}.")
    names = (row_names or _numbers(M.shape[0])), (column_names or _numbers(M.shape[1]))
    for kind, given, count in zip(("rows", "columns"), names, M.shape, strict=True):
        if len(given) != count:
            raise UserError(f"{path}: {kind} must name {count} actions, got {len(given)}.")
    return Game(M, *(list(map(str, given)) for given in names))


def _numbers(count: int) -> list[str]:
    return [str(i + 1) for i in range(count)]
