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
from elbolab.errors import UserError

__all__ = ["MU", "SIGMA", "RatedMatch", "Rating", "SkillModel"]

MU = 25.0
"""Mean skill before the first match, in points; Herbrich et al. (2006)."""

SIGMA = MU / 3
"""Standard deviation of skill before the first match, in points; Herbrich et al. (2006)."""

LARGEST_RATIO = 1e5
"""By which points may differ from σ_t; from 10⁶ on, differences of floats lose their digits."""


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
        check_in("(0, inf)", sigma=self.sigma)
        check_in("[1e-6, 1e6]", sigma_t=self.sigma_t)
        check_in("[0, inf)", draw_margin=self.draw_margin, drift=self.drift)
        self._check_sizes(**{name: size for name, size in vars(self).items() if name != "sigma_t"})
        self._check_spread(sigma=self.sigma)

    @property
    def prior(self) -> Rating:
        """The belief about a team that has not played yet."""
        return Rating(self.mu, self.sigma**2)

    def stated(self, mean: float, std: float, team: str) -> Rating:
        """The belief N(mean, std²) that a person states about a team.

        Raises:
            UserError: If it is none.
        """
        spread = {f"standard deviation of {team}'s prior": std}
        check_in("(0, inf)", **spread)
        self._check_sizes(**{f"mean of {team}'s prior": mean}, **spread)
        self._check_spread(**spread)
        return Rating(float(mean), float(std) ** 2)

    def _check_sizes(self, **points: float) -> None:
        check_in("(-inf, inf)", **points)
        for name, size in points.items():
            if abs(size) > LARGEST_RATIO * self.sigma_t:
                limit = f"{LARGEST_RATIO:,.0f} times sigma_t ({self.sigma_t:g})"
                raise UserError(f"{name} must be at most {limit}, got {size}.")

    def _check_spread(self, **spread: float) -> None:
        for name, size in spread.items():
            if size * LARGEST_RATIO < self.sigma_t:
                limit = f"sigma_t ({self.sigma_t:g}) / {LARGEST_RATIO:,.0f}"
                raise UserError(f"{name} must be at least {limit}, got {size}.")
