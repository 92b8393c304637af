"""The model's hyper-parameters and its two elementary quantities: a rating and a result.

    s_i ~ N(μ_i, σ_i²)        skill of team i
    t | s_1, s_2 ~ N(s_1 − s_2 + h, σ_t²)
    y = +1 if t > ε, −1 if t < −ε, 0 (a draw) between

Herbrich, Minka & Graepel, TrueSkill: a Bayesian skill rating system, NeurIPS 2006. Skills and the
difference t of performances are in points on one scale; only their ratios matter.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from elbolab.checks import check_in

__all__ = ["MU", "SIGMA", "RatedMatch", "Rating", "SkillModel", "prior_rating"]

MU = 25.0
"""Mean skill before the first match, in points; Herbrich et al. (2006)."""

SIGMA = MU / 3
"""Standard deviation of skill before the first match, in points; Herbrich et al. (2006)."""


class Rating(NamedTuple):
    """A Gaussian belief about one skill: ``mean`` in points, ``variance`` in points²."""

    mean: float
    variance: float

    @property
    def std(self) -> float:
        """Standard deviation in points."""
        return math.sqrt(self.variance)


class RatedMatch(NamedTuple):
    """One match: the indices of both teams and ``y``, +1 if the first won, −1 if it lost, 0."""

    first: int
    second: int
    y: int


@dataclass(frozen=True)
class SkillModel:
    """Hyper-parameters, all in points.

    Args:
        mu: μ, mean of a skill before the first match.
        sigma: σ, its standard deviation; positive.
        sigma_t: σ_t, standard deviation of the difference of two performances; positive.
            Herbrich et al. call σ_t/√2 β.
        draw_margin: ε, matches closer than this are drawn; 0 is the model without draws.
        home_advantage: h, added to the first team's side of every match.
        drift: τ, standard deviation of what a skill changes between two matches of a team.

    Raises:
        UserError: If a value is impossible.
    """

    mu: float = MU
    sigma: float = SIGMA
    sigma_t: float = SIGMA
    draw_margin: float = 0.0
    home_advantage: float = 0.0
    drift: float = 0.0

    def __post_init__(self) -> None:
        check_in("(-inf, inf)", mu=self.mu, home_advantage=self.home_advantage)
        check_in("(0, inf)", sigma=self.sigma, sigma_t=self.sigma_t)
        check_in("[0, inf)", draw_margin=self.draw_margin, drift=self.drift)

    @property
    def prior(self) -> Rating:
        """The belief about a team that has not played yet."""
        return Rating(self.mu, self.sigma**2)


def prior_rating(mean: float, std: float, team: str) -> Rating:
    """The belief N(mean, std²) that a person states about a team.

    Raises:
        UserError: If it is none.
    """
    check_in("(-inf, inf)", **{f"mean of {team}'s prior": mean})
    check_in("(0, inf)", **{f"standard deviation of {team}'s prior": std})
    return Rating(float(mean), float(std) ** 2)
