"""How much the ranking of filtering depends on the order of the matches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tasks.trueskill.filtering import RunningRatings
from tasks.trueskill.model import Game, Model, Rating

__all__ = ["OrderStudy", "ranks", "shuffled_seasons"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class OrderStudy:
    """The same matches in many orders.

    Attributes:
        means: Final means ``(shuffles, teams)``, in points.
        ranks: Ranks ``(shuffles, teams)``, 1 is best.
    """

    means: Array
    ranks: NDArray[np.int_]

    @property
    def spread(self) -> NDArray[np.int_]:
        """Places between each team's best and worst rank."""
        return self.ranks.max(0) - self.ranks.min(0)


def ranks(means: Iterable[float]) -> NDArray[np.int_]:
    """Place of each mean, 1 for the highest; equal ones in the order given."""
    order = np.argsort(-np.asarray(list(means)), kind="stable")
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(1, len(order) + 1)
    return place


def shuffled_seasons(
    model: Model,
    priors: list[Rating],
    games: Sequence[Game],
    shuffles: Iterable[int],
    generator: Generator,
) -> OrderStudy:
    """Filters the season once for each of ``shuffles``, in a new random order each time."""
    means = []
    for _ in shuffles:
        running = RunningRatings(model, priors)
        running.observe_all(games[k] for k in generator.permutation(len(games)))
        means.append(running.mean)
    return OrderStudy(np.array(means), np.array([ranks(row) for row in means]))
