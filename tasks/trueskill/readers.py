"""Match files: openfootball's JSON, and CSV."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elbolab.errors import UserError, did_you_mean
from tasks.trueskill.matches import Goals, Match

__all__ = ["parse_csv", "parse_json", "read_matches"]

COLUMNS = ("date", "team1", "team2", "goals1", "goals2")
"""What a CSV must have."""

OPTIONAL = ("time", "extra1", "extra2", "penalties1", "penalties2")
"""What it may have: kick-off, goals after extra time, goals of a shoot-out."""


def read_matches(path: Path) -> list[Match]:
    """Reads a match file by its ending.

    Raises:
        UserError: If there is no such file, or it is no match file.
    """
    readers = {".json": parse_json, ".csv": parse_csv}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path} is neither .json (openfootball's) nor .csv.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8: {error.reason}.") from error
    return readers[path.suffix.lower()](text, str(path))


def parse_json(text: str, source: str) -> list[Match]:
    """Reads openfootball's football.json.

    Args:
        text: ``{"matches": [{"date", "time", "team1", "team2", "score": {"ft", "et", "p"}}]}``,
            where a score is a pair of whole numbers. Matches without ``ft`` were not played.
        source: What errors call it.

    Raises:
        UserError: If it is something else.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UserError(f"{source} is no JSON: {error}.") from error
    matches = content.get("matches") if isinstance(content, dict) else None
    if not isinstance(matches, list):
        raise UserError(f"{source} has no list 'matches', as openfootball's files have.")
    return [_from_json(match, f"{source}, match {n}") for n, match in enumerate(matches, 1)]


def _from_json(entry: Any, where: str) -> Match:
    fields = entry if isinstance(entry, dict) else {}
    for key in ("date", "team1", "team2"):
        if not isinstance(fields.get(key), str) or not fields[key].strip():
            raise UserError(f"{where}: '{key}' must be text, got {fields.get(key)!r}.")
    score = fields.get("score") or {}
    if not isinstance(score, dict):
        score = {"ft": score}  # a few of openfootball's files hold the final score alone
    ft, et, p = (_pair(score.get(key), f"{where}: score '{key}'") for key in ("ft", "et", "p"))
    date, one, two = (fields[key].strip() for key in ("date", "team1", "team2"))
    return Match(date, one, two, ft, str(fields.get("time") or ""), et, p)


def _pair(value: Any, where: str) -> Goals | None:
    if value is None:
        return None
    whole = isinstance(value, list) and all(type(x) is int and x >= 0 for x in value)
    if not whole or len(value) != 2:
        raise UserError(f"{where} must be two whole numbers, got {value!r}.")
    return value[0], value[1]


def parse_csv(text: str, source: str) -> list[Match]:
    """Reads a table with a header line; `COLUMNS` must be there, `OPTIONAL` may.

    Args:
        text: The file's content. Matches with empty goals were not played.
        source: What errors call it.

    Raises:
        UserError: If a column is missing, or a value is no number.
    """
    rows = csv.DictReader(text.splitlines())
    names = [name.strip() for name in rows.fieldnames or []]
    rows.fieldnames = names
    known = (*COLUMNS, *OPTIONAL)
    for column in COLUMNS:
        if column not in names:
            strange = next((name for name in names if name not in known), "")
            hint = f" Is '{strange}' meant?" if did_you_mean(strange, [column]) else ""
            raise UserError(f"{source} has no column '{column}'.{hint}")
    return [_from_row(row, f"{source}, line {rows.line_num}") for row in rows]


def _from_row(row: Mapping[str, str | None], where: str) -> Match:
    cells = {key: (row.get(key) or "").strip() for key in (*COLUMNS, *OPTIONAL)}
    for key in ("date", "team1", "team2"):
        if not cells[key]:
            raise UserError(f"{where}: '{key}' is empty.")
    goals, extra, penalties = (
        _numbers(cells[f"{key}1"], cells[f"{key}2"], f"{where}: {key}")
        for key in ("goals", "extra", "penalties")
    )
    date, one, two = cells["date"], cells["team1"], cells["team2"]
    return Match(date, one, two, goals, cells["time"], extra, penalties)


def _numbers(one: str, two: str, where: str) -> Goals | None:
    if not one and not two:
        return None
    if not (one.isdecimal() and two.isdecimal()):
        raise UserError(f"{where} must be two whole numbers, got '{one}' and '{two}'.")
    return int(one), int(two)
