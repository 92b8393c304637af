"""The optimisers as options of the command, whose help waits for this module.

The searches themselves are in `searches`, which is imported where they begin.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from elbolab.errors import UserError

if TYPE_CHECKING:
    from numpy.random import Generator

    from tasks.qwop.searches import Search

__all__ = ["CMAES", "CoordinateSearch", "GeneticAlgorithm", "Optimiser", "RandomSearch"]


class Optimiser(ABC):
    """Settings of a search; public attributes are what tells two optimisers apart."""

    @abstractmethod
    def search(self, generator: "Generator") -> "Search":
        """A search from the beginning, all of whose noise comes from ``generator``."""

    def check(self) -> None:  # noqa: B027  most of one's own have nothing to check
        """Raises `UserError` for impossible settings.

        Not raised by the constructor: the command line would bury it under other readings of what
        was typed.
        """


class GeneticAlgorithm(Optimiser):
    """A population that mutates, crosses over and takes over its best plan, in this order.

    Args:
        population: Plans at once.
        mutation: Probability with which a gene becomes a new uniform value.
        crossover: Probability with which a plan swaps its first n genes with another one's.
        replacement: Probability with which a plan becomes the best one found so far.
    """

    def __init__(
        self,
        population: int = 50,
        mutation: float = 0.03,
        crossover: float = 0.1,
        replacement: float = 0.05,
    ) -> None:
        self.population, self.mutation = population, mutation
        self.crossover, self.replacement = crossover, replacement

    def check(self) -> None:
        _at_least(1, population=self.population)
        for name in ("mutation", "crossover", "replacement"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is a probability in [0, 1], got {getattr(self, name)}.")

    def search(self, generator: "Generator") -> "Search":
        from tasks.qwop.searches import GeneticSearch

        rates = self.mutation, self.crossover, self.replacement
        return GeneticSearch(generator, self.population, *rates)


class CoordinateSearch(Optimiser):
    """The "gradient plan": moves one number of one plan at a time, while that helps.

    Args:
        step: By how much a number is moved up and down.
        restart: Begin again from another plan when no number can be moved with gain, instead of
            ending there.
    """

    def __init__(self, step: float = 0.5, restart: bool = False) -> None:
        self.step, self.restart = step, restart

    def check(self) -> None:
        if not 0 < self.step <= 2:
            raise UserError(f"step must be in (0, 2], got {self.step}.")

    def search(self, generator: "Generator") -> "Search":
        from tasks.qwop.searches import CoordinateDescent

        return CoordinateDescent(generator, self.step, self.restart)


class RandomSearch(Optimiser):
    """Plans drawn uniformly, the baseline.

    Args:
        population: Plans at once.
    """

    def __init__(self, population: int = 50) -> None:
        self.population = population

    def check(self) -> None:
        _at_least(1, population=self.population)

    def search(self, generator: "Generator") -> "Search":
        from tasks.qwop.searches import UniformSearch

        return UniformSearch(generator, self.population)


class CMAES(Optimiser):
    """CMA-ES of the package cma, begun again from another plan whenever it has converged.

    Args:
        population: Plans at once.
        sigma: Standard deviation at the beginning.
        restart_growth: Factor on the population at each new beginning.
    """

    def __init__(
        self, population: int = 60, sigma: float = 0.3, restart_growth: float = 1.0
    ) -> None:
        self.population, self.sigma, self.restart_growth = population, sigma, restart_growth

    def check(self) -> None:
        _at_least(2, population=self.population)
        if not 0 < self.sigma < float("inf"):
            raise UserError(f"sigma must be positive, got {self.sigma}.")
        if not 1 <= self.restart_growth < 10:
            raise UserError(f"restart_growth must be in [1, 10), got {self.restart_growth}.")

    def search(self, generator: "Generator") -> "Search":
        from tasks.qwop.searches import CMASearch

        return CMASearch(generator, self.population, self.sigma, self.restart_growth)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise UserError(f"{name} must be at least {least}, got {value}.")
