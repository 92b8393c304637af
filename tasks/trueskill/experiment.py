"""What the command does with its options: predict, rate, evaluate, draw, record."""

from dataclasses import replace
from typing import Any

import numpy as np

from tasks.base import Table, TaskContext, TaskResult
from tasks.trueskill import pictures
from tasks.trueskill.chain_report import chain_report
from tasks.trueskill.closed_form import Chances, chances
from tasks.trueskill.coverage import coverage, further_coverage
from tasks.trueskill.evaluation import Forecast, calibration
from tasks.trueskill.filtering import RunningRatings, one_step_ahead
from tasks.trueskill.matches import Match
from tasks.trueskill.methods import History, Posterior
from tasks.trueskill.order import OrderStudy, ranks, shuffled_seasons
from tasks.trueskill.preparation import Prepared, prepare
from tasks.trueskill.task import TrueSkill

__all__ = ["merge", "run"]


def run(task: TrueSkill, context: TaskContext) -> TaskResult:
    """Does what `task.TrueSkill` promises.

    Raises:
        UserError: If a file or an option is wrong.
    """
    given = prepare(task, context)
    running = RunningRatings(given.model, given.priors)
    update = task.inference.update(context.generator("update"))
    games = context.progress(given.season.games, description="matches")
    predicted = list(one_step_ahead(running, list(games), update))
    forecast = Forecast.of(predicted, given.season.games, given.model.draw_margin > 0)
    posterior = task.inference.infer(_history(given, running, context))
    parts = [
        _season(given, posterior),
        _predictions(task, given, forecast),
        _pairings(task, given, posterior),
        _unplayed(given.season.unplayed),
        _order(task, given, running, context),
        _truth(task, given, posterior, context),
        chain_report(given, posterior),
    ]
    result = merge(parts)
    _curves(forecast, context)
    return result


def merge(parts: list[TaskResult]) -> TaskResult:
    """One result of several; later ones win."""
    merged: dict[str, dict[str, Any]] = {"metrics": {}, "tables": {}, "figures": {}}
    for part in parts:
        for kind, found in merged.items():
            found.update(getattr(part, kind))
    return TaskResult(**merged)


def _history(given: Prepared, running: RunningRatings, context: TaskContext) -> History:
    return History(
        given.model,
        given.priors,
        given.season.games,
        running.ratings,
        context.generator("inference"),
        lambda steps: context.progress(steps, description="samples"),  # pyright: ignore
    )


def _season(given: Prepared, posterior: Posterior) -> TaskResult:
    season, ratings = given.season, posterior.ratings
    order = np.argsort(ranks(rating.mean for rating in ratings)).tolist()
    teams, best = [season.teams[i] for i in order], [ratings[i] for i in order]
    appearances = season.appearances()
    table: Table = {
        "rank": range(1, len(order) + 1),
        "team": teams,
        "mean": [rating.mean for rating in best],
        "std": [rating.std for rating in best],
        "matches": [appearances[i] for i in order],
    }
    counts = {
        "matches": len(season.games),
        "teams": len(season.teams),
        "drawn": season.drawn,
        "draw_margin": given.model.draw_margin,
        "home_advantage": given.model.home_advantage,
    }
    title = f"{season.name}: {len(season.games)} match{'es' * (len(season.games) > 1)}"
    figure = pictures.ranking_picture(teams, best, title)
    return TaskResult(counts | posterior.metrics, {"ratings": table}, {"ranking": figure})


def _predictions(task: TrueSkill, given: Prepared, forecast: Forecast) -> TaskResult:
    season, metrics = given.season, forecast.scores() | forecast.baselines()
    middle = {"p_draw": forecast.chances[:, 1].tolist()} if forecast.draws else {}
    table: Table = {
        "date": [match.date for match in season.matches],
        "team1": [match.team1 for match in season.matches],
        "team2": [match.team2 for match in season.matches],
        "p_team1": forecast.chances[:, 0].tolist(),
        **middle,
        "y": [game.y for game in season.games],
        "correct": forecast.correct.tolist(),
    }
    others = {}
    if task.previous:
        fresh = others["default priors"] = _without_carry_over(given, forecast)
        metrics |= {f"default_prior/{name}": value for name, value in fresh.scores().items()}
        metrics["carried_teams"] = given.carried
    found = calibration(forecast)
    figures = {
        "prediction_rate": pictures.prediction_rate_picture(forecast, task.window, others),
        "calibration": pictures.calibration_picture(found, forecast),
    }
    return TaskResult(metrics, {"predictions": table}, figures)


