"""Whether intervals are as wide as they should be: leagues whose true skills are known."""

from collections.abc import Iterable

import numpy as np

from tasks.base import TaskContext
from tasks.trueskill.filtering import RunningRatings, one_step_ahead
from tasks.trueskill.matches import Season
from tasks.trueskill.methods import History
from tasks.trueskill.model import Rating
from tasks.trueskill.preparation import Prepared
from tasks.trueskill.simulation import simulate
from tasks.trueskill.task import TrueSkill

__all__ = ["coverage", "further_coverage"]

INTERVAL = 1.96
"""Standard deviations on either side of the mean that hold 95 % of a Gaussian."""


def coverage(truth: Iterable[float], ratings: Iterable[Rating]) -> float:
    """Share of true skills, in points, within `INTERVAL` standard deviations of the mean."""
    pairs = zip(truth, ratings, strict=True)
    return float(np.mean([abs(skill - r.mean) <= INTERVAL * r.std for skill, r in pairs]))


def further_coverage(task: TrueSkill, given: Prepared, context: TaskContext) -> list[float]:
    """The coverage of every league but the first, each simulated and inferred afresh."""
    steps = context.progress(range(1, task.league.repeats), description="leagues")
    return [_one_league(task, given, context, number) for number in steps]


def _one_league(task: TrueSkill, given: Prepared, context: TaskContext, number: int) -> float:
    matches, truth = simulate(task.league, given.model, context.generator("league", number))
    season = Season.of("simulated", matches, task.rules)
    generator = context.generator("inference", number)
    priors = [given.model.prior] * len(season.teams)
    running = RunningRatings(given.model, priors)
    update = task.inference.update(generator)
    for _ in one_step_ahead(running, season.games, update):
        pass
    history = History(given.model, priors, season.games, running.ratings, generator)
    ratings = task.inference.infer(history).ratings
    return coverage((truth[team] for team in season.teams), ratings)
