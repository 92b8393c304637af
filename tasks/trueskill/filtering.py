"""Assumed-density filtering: each match's posterior is the next match's prior; order matters."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from tasks.arrays import Floats, Ints
from tasks.trueskill.closed_form import Chances, Update, chances, moment_match, refuse_draw
from tasks.trueskill.model import RatedMatch, Rating, SkillModel
from tasks.trueskill.truncation import vw

__all__ = ["OrderStudy", "RunningRatings", "one_step_ahead", "ranks", "shuffled_seasons"]


class RunningRatings:
    """Beliefs about all teams, kept up to date match by match.

    Memory grows with the teams; matches may come from a generator and are not kept.

    Args:
        model: The hyper-parameters.
        priors: One belief for each team.

    Attributes:
        mean: Means, in points.
        variance: Variances, in points².
        played: Matches of each team so far.
    """

    def __init__(self, model: SkillModel, priors: Iterable[Rating]) -> None:
        priors = list(priors)
        self.model = model
        self.mean = [rating.mean for rating in priors]
        self.variance = [rating.variance for rating in priors]
        self.played = [0] * len(priors)

    def observe(self, first: int, second: int, y: int) -> None:
        """Takes one match in.

        Args:
            first: Index of the first team.
            second: Index of the second team.
            y: +1 if the first won, −1 if it lost, 0 for a draw.

        Raises:
            UserError: If a draw is given to a model without draws.
        """
        self.observe_all(((first, second, y),))

    def observe_all(self, matches: Iterable[tuple[int, int, int]]) -> None:
        """Takes matches in, in their order; `closed_form.moment_match` without its objects."""
        mean, variance, played, model = self.mean, self.variance, self.played, self.model
        e, h, noise, drift = (
            model.draw_margin,
            model.home_advantage,
            model.sigma_t**2,
            model.drift**2,
        )
        for i, j, y in matches:
            if y == 0:
                refuse_draw(model)
            v1 = variance[i] + (drift if played[i] else 0.0)
            v2 = variance[j] + (drift if played[j] else 0.0)
            c2 = v1 + v2 + noise
            c = math.sqrt(c2)
            v, w = vw((mean[i] - mean[j] + h) / c, e / c, y)
            mean[i] += v1 / c * v
            mean[j] -= v2 / c * v
            variance[i] = v1 * (1 - v1 / c2 * w)
            variance[j] = v2 * (1 - v2 / c2 * w)
            played[i] += 1
            played[j] += 1

    def before(self, team: int) -> Rating:
        """The belief about a team as its next match begins."""
        drift = self.model.drift**2 if self.played[team] else 0.0
        return Rating(self.mean[team], self.variance[team] + drift)

    def replace(self, team: int, rating: Rating) -> None:
        """Records what another method says about a team after a match."""
        self.mean[team], self.variance[team] = rating
        self.played[team] += 1

    @property
    def ratings(self) -> list[Rating]:
        """The beliefs about all teams."""
        return [Rating(*pair) for pair in zip(self.mean, self.variance, strict=True)]


def one_step_ahead(
    running: RunningRatings, matches: Sequence[RatedMatch], update: Update = moment_match
) -> Iterator[Chances]:
    """Predicts each match before it is taken in.

    Args:
        running: Beliefs before the first match; afterwards, those after the last.
        matches: The matches, in the order in which they were played.
        update: How one match changes the beliefs about its two teams.
    """
    for first, second, y in matches:
        beliefs = running.before(first), running.before(second)
        yield chances(running.model, *beliefs)
        for team, after in zip((first, second), update(running.model, *beliefs, y), strict=True):
            running.replace(team, after)


@dataclass(frozen=True)
class OrderStudy:
    """The same matches in many orders.

    Attributes:
        means: Final means ``(shuffles, teams)``, in points.
        ranks: Ranks ``(shuffles, teams)``, 1 is best.
    """

    means: Floats
    ranks: Ints

    @property
    def spread(self) -> Ints:
        """Places between each team's best and worst rank."""
        return self.ranks.max(0) - self.ranks.min(0)


def ranks(means: Iterable[float]) -> Ints:
    """Place of each mean, 1 for the highest; equal ones in the order given."""
    order = np.argsort(-np.asarray(list(means)), kind="stable")
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(1, len(order) + 1)
    return place


def shuffled_seasons(
    model: SkillModel,
    priors: list[Rating],
    matches: Sequence[RatedMatch],
    shuffles: Iterable[int],
    generator: Generator,
) -> OrderStudy:
    """Filters the season once for each of ``shuffles``, in a new random order each time."""
    means = []
    for _ in shuffles:
        running = RunningRatings(model, priors)
        running.observe_all(matches[k] for k in generator.permutation(len(matches)))
        means.append(running.mean)
    return OrderStudy(np.array(means), np.array([ranks(row) for row in means]))
