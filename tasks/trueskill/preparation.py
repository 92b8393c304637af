"""From the command's options to what is rated: seasons read, hyper-parameters known, priors set."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from scipy.optimize import minimize_scalar

from elbolab.errors import UserError, did_you_mean
from elbolab.files import shown
from tasks.base import TaskContext
from tasks.trueskill.closed_form import draw_margin, log_probability, moment_match
from tasks.trueskill.filtering import RunningRatings
from tasks.trueskill.matches import Match, Season
from tasks.trueskill.model import RatedMatch, Rating, SkillModel
from tasks.trueskill.options import TrueSkillOptions
from tasks.trueskill.simulation import simulate_league
from tasks.trueskill.sources import find_matches

__all__ = ["PreparedSeason", "best_home_advantage", "prepare_season", "season_log_evidence"]

HOME_RANGE = 2.0
"""Home advantages are looked for up to this many σ_t on either side."""

HOME_TOLERANCE = 0.01
"""How closely, as a part of σ_t."""

TEAMS_NAMED = 20
"""Of those that a message lists."""


@dataclass(frozen=True)
class PreparedSeason:
    """Everything that is known before the first match.

    Attributes:
        season: What is rated.
        model: The hyper-parameters, estimated ones filled in.
        priors: One belief for each team of the season.
        truth: Known skills by team, of a simulated league.
        carried: Teams whose prior is the season before's posterior.
    """

    season: Season
    model: SkillModel
    priors: list[Rating]
    truth: dict[str, float]
    carried: int


def prepare_season(options: TrueSkillOptions, context: TaskContext) -> PreparedSeason:
    """Reads the seasons and sets the priors; notes go to standard error.

    Raises:
        UserError: If a file or an option is wrong.
    """
    matches, truth = _matches(options, context)
    season = Season.of(_title(options.matches), matches, options.rules)
    previous = _season_before(options, season)
    for note in (*(previous.notes if previous else ()), *season.notes):
        print(f"note: {note}", file=sys.stderr)
    model = _estimate(options, previous or season)
    known = _posterior(options, model, previous) if previous else {}
    carried = len(set(known) & set(season.teams))
    if previous and not carried:
        raise UserError(f"{previous.name} and {season.name} have no team in common.")
    _check_names(options, season, known)
    priors = _priors(model, season, options.stated_priors | known)
    return PreparedSeason(season, model, priors, truth, carried)


def _matches(
    options: TrueSkillOptions, context: TaskContext
) -> tuple[list[Match], dict[str, float]]:
    """The matches, and the true skills by team if they are known."""
    if not options.simulated:
        return find_matches(options.matches), {}
    league, model = options.league, options.model
    margin = model.draw_margin or draw_margin(league.draw_rate, model.sigma_t)
    return simulate_league(league, replace(model, draw_margin=margin), context.generator("league"))


def _season_before(options: TrueSkillOptions, season: Season) -> Season | None:
    if options.previous is None:
        return None
    matches = find_matches(options.previous)
    previous = Season.of(_title(options.previous), matches, options.rules)
    if season.matches[0].date <= previous.matches[0].date:
        raise UserError(
            f"previous must begin before {season.name} ({season.matches[0].date}); "
            f"{previous.name} begins on {previous.matches[0].date}."
        )
    return previous


def _title(source: str) -> str:
    return Path(source).stem if Path(source).suffix.lower() in (".json", ".csv") else source


def _estimate(options: TrueSkillOptions, season: Season) -> SkillModel:
    """Fills in what the options left to be estimated."""
    model = options.model
    if options.draws == "model" and options.draw_margin is None:
        if not season.drawn:
            raise UserError(
                f"{season.name} has no draw to estimate a margin from: give --draw_margin, "
                "or --draws drop."
            )
        model = replace(model, draw_margin=draw_margin(season.draw_rate, model.sigma_t))
    if options.estimates_home:
        priors = _priors(model, season, options.stated_priors)
        h = best_home_advantage(model, priors, season.rated)
        model = replace(model, home_advantage=h)
    return model


def season_log_evidence(
    model: SkillModel, priors: list[Rating], matches: list[RatedMatch]
) -> float:
    """log p(all results), in nats, as filtering sees it: Σ log p(result | results before)."""
    running, total = RunningRatings(model, priors), 0.0
    for first, second, y in matches:
        before = running.before(first), running.before(second)
        total += log_probability(model, *before, y)
        for team, after in zip((first, second), moment_match(model, *before, y), strict=True):
            running.replace(team, after)
    return total


def best_home_advantage(
    model: SkillModel, priors: list[Rating], matches: list[RatedMatch]
) -> float:
    """The h, in points, under which the results were most probable; to a hundredth of σ_t."""

    def cost(h: float) -> float:
        return -season_log_evidence(replace(model, home_advantage=h), priors, matches)

    reach, tolerance = HOME_RANGE * model.sigma_t, HOME_TOLERANCE * model.sigma_t
    options = {"xatol": tolerance}
    best = minimize_scalar(cost, bounds=(-reach, reach), method="bounded", options=options)
    return float(best.x)


def _posterior(options: TrueSkillOptions, model: SkillModel, season: Season) -> dict[str, Rating]:
    """What filtering says of each team after the season."""
    running = RunningRatings(model, _priors(model, season, options.stated_priors))
    running.observe_all(season.rated)
    return dict(zip(season.teams, running.ratings, strict=True))


def _priors(model: SkillModel, season: Season, known: dict[str, Rating]) -> list[Rating]:
    return [known.get(team, model.prior) for team in season.teams]


def _check_names(options: TrueSkillOptions, season: Season, known: Iterable[str]) -> None:
    """Raises `UserError` for a team that is named in the options and does not play."""
    pairings = options.pairings or []
    _check_teams(options.stated_priors, {*season.teams, *known}, "priors")
    _check_teams((team for pair in pairings for team in pair), season.teams, "pairings")
    for one, two in pairings:
        if one == two:
            raise UserError(f"pairings has {one} against itself: name two teams.")


def _check_teams(names: Iterable[str], known: Iterable[str], where: str) -> None:
    teams = sorted(known)
    for name in names:
        if name not in teams:
            some = ", ".join(teams[:TEAMS_NAMED]) + ", …" * (len(teams) > TEAMS_NAMED)
            hint = did_you_mean(name, teams) or f" Teams: {some}."
            raise UserError(f"{where} names '{shown(name)}', who is no team of this season.{hint}")
