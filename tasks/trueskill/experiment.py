"""What the command does with its options: predict, rate, evaluate, draw, record."""

from dataclasses import replace

import numpy as np

from tasks.base import Table, TaskContext, TaskResult
from tasks.trueskill import pictures
from tasks.trueskill.chain_report import chain_report
from tasks.trueskill.closed_form import chances
from tasks.trueskill.evaluation import Forecast, calibration
from tasks.trueskill.filtering import RunningRatings, one_step_ahead, ranks, shuffled_seasons
from tasks.trueskill.inference import MatchHistory, SkillPosterior, infer, update_rule
from tasks.trueskill.matches import Match
from tasks.trueskill.options import TrueSkillOptions
from tasks.trueskill.preparation import PreparedSeason, prepare_season
from tasks.trueskill.simulation import further_coverage, interval_coverage

__all__ = ["run"]


def run(options: TrueSkillOptions, context: TaskContext) -> TaskResult:
    """Does what `task.TrueSkill` promises.

    Raises:
        UserError: If a file or an option is wrong.
    """
    prepared = prepare_season(options, context)
    running = RunningRatings(prepared.model, prepared.priors)
    update = update_rule(options.inference, context.generator("update"))
    matches = context.progress(prepared.season.rated, description="matches")
    predicted = list(one_step_ahead(running, list(matches), update))
    forecast = Forecast.of(predicted, prepared.season.rated, prepared.model.draw_margin > 0)
    posterior = infer(options.inference, _history(prepared, running, context))
    result = TaskResult.merged(
        _season(prepared, posterior),
        _predictions(options, prepared, forecast),
        _pairings(options, prepared, posterior),
        _unplayed(prepared.season.unplayed),
        _order(options, prepared, running, context),
        _truth(options, prepared, posterior, context),
        chain_report(prepared, posterior),
    )
    _curves(forecast, context)
    return result


def _history(
    prepared: PreparedSeason, running: RunningRatings, context: TaskContext
) -> MatchHistory:
    return MatchHistory(
        prepared.model,
        prepared.priors,
        prepared.season.rated,
        running.ratings,
        context.generator("inference"),
        lambda steps: context.progress(steps, description="samples"),
    )


def _season(prepared: PreparedSeason, posterior: SkillPosterior) -> TaskResult:
    season, ratings = prepared.season, posterior.ratings
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
        "matches": len(season.rated),
        "teams": len(season.teams),
        "drawn": season.drawn,
        "draw_margin": prepared.model.draw_margin,
        "home_advantage": prepared.model.home_advantage,
    }
    title = f"{season.name}: {len(season.rated)} match{'es' * (len(season.rated) > 1)}"
    figure = pictures.ranking_picture(teams, best, title)
    return TaskResult(counts | posterior.metrics, {"ratings": table}, {"ranking": figure})


def _predictions(
    options: TrueSkillOptions, prepared: PreparedSeason, forecast: Forecast
) -> TaskResult:
    season, metrics = prepared.season, forecast.scores() | forecast.baselines()
    middle = {"p_draw": forecast.chances[:, 1].tolist()} if forecast.draws else {}
    table: Table = {
        "date": [match.date for match in season.matches],
        "team1": [match.team1 for match in season.matches],
        "team2": [match.team2 for match in season.matches],
        "p_team1": forecast.chances[:, 0].tolist(),
        **middle,
        "y": [match.y for match in season.rated],
        "correct": forecast.correct.tolist(),
    }
    others = {}
    if options.previous is not None:
        fresh = others["default priors"] = _without_carry_over(prepared, forecast)
        metrics |= {f"default_prior/{name}": value for name, value in fresh.scores().items()}
        metrics["carried_teams"] = prepared.carried
    figures = {
        "prediction_rate": pictures.prediction_rate_picture(forecast, options.window, others),
        "calibration": pictures.calibration_picture(calibration(forecast), forecast),
    }
    return TaskResult(metrics, {"predictions": table}, figures)


def _without_carry_over(prepared: PreparedSeason, forecast: Forecast) -> Forecast:
    """The same matches predicted from the default prior."""
    running = RunningRatings(prepared.model, [prepared.model.prior] * len(prepared.priors))
    predicted = list(one_step_ahead(running, prepared.season.rated))
    return replace(forecast, chances=np.array(predicted))


def _pairings(
    options: TrueSkillOptions, prepared: PreparedSeason, posterior: SkillPosterior
) -> TaskResult:
    if not options.pairings:
        return TaskResult()
    place = {team: index for index, team in enumerate(prepared.season.teams)}
    predicted = [
        chances(prepared.model, *posterior.pair(place[one], place[two]))
        for one, two in options.pairings
    ]
    table: Table = {
        "team1": [one for one, _ in options.pairings],
        "team2": [two for _, two in options.pairings],
        "p_team1": [p.first for p in predicted],
        "p_draw": [p.draw for p in predicted],
        "p_team2": [p.second for p in predicted],
    }
    return TaskResult(tables={"pairings": table})


def _unplayed(matches: list[Match]) -> TaskResult:
    if not matches:
        return TaskResult()
    columns = ("date", "team1", "team2")
    table = {column: [getattr(match, column) for match in matches] for column in columns}
    return TaskResult({"unplayed": len(matches)}, {"unplayed": table})


def _order(
    options: TrueSkillOptions,
    prepared: PreparedSeason,
    running: RunningRatings,
    context: TaskContext,
) -> TaskResult:
    if not options.shuffles:
        return TaskResult()
    steps = context.progress(range(options.shuffles), description="shuffles")
    study = shuffled_seasons(
        prepared.model, prepared.priors, prepared.season.rated, steps, context.generator("order")
    )
    played = ranks(running.mean)
    order = np.argsort(played)
    table: Table = {
        "team": [prepared.season.teams[i] for i in order],
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
    figure = pictures.order_picture(prepared.season.teams, running.mean, study)
    return TaskResult(metrics, {"order": table}, {"order": figure})


def _truth(
    options: TrueSkillOptions,
    prepared: PreparedSeason,
    posterior: SkillPosterior,
    context: TaskContext,
) -> TaskResult:
    if not prepared.truth:
        return TaskResult()
    teams = prepared.season.teams
    truth = np.array([prepared.truth[team] for team in teams])
    covered = interval_coverage(truth, posterior.ratings)
    everywhere = [covered, *further_coverage(options, prepared.model, context)]
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
