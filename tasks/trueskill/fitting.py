"""Hyper-parameters that are estimated from matches."""

from dataclasses import replace

from tasks.trueskill.closed_form import log_probability, moment_match
from tasks.trueskill.filtering import RunningRatings
from tasks.trueskill.model import Game, Model, Rating

__all__ = ["best_home_advantage", "log_evidence"]

HOME_RANGE = 2.0
"""Advantages are looked for up to this many σ_t on either side."""


def log_evidence(model: Model, priors: list[Rating], games: list[Game]) -> float:
    """log p(all results), in nats, as filtering sees it: Σ log p(result | results before)."""
    running, total = RunningRatings(model, priors), 0.0
    for first, second, y in games:
        before = running.before(first), running.before(second)
        total += log_probability(model, *before, y)
        for team, after in zip((first, second), moment_match(model, *before, y), strict=True):
            running.replace(team, after)
    return total


def best_home_advantage(model: Model, priors: list[Rating], games: list[Game]) -> float:
    """The h, in points, under which the results were most probable; to a hundredth of σ_t."""
    from scipy.optimize import minimize_scalar  # a fifth of a second that few runs need

    def cost(h: float) -> float:
        return -log_evidence(replace(model, home_advantage=h), priors, games)

    reach = HOME_RANGE * model.sigma_t
    found = minimize_scalar(
        cost, bounds=(-reach, reach), method="bounded", options={"xatol": 0.01 * model.sigma_t}
    )
    return float(found.x)
