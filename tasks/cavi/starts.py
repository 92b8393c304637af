"""Where restarts begin: k-means++ on a sample, in the model's own standard deviations."""

import numpy as np
from numpy.random import Generator

from tasks.arrays import Floats, Ints
from tasks.cavi.events import Events
from tasks.cavi.model import EpicentreModel
from tasks.cavi.posterior import VariationalPosterior
from tasks.cavi.statistics import Statistics
from tasks.cavi.summary import EventSummary
from tasks.cavi.updates import update_globals

__all__ = ["features", "kmeans_plus_plus", "start"]


def features(model: EpicentreModel, events: Events) -> Floats:
    """Coordinates ``(N, D + 1)`` in which an event varies by about 1 around its epicentre.

    √τ x, and 2√S: the square root of a Poisson count has a variance of about ¼.
    """
    x = np.sqrt(model.constants.tau) * events.x
    return np.column_stack([x, 2 * np.sqrt(events.strengths)])


def kmeans_plus_plus(points: Floats, components: int, generator: Generator) -> Ints:
    """Draws centres far from each other: indices ``(K,)``; Arthur & Vassilvitskii (2007).

    Each next one is drawn in proportion to its squared distance from the nearest so far.
    """
    chosen = [int(generator.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    for _ in range(components - 1):
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(-1))
        total = nearest.sum()
        p = nearest / total if total > 0 else None  # all alike: any will do
        chosen.append(int(generator.choice(len(points), p=p)))
    return np.array(chosen)


def start(
    model: EpicentreModel, summary: EventSummary, components: int, generators: list[Generator]
) -> VariationalPosterior:
    """One start for each generator: the sample, given to its nearest centre, as if it were all.

    Args:
        model: The priors.
        summary: A sample of the events, and how many there are.
        components: K.
        generators: One for each restart.

    Raises:
        UserError: If the events are too far apart for τ.
    """
    points = features(model, summary.sample)
    model.check_finite((points**2).sum(-1))
    starts = [_hard(summary, points, kmeans_plus_plus(points, components, g)) for g in generators]
    n, strength, square, shift, centre = (np.stack(sums) for sums in zip(*starts, strict=True))
    sums = Statistics(n, strength, square, shift, centre, np.zeros(len(starts)))
    return update_globals(model, sums.scaled(summary.count / len(summary.sample)))


def _hard(summary: EventSummary, points: Floats, chosen: Ints) -> tuple[Floats, ...]:
    """Statistics of one start, all responsibilities 0 or 1."""
    events, centre = summary.sample, summary.sample.x[chosen]
    distance = (points**2).sum(-1)[:, None] - 2 * points @ points[chosen].T
    label = (distance + (points[chosen] ** 2).sum(-1)).argmin(-1)
    away = events.x - centre[label]
    member = (label[:, None] == np.arange(len(chosen))).astype(float)
    square = (away**2).sum(-1)
    return (
        member.sum(0),
        events.strengths @ member,
        square @ member,
        member.T @ away,
        centre,
    )
