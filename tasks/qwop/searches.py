"""Searches for far plans. Each is asked for plans and told their distances, and knows no simulator.

All noise comes from the generator that a search is given: the same generator and the same distances
give the same plans. A search can therefore be resumed by telling it again what it was told.
"""

from abc import ABC, abstractmethod

import cma
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tasks.qwop.simulator import GENES

__all__ = [
    "CMASearch",
    "CoordinateDescent",
    "GeneticSearch",
    "Search",
    "UniformSearch",
    "cross_over",
    "mutate",
    "replace_by",
]

Plans = NDArray[np.float64]
"""Plans ``(n, 40)`` in [−1, 1]."""


class Search(ABC):
    """One search.

    Attributes:
        iteration: Iterations completed.
        finished: Nothing better can be found by going on.
    """

    iteration = 0
    finished = False

    @abstractmethod
    def ask(self) -> Plans:
        """The plans ``(n, 40)`` whose distances the search wants next."""

    @abstractmethod
    def tell(self, plans: Plans, distances: NDArray[np.float64]) -> None:
        """Takes the distances ``(n,)`` of the plans that were asked for."""


class UniformSearch(Search):
    """Plans drawn uniformly from [−1, 1], which nothing is learnt from."""

    def __init__(self, generator: Generator, population: int) -> None:
        self._generator, self._population = generator, population

    def ask(self) -> Plans:
        return self._generator.uniform(-1, 1, (self._population, GENES))

    def tell(self, plans: Plans, distances: NDArray[np.float64]) -> None:
        self.iteration += 1


class GeneticSearch(Search):
    """A population that mutates, crosses over and takes over its best plan so far."""

    def __init__(
        self,
        generator: Generator,
        population: int,
        mutation: float,
        crossover: float,
        replacement: float,
    ) -> None:
        self._generator = generator
        self._rates = mutation, crossover, replacement
        self._plans = generator.uniform(-1, 1, (population, GENES))
        self._best, self._distance = self._plans[0], -np.inf

    def ask(self) -> Plans:
        return self._plans

    def tell(self, plans: Plans, distances: NDArray[np.float64]) -> None:
        mutation, crossover, replacement = self._rates
        winner = int(distances.argmax())
        if distances[winner] > self._distance:
            self._best, self._distance = plans[winner].copy(), distances[winner]
        plans = mutate(plans, mutation, self._generator)
        plans = cross_over(plans, crossover, self._generator)
        self._plans = replace_by(plans, self._best, replacement, self._generator)
        self.iteration += 1


def mutate(plans: Plans, rate: float, generator: Generator) -> Plans:
    """Draws each gene anew from [−1, 1] with probability ``rate``."""
    hit = generator.random(plans.shape) < rate
    return np.where(hit, generator.uniform(-1, 1, plans.shape), plans)


def cross_over(plans: Plans, rate: float, generator: Generator) -> Plans:
    """Each plan, with probability ``rate``, swaps its first n genes with another one's.

    n is uniform in 1…40. The plans have their turn one after the other, so that one may be swapped
    twice.
    """
    crossed = plans.copy()
    count = len(plans)
    for one in np.flatnonzero(generator.random(count) < rate) if count > 1 else ():
        other = (one + generator.integers(1, count)) % count
        genes = generator.integers(1, GENES + 1)
        crossed[[one, other], :genes] = crossed[[other, one], :genes]
    return crossed


def replace_by(plans: Plans, best: Plans, rate: float, generator: Generator) -> Plans:
    """Each plan becomes ``best`` with probability ``rate``."""
    hit = generator.random(len(plans)) < rate
    return np.where(hit[:, None], best, plans)


class CoordinateDescent(Search):
    """One plan, of which one number at a time is moved by a step up or down while that helps.

    An iteration tries each of the 40 numbers once. After one without any gain the search is stuck:
    all that follow would try the same plans. It ends there, or begins again from another plan.
    """

    def __init__(self, generator: Generator, step: float, restart: bool) -> None:
        self._generator, self._step, self._restart = generator, step, restart
        self._begin()

    def _begin(self) -> None:
        self._plan, self._distance = self._generator.uniform(-1, 1, GENES), -np.inf
        self._gene, self._gained = 0, False

    def ask(self) -> Plans:
        tried = np.repeat(self._plan[None], 3, axis=0)
        tried[1:, self._gene] += (self._step, -self._step)
        known = np.isfinite(self._distance)  # the plan itself is asked for once
        return np.clip(tried[int(known) :], -1, 1)

    def tell(self, plans: Plans, distances: NDArray[np.float64]) -> None:
        winner = int(distances.argmax())
        if distances[winner] > self._distance:
            self._gained = True
            self._plan, self._distance = plans[winner], distances[winner]
        self._gene = (self._gene + 1) % GENES
        if self._gene == 0:
            self._complete()

    def _complete(self) -> None:
        self.iteration += 1
        stuck, self._gained = not self._gained, False
        self.finished = stuck and not self._restart
        if stuck and self._restart:
            self._begin()


class CMASearch(Search):
    """CMA-ES of the package ``cma``, begun again from elsewhere whenever it has converged."""

    def __init__(
        self, generator: Generator, population: int, sigma: float, restart_growth: float
    ) -> None:
        self._generator, self._sigma, self._growth = generator, sigma, restart_growth
        self._population = float(population)
        self._strategy = self._begin()

    def _begin(self) -> cma.CMAEvolutionStrategy:
        options = {
            "popsize": int(self._population),
            "bounds": [-1.0, 1.0],
            "seed": np.nan,  # keep off NumPy's global generator, and off the clock, which 0 means
            "randn": lambda *shape: self._generator.standard_normal(shape),
            "verbose": -9,
        }
        start = self._generator.uniform(-1, 1, GENES)
        return cma.CMAEvolutionStrategy(start, self._sigma, options)

    def ask(self) -> Plans:
        return np.array(self._strategy.ask())

    def tell(self, plans: Plans, distances: NDArray[np.float64]) -> None:
        self._strategy.tell(list(plans), (-distances).tolist())
        self.iteration += 1
        if self._strategy.stop():
            self._population *= self._growth
            self._strategy = self._begin()
