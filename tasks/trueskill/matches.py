"""Matches, and the season that a model can rate: played, in order, with a result each."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from unicodedata import category

from elbolab.errors import UserError
from elbolab.files import shown
from tasks.trueskill.model import RatedMatch

__all__ = ["Draws", "Match", "Rules", "Season"]

Draws = Literal["drop", "model", "refuse"]
"""What happens to drawn matches."""

Goals = tuple[int, int]
"""Of the first team and of the second."""

LONGEST_NAME = 100
"""Letters of a team's name: what a picture has room for."""


@dataclass(frozen=True)
class Match:
    """One match as a file tells it.

    Args:
        date: ISO date.
        team1: The home team.
        team2: The other one.
        goals: After 90 minutes; None for a match that was not played yet.
        time: Kick-off as HH:MM, or empty.
        extra_time: Goals after extra time, counted from the start.
        penalties: Goals of the shoot-out alone.

    Raises:
        UserError: If the date is none, a team plays itself or has no proper name, or the goals
            contradict each other.
    """

    date: str
    team1: str
    team2: str
    goals: Goals | None
    time: str = ""
    extra_time: Goals | None = None
    penalties: Goals | None = None

    def __post_init__(self) -> None:
        for team in (self.team1, self.team2):
            _check_name(team)
        if not _is_date(self.date):
            raise UserError(
                f"match {self.team1} – {self.team2} has the date '{shown(self.date)}': "
                "write it as YYYY-MM-DD."
            )
        if self.team1 == self.team2:
            raise UserError(f"{self.team1} plays itself on {self.date}: correct one of the teams.")
        if fault := _contradiction(self.goals, self.extra_time, self.penalties):
            raise UserError(f"{self}: {fault}.")

    def __str__(self) -> str:
        return f"{self.date} {self.team1} – {self.team2}"


def _check_name(team: str) -> None:
    if len(team) > LONGEST_NAME:
        raise UserError(f"the team '{shown(team)}' has more than {LONGEST_NAME} letters.")
    if any(category(letter) in ("Cc", "Cs") for letter in team):
        raise UserError(f"the team '{shown(team)}' has a control character in its name.")


def _is_date(text: str) -> bool:
    """Whether it is YYYY-MM-DD; other ISO dates would be put in a wrong order, as text."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _contradiction(
    goals: Goals | None, extra_time: Goals | None, penalties: Goals | None
) -> str | None:
    if goals is None and (extra_time or penalties):
        return "extra time or penalties without the goals of 90 minutes"
    if goals and extra_time and (extra_time[0] < goals[0] or extra_time[1] < goals[1]):
        return "fewer goals after extra time than after 90 minutes, counted from the start"
    if penalties and penalties[0] == penalties[1]:
        return "a shoot-out cannot end level"
    return None


@dataclass(frozen=True)
class Rules:
    """What counts as a result.

    Args:
        draws: ``drop`` drawn matches, ``model`` them, or ``refuse`` them as a mistake.
        extra_time: Whether goals of extra time count.
        shoot_outs: Whether a shoot-out decides a match that is still level.
    """

    draws: Draws = "drop"
    extra_time: bool = False
    shoot_outs: bool = False

    def result(self, match: Match) -> int:
        """+1 if the first team of a played match won, −1 if it lost, 0 for a draw."""
        scores = [match.goals]
        if self.extra_time:
            scores.append(match.extra_time)
        known = [score for score in scores if score is not None]
        margin = known[-1][0] - known[-1][1]
        if margin == 0 and self.shoot_outs and match.penalties is not None:
            margin = match.penalties[0] - match.penalties[1]
        return (margin > 0) - (margin < 0)


@dataclass
class Season:
    """What is rated: matches in the order in which they were played, and their results.

    Attributes:
        name: For titles.
        teams: Names in alphabetical order; a `RatedMatch` holds places in it.
        matches: The rated matches.
        rated: The same as indices and results.
        drawn: Drawn matches among all that were played.
        played: All that were played.
        unplayed: Matches without a score, left out.
        notes: What a person should know about the file, one line each.
    """

    name: str
    teams: tuple[str, ...]
    matches: list[Match]
    rated: list[RatedMatch]
    drawn: int
    played: int
    unplayed: list[Match]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, matches: Sequence[Match], rules: Rules) -> "Season":
        """Orders the matches by date and time, and decides them.

        Raises:
            UserError: If a draw is refused, or nothing is left to rate.
        """
        unplayed = [match for match in matches if match.goals is None]
        given = [match for match in matches if match.goals is not None]
        ordered = sorted(given, key=lambda match: (match.date, match.time))
        results = [rules.result(match) for match in ordered]
        if rules.draws == "refuse":
            _refuse_draws(ordered, results)
        kept = [k for k, y in enumerate(results) if y or rules.draws == "model"]
        if not kept:
            raise UserError(
                f"{name} has no match to rate: {len(matches)} in all, {len(unplayed)} without a "
                f"score, {results.count(0)} drawn."
            )
        teams = tuple(sorted({team for m in ordered for team in (m.team1, m.team2)}))
        place = {team: index for index, team in enumerate(teams)}
        decided = [ordered[k] for k in kept]
        rated = [
            RatedMatch(place[m.team1], place[m.team2], results[k])
            for k, m in zip(kept, decided, strict=True)
        ]
        season = cls(name, teams, decided, rated, results.count(0), len(ordered), unplayed)
        season.notes += _notes(season, given != ordered, rules)
        return season

    @property
    def draw_rate(self) -> float:
        """Drawn matches among those that were played, in [0, 1]."""
        return self.drawn / self.played

    def appearances(self) -> list[int]:
        """Rated matches of each team."""
        counts = Counter(team for match in self.rated for team in match[:2])
        return [counts[index] for index in range(len(self.teams))]


def _refuse_draws(matches: Iterable[Match], results: Iterable[int]) -> None:
    for match, y in zip(matches, results, strict=True):
        if y == 0:
            raise UserError(
                f"{match} was drawn, and this model has no draws: choose --draws drop or model."
            )


def _notes(season: Season, resorted: bool, rules: Rules) -> list[str]:
    notes = []
    if resorted:
        notes.append(f"{season.name}: matches were not in order of date and time; sorted.")
    if season.drawn and rules.draws == "drop":
        notes.append(f"{season.name}: {season.drawn} of {season.played} matches drawn; dropped.")
    if again := len(season.matches) - len(set(season.matches)):
        notes.append(f"{season.name}: {again} matches are there twice; each counts.")
    if season.unplayed:
        first = "; ".join(map(str, season.unplayed[:3]))
        more = "; …" if len(season.unplayed) > 3 else ""
        notes.append(
            f"{season.name}: skipped for want of a score, {len(season.unplayed)}, all in "
            f"unplayed.csv: {first}{more}"
        )
    return notes