def _without_carry_over(given: Prepared, forecast: Forecast) -> Forecast:
    """The same matches predicted from the default prior."""
    running = RunningRatings(given.model, [given.model.prior] * len(given.priors))
    predicted = list(one_step_ahead(running, given.season.games))
    return replace(forecast, chances=np.array(predicted))


def _pairings(task: TrueSkill, given: Prepared, posterior: Posterior) -> TaskResult:
    if not task.pairings:
        return TaskResult()
    place = {team: index for index, team in enumerate(given.season.teams)}
    found: list[Chances] = [
        chances(given.model, *posterior.pair(place[one], place[two])) for one, two in task.pairings
    ]
    table: Table = {
        "team1": [one for one, _ in task.pairings],
        "team2": [two for _, two in task.pairings],
        "p_team1": [p.first for p in found],
        "p_draw": [p.draw for p in found],
        "p_team2": [p.second for p in found],
    }
    return TaskResult(tables={"pairings": table})


def _unplayed(matches: list[Match]) -> TaskResult:
    if not matches:
        return TaskResult()
    columns = ("date", "team1", "team2")
    table = {column: [getattr(match, column) for match in matches] for column in columns}
    return TaskResult({"unplayed": len(matches)}, {"unplayed": table})


def _order(
    task: TrueSkill, given: Prepared, running: RunningRatings, context: TaskContext
) -> TaskResult:
    if not task.shuffles:
        return TaskResult()
    steps = context.progress(range(task.shuffles), description="shuffles")
    study: OrderStudy = shuffled_seasons(
        given.model, given.priors, given.season.games, steps, context.generator("order")
    )
    played = ranks(running.mean)
    order = np.argsort(played)
    table: Table = {
        "team": [given.season.teams[i] for i in order],
        "rank_as_played": played[order],
        "rank_best": study.ranks.min(0)[order],
        "rank_median": np.median(study.ranks, axis=0)[order],
        "rank_worst": study.ranks.max(0)[order],
        "rank_std": study.ranks.std(0, ddof=1)[order],
        "mean_std": study.means.std(0, ddof=1)[order],
    }
    metrics = {
        "order/rank_spread": study.spread.mean(),
        "order/rank_spread_max": study.spread.max(),
        "order/rank_std": study.ranks.std(0, ddof=1).mean(),
        "order/mean_std": study.means.std(0, ddof=1).mean(),
    }
    figure = pictures.order_picture(given.season.teams, running.mean, study)
    return TaskResult(metrics, {"order": table}, {"order": figure})


def _truth(
    task: TrueSkill, given: Prepared, posterior: Posterior, context: TaskContext
) -> TaskResult:
    if not given.truth:
        return TaskResult()
    teams = given.season.teams
    truth = np.array([given.truth[team] for team in teams])
    covered = coverage(truth, posterior.ratings)
    everywhere = [covered, *further_coverage(task, given, context)]
    table: Table = {
        "team": teams,
        "skill": truth,
        "mean": [rating.mean for rating in posterior.ratings],
        "std": [rating.std for rating in posterior.ratings],
    }
    figure = pictures.truth_picture(truth, posterior.ratings, covered)
    return TaskResult(
        {"coverage_95": float(np.mean(everywhere))}, {"skills": table}, {"skills": figure}
    )


def _curves(forecast: Forecast, context: TaskContext) -> None:
    """Cumulative rates in TensorBoard, one point a match."""
    steps = np.arange(1, len(forecast.correct) + 1)
    for name, values in (("prediction_rate", forecast.correct), ("log_loss", forecast.log_loss)):
        for step, value in zip(steps.tolist(), np.cumsum(values) / steps, strict=True):
            context.writer.add_scalar(f"trueskill/running/{name}", value, step)
