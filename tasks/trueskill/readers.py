"""Match files: openfootball's JSON, and CSV."""

import re
from pathlib import Path
from typing import Any

from elbolab.csv_tables import TableRow, parse_table
from elbolab.errors import UserError
from elbolab.files import one_line, parse_json, read_text, shown
from tasks.trueskill.matches import Goals, Match

__all__ = ["matches_of_csv", "matches_of_json", "read_matches"]

COLUMNS = ("date", "team1", "team2", "goals1", "goals2")
"""What a CSV must have."""

OPTIONAL = ("time", "extra1", "extra2", "penalties1", "penalties2")
"""What it may have: kick-off, goals after extra time, goals of a shoot-out."""

LARGEST_SCORE = 999
"""Beyond it a number of goals is taken for a slip."""

KICK_OFF = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?![0-9])")
"""How a time begins; a time zone may follow."""


def read_matches(path: Path) -> list[Match]:
    """Reads a match file by its ending.

    Raises:
        UserError: If there is no such file, or it is no match file.
    """
    readers = {".json": matches_of_json, ".csv": matches_of_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{one_line(path)} is neither .json (openfootball's) nor .csv.")
    return reader(read_text(path), one_line(path))


def matches_of_json(text: str, source: str) -> list[Match]:
    """Reads openfootball's football.json.

    Args:
        text: ``{"matches": [{"date", "time", "team1", "team2", "score": {"ft", "et", "p"}}]}``,
            where a score is a pair of whole numbers. Matches without ``ft`` were not played.
        source: What errors call it.

    Raises:
        UserError: If it is something else.
    """
    content = parse_json(text, source)
    entries = content.get("matches") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise UserError(f"{source} has no list 'matches', as openfootball's files have.")
    return [_from_json(entry, f"{source}, match {n}") for n, entry in enumerate(entries, 1)]


def _from_json(entry: Any, where: str) -> Match:
    fields = entry if isinstance(entry, dict) else {}
    for key in ("date", "team1", "team2"):
        if not isinstance(fields.get(key), str) or not fields[key].strip():
            raise UserError(f"{where}: '{key}' must be text, got {shown(repr(fields.get(key)))}.")
    score = fields.get("score")
    if not isinstance(score, dict):
        score = {"ft": score or None}  # a few of openfootball's files hold the final score alone
    goals, extra, penalties = (
        _pair(score.get(key), f"{where}: score '{key}'") for key in ("ft", "et", "p")
    )
    time = fields.get("time") or ""
    if not isinstance(time, str):
        raise UserError(f"{where}: 'time' must be text, got {shown(repr(time))}.")
    date, one, two = (fields[key] for key in ("date", "team1", "team2"))
    return _match(where, date, one, two, goals, time, extra, penalties)


def _pair(value: Any, where: str) -> Goals | None:
    if value is None:
        return None
    if not (isinstance(value, list) and len(value) == 2 and all(map(_is_score, value))):
        limit = f"two whole numbers from 0 to {LARGEST_SCORE}"
        raise UserError(f"{where} must be {limit}, got {shown(repr(value))}.")
    return value[0], value[1]


def _is_score(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_SCORE


def matches_of_csv(text: str, source: str) -> list[Match]:
    """Reads a table with a header line; `COLUMNS` must be there, `OPTIONAL` may.

    Args:
        text: The file's content. Matches with empty goals were not played.
        source: What errors call it.

    Raises:
        UserError: If it is no such table, or a value is not what its column says.
    """
    return [_from_row(row) for row in parse_table(text, source, COLUMNS, OPTIONAL)]


def _from_row(row: TableRow) -> Match:
    goals, extra, penalties = (_numbers(row, key) for key in ("goals", "extra", "penalties"))
    date, one, two = (row.text(column) for column in ("date", "team1", "team2"))
    time = row.cells.get("time", "")
    return _match(f"{row.source}, line {row.line}", date, one, two, goals, time, extra, penalties)


def _numbers(row: TableRow, key: str) -> Goals | None:
    columns = f"{key}1", f"{key}2"
    if not any(row.cells.get(column) for column in columns):
        return None
    one, two = (row.whole(column, LARGEST_SCORE) for column in columns)
    return one, two


def _match(
    where: str,
    date: str,
    one: str,
    two: str,
    goals: Goals | None,
    time: str,
    extra: Goals | None,
    penalties: Goals | None,
) -> Match:
    """The match, with what is wrong about it told with its place in the file."""
    try:
        first, second = (" ".join(name.split()) for name in (one, two))
        kick_off = _kick_off(time.strip())
        return Match(date.strip(), first, second, goals, kick_off, extra, penalties)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _kick_off(time: str) -> str:
    """HH:MM, by which matches of a day are put in order."""
    if not time:
        return ""
    parts = KICK_OFF.match(time)
    if parts is None:
        raise UserError(f"the time '{shown(time)}' must begin with HH:MM, such as 20:45.")
    return f"{parts[1]:0>2}:{parts[2]}"
