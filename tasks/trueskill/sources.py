"""Where matches come from by name: embedded, or openfootball's public repositories."""

import os
import re
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path
from urllib.request import urlopen

from elbolab.cache import cache_folder
from elbolab.errors import UserError, did_you_mean
from elbolab.run_directory import write_atomically
from tasks.trueskill.matches import Match
from tasks.trueskill.readers import parse_csv, parse_json, read_matches

__all__ = ["EMBEDDED", "LEAGUES", "find_matches", "openfootball_url"]

EMBEDDED = ("worldcup-2022", "one-match")
"""Names of the match files in the package."""

HOST = "https://raw.githubusercontent.com/openfootball"

LEAGUES = {
    "premier-league": "en.1",
    "championship": "en.2",
    "bundesliga": "de.1",
    "2-bundesliga": "de.2",
    "serie-a": "it.1",
    "serie-b": "it.2",
    "la-liga": "es.1",
    "la-liga-2": "es.2",
    "ligue-1": "fr.1",
    "ligue-2": "fr.2",
    "eredivisie": "nl.1",
    "primeira-liga": "pt.1",
}
"""Name of a league → its file in openfootball's football.json."""

FIRST_SEASON, LAST_SEASON = 2010, 2040
"""Years in which seasons begin that names may ask for; the repository starts with 2010-11."""

WORLD_CUPS = (1930, 1934, 1938, *range(1950, 2027, 4))

TIMEOUT = 30
"""Seconds to wait for an answer."""


def find_matches(name: str) -> list[Match]:
    """Reads a match file, or finds a season by name.

    Args:
        name: Path of a ``.json`` or ``.csv``; one of `EMBEDDED`; or a season of openfootball,
            such as ``serie-a-2018-19`` or ``worldcup-2018``, downloaded once into the cache.

    Raises:
        UserError: If there is no such file or season, or it cannot be downloaded.
    """
    if name in EMBEDDED:
        text = files("tasks.trueskill").joinpath(f"data/{name}.csv").read_text(encoding="utf-8")
        return parse_csv(text, name)
    if Path(name).suffix.lower() in (".json", ".csv") or os.sep in name or Path(name).exists():
        return read_matches(Path(name))
    url = openfootball_url(name)
    path = cache_folder("openfootball") / f"{name}.json"
    if not path.exists():
        _download(url, path, name)
    return read_matches(path)


def openfootball_url(name: str) -> str:
    """Where a season lies.

    Raises:
        UserError: If the name is no season's.
    """
    urls = _known_seasons()
    if name not in urls:
        same_start = [known for known in urls if known[:-2] == name[:-2]]
        hint = did_you_mean(name, same_start) or did_you_mean(name, [*EMBEDDED, *urls])
        raise UserError(
            f"no file or season '{name}'.{hint} Seasons are called like serie-a-2018-19 and "
            f"worldcup-2022; leagues are {', '.join(LEAGUES)}."
        )
    return urls[name]


def _known_seasons() -> dict[str, str]:
    seasons = [f"{y}-{(y + 1) % 100:02d}" for y in range(FIRST_SEASON, LAST_SEASON)]
    league = {
        f"{name}-{season}": f"{HOST}/football.json/master/{season}/{file}.json"
        for name, file in LEAGUES.items()
        for season in seasons
    }
    cups = {f"worldcup-{y}": f"{HOST}/worldcup.json/master/{y}/worldcup.json" for y in WORLD_CUPS}
    return league | cups


def _download(url: str, path: Path, name: str) -> None:
    """Fetches a season; what is no match file is never kept."""
    try:
        with urlopen(url, timeout=TIMEOUT) as answer:
            content: bytes = answer.read()
    except (OSError, HTTPException) as error:
        reason = re.sub(r"[<>]", "", str(getattr(error, "reason", error))) or "no answer"
        raise UserError(
            f"cannot download {name} from {url} ({reason}): give --matches the file itself, "
            f"or save it as {path}."
        ) from error
    parse_json(content.decode("utf-8", errors="replace"), url)
    write_atomically(path, content)
