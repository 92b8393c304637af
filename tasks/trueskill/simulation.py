"""A league whose true skills are known, to see how well they are found again."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from elbolab.errors import UserError
from tasks.trueskill.matches import Match
from tasks.trueskill.model import Model

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["League", "simulate"]

OPENING = date(2000, 1, 1)
"""Day of the first round."""

GOALS = {1: (1, 0), 0: (0, 0), -1: (0, 1)}


@dataclass(frozen=True)
class League:
    """Everyone against everyone, at home and away in turn.

    Args:
        teams: How many; an even number, at least 2.
        rounds: How often each pair meets; 2 makes 380 matches of 20 teams.
        draw_rate: Share of draws among equal teams, in [0, 1).
        repeats: Leagues of this kind over which it is counted how often the 95 % intervals cover
            the true skill; all but the first are for that alone.

    Raises:
        UserError: If a value is impossible.
    """

    teams: int = 20
    rounds: int = 2
    draw_rate: float = 0.0
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.teams < 2 or self.teams % 2:
            raise UserError(f"league.teams must be even and at least 2, got {self.teams}.")
        for name in ("rounds", "repeats"):
            if getattr(self, name) < 1:
                raise UserError(f"league.{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 <= self.draw_rate < 1:
            raise UserError(f"league.draw_rate must lie in [0, 1), got {self.draw_rate}.")


def simulate(
    league: League, model: Model, generator: "Generator"
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
