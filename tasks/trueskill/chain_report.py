"""What a run of Gibbs chains leaves behind: diagnostics of every team, pictures of the best."""

import math
from collections.abc import Callable

import numpy as np

from tasks.arrays import Floats
from tasks.base import Table, TaskResult
from tasks.trueskill import chain_pictures
from tasks.trueskill.closed_form import skill_posterior_density
from tasks.trueskill.diagnostics import autocorrelation, bulk_ess, mcse, r_hat
from tasks.trueskill.gibbs import log_likelihood
from tasks.trueskill.inference import SkillPosterior
from tasks.trueskill.joint import JointSmoother
from tasks.trueskill.model import RatedMatch, Rating
from tasks.trueskill.preparation import PreparedSeason

__all__ = ["chain_report"]

SAMPLES_SHOWN = 4000
"""Samples of each chain in the picture of the log-likelihood."""

NUMBERS_HELD = 2**27
"""Samples times chains times matches for it, a GiB; of more, fewer samples are shown."""


def chain_report(prepared: PreparedSeason, posterior: SkillPosterior) -> TaskResult:
    """Effective sample sizes, R̂, Monte-Carlo errors, the distance from smoothing, and pictures."""
    skills = posterior.skills
    if skills is None:
        return TaskResult()
    smooth = JointSmoother(prepared.model, prepared.priors, prepared.season.rated).run()
    table = _diagnostics(skills, smooth)
    shown = np.argsort([-rating.mean for rating in posterior.ratings])[: chain_pictures.SHOWN]
    teams, best = [prepared.season.teams[i] for i in shown], skills[..., shown]
    name, densities = _densities(prepared, smooth)
    count = min(SAMPLES_SHOWN, max(8, NUMBERS_HELD // (len(skills) * len(prepared.season.rated))))
    likelihood = log_likelihood(prepared.model, prepared.season.rated, skills[:, :count])
    figures = {
        "gibbs_traces": chain_pictures.trace_picture(best, teams),
        "gibbs_autocorrelation": chain_pictures.autocorrelation_picture(best, teams),
        "gibbs_histograms": chain_pictures.histogram_picture(
            best, teams, [densities[i] for i in shown], name
        ),
        "gibbs_log_likelihood": chain_pictures.likelihood_picture(likelihood),
    }
    metrics = {
        "gibbs/min_ess": min(table["ess"]),
        "gibbs/max_r_hat": max(table["r_hat"]),
        "gibbs/max_mcse": max(table["mcse"]),
        "gibbs/max_distance_from_ep": max(
            abs(mean - rating.mean) for mean, rating in zip(table["mean"], smooth, strict=True)
        ),
    }
    return TaskResult(metrics, {"diagnostics": _named(prepared, table)}, figures)


def _diagnostics(skills: Floats, smooth: list[Rating]) -> dict[str, list[float]]:
    columns = [skills[..., i] for i in range(skills.shape[-1])]
    lag_one = [float(autocorrelation(x).mean(0)[1]) for x in columns]
    return {
        "mean": [float(x.mean()) for x in columns],
        "std": [float(x.std(ddof=1)) for x in columns],
        "mcse": [mcse(x) for x in columns],
        "ess": [bulk_ess(x) for x in columns],
        "r_hat": [r_hat(x) for x in columns],
        "autocorrelation_1": lag_one,
        "smoothed_mean": [rating.mean for rating in smooth],
        "smoothed_std": [rating.std for rating in smooth],
    }


def _named(prepared: PreparedSeason, table: dict[str, list[float]]) -> Table:
    return {"team": prepared.season.teams, **table}


def _densities(
    prepared: PreparedSeason, smooth: list[Rating]
) -> tuple[str, list[Callable[[float], float]]]:
    """The exact posterior of a single match; of more, the Gaussian of smoothing."""
    if len(prepared.season.rated) == 1:
        (match,) = prepared.season.rated
        exact = {
            match.first: _exact(prepared, match, +1),
            match.second: _exact(prepared, match, -1),
        }
        return "the exact posterior", [exact[i] for i in range(len(smooth))]
    return "the posterior by expectation propagation", [_gaussian(rating) for rating in smooth]


def _exact(prepared: PreparedSeason, match: RatedMatch, side: int) -> Callable[[float], float]:
    own, other = (match.first, match.second) if side > 0 else (match.second, match.first)
    return lambda s: skill_posterior_density(
        prepared.model, prepared.priors[own], prepared.priors[other], side * match.y, side, s
    )


def _gaussian(rating: Rating) -> Callable[[float], float]:
    scale = rating.std * math.sqrt(2 * math.pi)
    return lambda s: math.exp(-0.5 * (s - rating.mean) ** 2 / rating.variance) / scale
