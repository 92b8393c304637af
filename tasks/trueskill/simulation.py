"""Leagues whose true skills are known, to see how well they are recovered."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta

import numpy as np
from numpy.random import Generator

from tasks.base import TaskContext
from tasks.trueskill.filtering import RunningRatings, one_step_ahead
from tasks.trueskill.inference import MatchHistory, infer, update_rule
from tasks.trueskill.matches import Match, Season
from tasks.trueskill.model import Rating, SkillModel
from tasks.trueskill.options import League, TrueSkillOptions

__all__ = ["further_coverage", "interval_coverage", "simulate_league"]

OPENING = date(2000, 1, 1)
"""Day of the first round."""

GOALS = {1: (1, 0), 0: (0, 0), -1: (0, 1)}

INTERVAL = 1.96
"""Standard deviations on either side of the mean that hold 95 % of a Gaussian."""


def simulate_league(
    league: League, model: SkillModel, generator: Generator
) -> tuple[list[Match], dict[str, float]]:
    """Draws skills from the prior, and results from the model.

    Args:
        league: Who meets whom; its draw rate is the ``model``'s margin already.
        model: The hyper-parameters.
        generator: Source of all noise.

    Returns:
        The matches, and each team's true skill in points.
    """
    names = [f"Team {number:02d}" for number in range(1, league.teams + 1)]
    skills = model.mu + model.sigma * generator.standard_normal(league.teams)
    matches = []
    for day, pairs in enumerate(_schedule(league)):
        when = (OPENING + timedelta(days=7 * day)).isoformat()
        for i, j in pairs:
            t = skills[i] - skills[j] + model.home_advantage
            t += model.sigma_t * generator.standard_normal()
            y = int(t > model.draw_margin) - int(t < -model.draw_margin)
            matches.append(Match(when, names[i], names[j], GOALS[y]))
    return matches, dict(zip(names, skills.tolist(), strict=True))


def _schedule(league: League) -> list[list[tuple[int, int]]]:
    """Days of pairs, by the circle method: one stays, the others move on by one seat a day."""
    n, days = league.teams, []
    for leg in range(league.rounds):
        circle = list(range(n))
        for day in range(n - 1):
            pairs = [(circle[k], circle[n - 1 - k]) for k in range(n // 2)]
            swap = (leg + day) % 2
            days.append([(b, a) if swap else (a, b) for a, b in pairs])
            circle = [circle[0], circle[-1], *circle[1:-1]]
    return days


def interval_coverage(truth: Iterable[float], ratings: Iterable[Rating]) -> float:
    """Share of true skills, in points, within `INTERVAL` standard deviations of the mean."""
    pairs = zip(truth, ratings, strict=True)
    return float(np.mean([abs(skill - r.mean) <= INTERVAL * r.std for skill, r in pairs]))


def further_coverage(
    options: TrueSkillOptions, model: SkillModel, context: TaskContext
) -> list[float]:
    """The coverage of every league but the first, each simulated and inferred afresh."""
    steps = context.progress(range(1, options.league.repeats), description="leagues")
    return [_one_league(options, model, number, context.generator) for number in steps]


def _one_league(
    options: TrueSkillOptions,
    model: SkillModel,
    number: int,
    stream: Callable[[str, int], Generator],
) -> float:
    matches, truth = simulate_league(options.league, model, stream("league", number))
    season = Season.of("simulated", matches, options.rules)
    generator = stream("inference", number)
    priors = [model.prior] * len(season.teams)
    running = RunningRatings(model, priors)
    for _ in one_step_ahead(running, season.rated, update_rule(options.inference, generator)):
        pass
    history = MatchHistory(model, priors, season.rated, running.ratings, generator)
    ratings = infer(options.inference, history).ratings
    return interval_coverage((truth[team] for team in season.teams), ratings)
