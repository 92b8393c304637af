"""Searches for far plans. Each yields plans and is sent their distances, and knows no simulator."""

from collections.abc import Iterator
from functools import singledispatch

import cma
import numpy as np
from numpy.random import Generator

from tasks.arrays import Floats
from tasks.qwop.body import GENES
from tasks.qwop.options import (
    CMAES,
    CoordinateSearch,
    GeneticAlgorithm,
    Optimiser,
    PlanSearch,
    RandomSearch,
)

__all__ = ["begin_search", "cross_over", "mutate", "replace_by"]


@singledispatch
def begin_search(optimiser: Optimiser, noise: Generator) -> PlanSearch:
    """A search from the beginning.

    Args:
        optimiser: Its options.
        noise: Where all its noise comes from.
    """
    return optimiser.search(noise)


@begin_search.register
def _(optimiser: RandomSearch, noise: Generator) -> PlanSearch:
    while True:
        yield noise.uniform(-1, 1, (optimiser.population, GENES))


@begin_search.register
def _(optimiser: GeneticAlgorithm, noise: Generator) -> PlanSearch:
    plans = noise.uniform(-1, 1, (optimiser.population, GENES))
    best, distance = plans[0], -np.inf
    while True:
        distances = yield plans
        winner = int(distances.argmax())
        if distances[winner] > distance:
            best, distance = plans[winner].copy(), distances[winner]
        plans = mutate(plans, optimiser.mutation, noise)
        plans = cross_over(plans, optimiser.crossover, noise)
        plans = replace_by(plans, best, optimiser.replacement, noise)


def mutate(plans: Floats, rate: float, noise: Generator) -> Floats:
    """Draws each gene anew from [−1, 1] with probability ``rate``."""
    hit = noise.random(plans.shape) < rate
    return np.where(hit, noise.uniform(-1, 1, plans.shape), plans)


def cross_over(plans: Floats, rate: float, noise: Generator) -> Floats:
    """Each plan, with probability ``rate``, swaps its first n genes with another one's.

    n is uniform in 1…40. The plans have their turn one after the other, so that one may be swapped
    twice.
    """
    crossed = plans.copy()
    count = len(plans)
    for one in np.flatnonzero(noise.random(count) < rate) if count > 1 else ():
        other = (one + noise.integers(1, count)) % count
        genes = noise.integers(1, GENES + 1)
        crossed[[one, other], :genes] = crossed[[other, one], :genes]
    return crossed


def replace_by(plans: Floats, best: Floats, rate: float, noise: Generator) -> Floats:
    """Each plan becomes ``best`` with probability ``rate``."""
    hit = noise.random(len(plans)) < rate
    return np.where(hit[:, None], best, plans)


@begin_search.register
def _(optimiser: CoordinateSearch, noise: Generator) -> PlanSearch:
    yield from _climb(optimiser.step, noise)
    while optimiser.restart:
        yield from _climb(optimiser.step, noise)


def _climb(step: float, noise: Generator) -> PlanSearch:
    """Moves one number of a plan at a time, up or down, until each was tried without gain.

    To go on after that would be to try the same plans again.
    """
    plan, distance, gained = noise.uniform(-1, 1, GENES), -np.inf, True
    while gained:
        gained = False
        for gene in range(GENES):
            tried = np.repeat(plan[None], 3, axis=0)
            tried[1:, gene] += (step, -step)
            known = int(np.isfinite(distance))  # the plan itself is asked for once
            plans = np.clip(tried[known:], -1, 1)
            distances = yield plans
            winner = int(distances.argmax())
            if distances[winner] > distance:
                plan, distance, gained = plans[winner], distances[winner], True


@begin_search.register
def _(optimiser: CMAES, noise: Generator) -> PlanSearch:
    for strategy in _strategies(optimiser, noise):
        converged = False
        while not converged:
            plans = np.array(strategy.ask())
            distances = yield plans
            strategy.tell(list(plans), (-distances).tolist())
            converged = bool(strategy.stop())


def _strategies(optimiser: CMAES, noise: Generator) -> Iterator[cma.CMAEvolutionStrategy]:
    """One CMA-ES after the other, each from elsewhere."""
    population = float(optimiser.population)
    while True:
        options = {
            "popsize": int(population),
            "bounds": [-1.0, 1.0],
            "seed": np.nan,  # keep off NumPy's global generator, and off the clock, which 0 means
            "randn": lambda *shape: noise.standard_normal(shape),
            "verbose": -9,
        }
        start = noise.uniform(-1, 1, GENES)
        yield cma.CMAEvolutionStrategy(start, optimiser.sigma, options)
        population *= optimiser.restart_growth
