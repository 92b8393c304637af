"""From the command's options to what is rated: seasons read, hyper-parameters known, priors set."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from elbolab.errors import UserError, did_you_mean
from tasks.base import TaskContext
from tasks.trueskill.closed_form import draw_margin
from tasks.trueskill.filtering import RunningRatings
from tasks.trueskill.fitting import best_home_advantage
from tasks.trueskill.matches import Season
from tasks.trueskill.model import Model, Rating
from tasks.trueskill.simulation import simulate
from tasks.trueskill.sources import find_matches
from tasks.trueskill.task import TrueSkill

__all__ = ["Prepared", "check_teams", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """Everything that is known before the first match.

    Attributes:
        season: What is rated.
        model: The hyper-parameters, estimated ones filled in.
        priors: One belief for each team of the season.
        truth: Known skills by team, of a simulated league.
        carried: Teams whose prior is the season before's posterior.
    """

    season: Season
    model: Model
    priors: list[Rating]
    truth: dict[str, float]
    carried: int


def prepare(task: TrueSkill, context: TaskContext) -> Prepared:
    """Reads the seasons and sets the priors; notes go to standard error.

    Raises:
        UserError: If a file or an option is wrong.
    """
    truth: dict[str, float] = {}
    if task.matches == "simulated":
        margin = draw_margin(task.league.draw_rate, task.model.sigma_t)
        model = replace(task.model, draw_margin=task.model.draw_margin or margin)
        matches, truth = simulate(task.league, model, context.generator("league"))
    else:
        matches = find_matches(task.matches)
    season = Season.of(_title(task.matches), matches, task.rules)
    previous = None
    if task.previous:
        previous = Season.of(_title(task.previous), find_matches(task.previous), task.rules)
        if season.matches[0].date <= previous.matches[0].date:
            previous.notes.append(f"{previous.name} does not begin before {season.name}.")
    for note in (*(previous.notes if previous else ()), *season.notes):
        print(f"note: {note}", file=sys.stderr)
    model = _estimate(task, previous or season)
    return _with_priors(task, model, season, previous, truth)


def _title(source: str) -> str:
    return Path(source).stem if Path(source).suffix.lower() in (".json", ".csv") else source


def _estimate(task: TrueSkill, season: Season) -> Model:
    """Fills in what the options left to be estimated."""
    model = task.model
    if task.rules.draws == "model" and task.draw_margin is None:
        if not season.drawn:
            raise UserError(
                f"{season.name} has no draw to estimate a margin from: give --draw_margin, "
                "or --draws drop."
            )
        model = replace(model, draw_margin=draw_margin(season.draw_rate, model.sigma_t))
    if task.estimate_home:
        priors = _priors(model, season, task.priors)
        h = best_home_advantage(model, priors, season.games)
        model = replace(model, home_advantage=h)
    return model


def _with_priors(
    task: TrueSkill,
    model: Model,
    season: Season,
    previous: Season | None,
    truth: dict[str, float],
) -> Prepared:
    known: dict[str, Rating] = {}
    if previous:
        running = RunningRatings(model, _priors(model, previous, task.priors))
        running.observe_all(previous.games)
        known = dict(zip(previous.teams, running.ratings, strict=True))
        if not set(known) & set(season.teams):
            raise UserError(f"{previous.name} and {season.name} have no team in common.")
    check_teams(task.priors, {*season.teams, *known}, "priors")
    check_teams((team for pair in task.pairings for team in pair), season.teams, "pairings")
    for one, two in task.pairings:
        if one == two:
            raise UserError(f"pairings has {one} against itself: name two teams.")
    carried = len(set(known) & set(season.teams))
    begin = _priors(model, season, task.priors | known)
    return Prepared(season, model, begin, truth, carried)


def _priors(model: Model, season: Season, known: dict[str, Rating]) -> list[Rating]:
    return [known.get(team, model.prior) for team in season.teams]


def check_teams(names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raises `UserError` for a name that is no team's, with the closest one that is."""
    known = list(known)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f" Teams: {', '.join(sorted(known))}."
            raise UserError(f"{where} names '{name}', who is no team of this season.{hint}")
