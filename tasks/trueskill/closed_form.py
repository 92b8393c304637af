"""What is known exactly about one match, one pure function each.

Symbols: μ_i, σ_i² = ``Rating``; σ_t, ε, h = ``SkillModel``; c² = σ_1² + σ_2² + σ_t².
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

from elbolab.checks import check_in
from elbolab.errors import UserError
from tasks.trueskill.model import Rating, SkillModel
from tasks.trueskill.truncation import log_draw_probability, log_normal_cdf, normal_cdf, vw

__all__ = [
    "Chances",
    "Update",
    "chances",
    "draw_margin",
    "log_probability",
    "moment_match",
    "refuse_draw",
    "skill_posterior_density",
]

Update = Callable[[SkillModel, Rating, Rating, int], tuple[Rating, Rating]]
"""``(model, first, second, y)`` → both teams' beliefs after the match."""


class Chances(NamedTuple):
    """Probabilities of the three outcomes of a match; they add up to one."""

    first: float
    draw: float
    second: float


def chances(model: SkillModel, first: Rating, second: Rating) -> Chances:
    """p(y) of a match to come: Φ((d − ε)/c), Φ((−d − ε)/c) and the rest, d = μ_1 − μ_2 + h."""
    d, c = _difference(model, first, second)
    win = normal_cdf((d - model.draw_margin) / c)
    loss = normal_cdf((-d - model.draw_margin) / c)
    return Chances(win, max(0.0, 1 - win - loss) if model.draw_margin else 0.0, loss)


def log_probability(model: SkillModel, first: Rating, second: Rating, y: int) -> float:
    """log p(y), in nats, finite however improbable the outcome was.

    Raises:
        UserError: If a draw is given to a model without draws.
    """
    d, c = _difference(model, first, second)
    if y:
        return log_normal_cdf((y * d - model.draw_margin) / c)
    refuse_draw(model)
    return log_draw_probability(d / c, model.draw_margin / c)


def moment_match(model: SkillModel, first: Rating, second: Rating, y: int) -> tuple[Rating, Rating]:
    """Both skills after the match: the Gaussians with the exact posterior's means and variances.

    μ_1 + (σ_1²/c)V, μ_2 − (σ_2²/c)V and σ_i²(1 − (σ_i²/c²)W); Herbrich et al. (2006), eq. in
    section 3. V and W are those of `truncation.vw`.

    Raises:
        UserError: If a draw is given to a model without draws.
    """
    if y == 0:
        refuse_draw(model)
    (m1, v1), (m2, v2) = first, second
    c2 = v1 + v2 + model.sigma_t**2
    c = math.sqrt(c2)
    v, w = vw((m1 - m2 + model.home_advantage) / c, model.draw_margin / c, y)
    return (
        Rating(m1 + v1 / c * v, v1 * (1 - v1 / c2 * w)),
        Rating(m2 - v2 / c * v, v2 * (1 - v2 / c2 * w)),
    )


def refuse_draw(model: SkillModel) -> None:
    """Raises `UserError` for a draw where the model has none."""
    if model.draw_margin == 0:
        raise UserError("a draw cannot happen at draw_margin 0: give a margin, or drop the draws.")


def draw_margin(rate: float, sigma_t: float) -> float:
    """ε = σ_t Φ⁻¹((1 + rate)/2): two equal teams draw this often.

    Args:
        rate: Draws among all matches, in [0, 1).
        sigma_t: σ_t, in points.

    Raises:
        UserError: If every match was drawn: no margin gives that.
    """
    check_in("[0, 1)", **{"draw rate": rate})
    return sigma_t * NormalDist().inv_cdf((1 + rate) / 2)


def skill_posterior_density(
    model: SkillModel, own: Rating, other: Rating, outcome: int, side: int, s: float
) -> float:
    """p(s | y), exact, per point: the prior's density times how probable s makes the outcome.

    Args:
        model: The hyper-parameters.
        own: The team's prior.
        other: The opponent's prior.
        outcome: +1 if the team won, −1 if it lost, 0 for a draw.
        side: +1 for the first team of the match, −1 for the second.
        s: The skill, in points.
    """
    h = side * model.home_advantage
    shifted = SkillModel(model.mu, model.sigma, model.sigma_t, model.draw_margin, h)
    log_prior = -0.5 * ((s - own.mean) ** 2 / own.variance + math.log(2 * math.pi * own.variance))
    log_likelihood = log_probability(shifted, Rating(s, 0.0), other, outcome)
    return math.exp(log_prior + log_likelihood - log_probability(shifted, own, other, outcome))


def _difference(model: SkillModel, first: Rating, second: Rating) -> tuple[float, float]:
    """Mean d and standard deviation c of t before the match."""
    c2 = first.variance + second.variance + model.sigma_t**2
    return first.mean - second.mean + model.home_advantage, math.sqrt(c2)
