"""Where matches come from by name: embedded, or openfootball's public repositories."""

import os
from importlib.resources import files
from pathlib import Path

from elbolab.cache import cache_folder
from elbolab.downloads import download
from elbolab.errors import UserError, did_you_mean
from elbolab.files import decode_text, shown
from elbolab.run_directory import write_atomically
from tasks.trueskill.matches import Match
from tasks.trueskill.readers import matches_of_csv, matches_of_json, read_matches

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

LARGEST_SEASON = 16 * 2**20
"""Bytes that a season may have; the largest so far have a tenth of a MiB."""


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
        return matches_of_csv(text, name)
    if "://" in name:
        raise UserError(f"'{shown(name)}' is an address: download the file and name it.")
    if Path(name).suffix.lower() in (".json", ".csv") or os.sep in name or os.path.exists(name):
        return read_matches(Path(name))
    url = openfootball_url(name)
    path = cache_folder("openfootball") / f"{name}.json"
    return _read_kept(path) if path.exists() else _download_season(url, path, name)


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
            f"no file or season '{shown(name)}'.{hint} Seasons are called like serie-a-2018-19 and "
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


def _read_kept(path: Path) -> list[Match]:
    try:
        return read_matches(path)
    except UserError as error:
        raise UserError(f"{error} Delete this download to have it fetched again.") from error


def _download_season(url: str, path: Path, name: str) -> list[Match]:
    """Fetches a season; what is no match file is never kept."""
    try:
        content = download(url, LARGEST_SEASON)
    except UserError as error:
        raise UserError(
            f"cannot download {name} from {url}: {error}. Give --matches the file itself, "
            f"or save it as {path}."
        ) from error
    matches = matches_of_json(decode_text(content, url), url)
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(
            f"cannot keep {name} as {path}: {error.strerror}. Set XDG_CACHE_HOME to a folder "
            "that can be written to."
        ) from error
    return matches
