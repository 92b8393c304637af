"""The model's hyper-parameters and its two elementary quantities: a rating and a game.

    s_i ~ N(μ_i, σ_i²)        skill of team i
    t | s_1, s_2 ~ N(s_1 − s_2 + h, σ_t²)
    y = +1 if t > ε, −1 if t < −ε, 0 (a draw) between

Herbrich, Minka & Graepel, TrueSkill: a Bayesian skill rating system, NeurIPS 2006. Skills and the
difference t of performances are in points on one scale; only their ratios matter.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from elbolab.errors import UserError

__all__ = ["MU", "SIGMA", "Game", "Model", "Rating", "check_rating"]

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


class Game(NamedTuple):
    """One match: the indices of both teams and ``y``, +1 if the first won, −1 if it lost, 0."""

    first: int
    second: int
    y: int


@dataclass(frozen=True)
class Model:
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
        for name, value in vars(self).items():
            if not math.isfinite(value):
                raise UserError(f"{name} must be a finite number, got {value}.")
        for name in ("sigma", "sigma_t"):
            if getattr(self, name) <= 0:
                raise UserError(f"{name} must be positive, got {getattr(self, name)}.")
        for name in ("draw_margin", "drift"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} must not be negative, got {getattr(self, name)}.")

    @property
    def prior(self) -> Rating:
        """The belief about a team that has not played yet."""
        return Rating(self.mu, self.sigma**2)


def check_rating(mean: float, std: float, team: str) -> Rating:
    """The belief N(mean, std²) about a team.

    Raises:
        UserError: If it is none.
    """
    if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
        raise UserError(
            f"prior of {team} must be a finite mean and a positive standard deviation, "
            f"got {mean} and {std}."
        )
    return Rating(float(mean), float(std) ** 2)
