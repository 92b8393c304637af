"""What a person sets: the optimisers and their options, and those of the task.

What an optimiser does is in `searches`, for whose packages the command's help need not wait.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from elbolab.checks import check_at_least_one, check_in
from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.qwop.body import GENES

__all__ = [
    "CMAES",
    "CoordinateSearch",
    "ExecutorName",
    "GeneticAlgorithm",
    "Optimiser",
    "PlanSearch",
    "QWOPOptions",
    "RandomSearch",
]

ExecutorName = Literal["local", "dask"]

PlanSearch = Generator[Floats, Floats, None]
"""One search: it yields plans ``(n, 40)`` and is sent their distances ``(n,)``, until it ends.

All its noise comes from one generator of random numbers. The same noise and the same distances give
the same plans, so that a search is resumed by telling it again what it was told.
"""


class Optimiser:
    """Options of a search; public attributes are what tells two optimisers apart.

    One's own optimiser is a subclass with a method `search`.

    Attributes:
        asks_per_iteration: How often a search asks for plans in what is reported as an iteration.
    """

    asks_per_iteration = 1

    def search(self, noise: np.random.Generator) -> PlanSearch:
        """A search from the beginning, all of whose noise comes from ``noise``."""
        raise UserError(
            f"optimiser {type(self).__name__} has no method search: write one, as "
            "tasks.qwop.options.Optimiser says."
        )


def _check_size(**sizes: int) -> None:
    """Refuses sizes that are none, and those for which there is no memory."""
    check_at_least_one(**sizes)
    check_in("(-inf, 100000]", **sizes)


@dataclass(frozen=True)
class GeneticAlgorithm(Optimiser):
    """A population that mutates, crosses over and takes over its best plan, in this order.

    Args:
        population: Plans at once.
        mutation: Probability with which a gene becomes a new uniform value.
        crossover: Probability with which a plan swaps its first n genes with another one's.
        replacement: Probability with which a plan becomes the best one found so far.
    """

    population: int = 50
    mutation: float = 0.03
    crossover: float = 0.1
    replacement: float = 0.05

    def __post_init__(self) -> None:
        _check_size(population=self.population)
        check_in(
            "[0, 1]",
            mutation=self.mutation,
            crossover=self.crossover,
            replacement=self.replacement,
        )


@dataclass(frozen=True)
class CoordinateSearch(Optimiser):
    """The "gradient plan": moves one number of one plan at a time, while that helps.

    Args:
        step: By how much a number is moved up and down.
        restart: Begin again from another plan when no number can be moved with gain, instead of
            ending there.
    """

    asks_per_iteration = GENES

    step: float = 0.5
    restart: bool = False

    def __post_init__(self) -> None:
        check_in("(0, 2]", step=self.step)


@dataclass(frozen=True)
class RandomSearch(Optimiser):
    """Plans drawn uniformly, the baseline.

    Args:
        population: Plans at once.
    """

    population: int = 50

    def __post_init__(self) -> None:
        _check_size(population=self.population)


@dataclass(frozen=True)
class CMAES(Optimiser):
    """CMA-ES of the package cma, begun again from another plan whenever it has converged.

    Args:
        population: Plans at once.
        sigma: Standard deviation at the beginning.
        restart_growth: Factor on the population at each new beginning.
    """

    population: int = 60
    sigma: float = 0.3
    restart_growth: float = 1.0

    def __post_init__(self) -> None:
        check_in("[2, inf)", population=self.population)
        _check_size(population=self.population)
        check_in("(0, inf)", sigma=self.sigma)
        check_in("[1, 10)", restart_growth=self.restart_growth)


@dataclass(frozen=True)
class QWOPOptions:
    """The command line of the task.

    Args:
        optimiser: One or several of GeneticAlgorithm, CoordinateSearch, RandomSearch and CMAES,
            or a class of your own by its class_path.
        budget: Plans that each search may evaluate.
        seeds: Searches of each optimiser, each with noise of its own.
        patience: Evaluations without gain after which a search ends; by default none does.
        executor: Where plans are evaluated: local is this process, dask a cluster.
        scheduler: Address of Dask's scheduler, such as tcp://localhost:8786.
        chunk: Plans in each call of the executor.
        plan: A CSV file of 40 numbers, or best for the best plan known: it is scored and drawn,
            and nothing is searched.
        resume: Directory of a run that was stopped; its searches go on where they were.
    """

    optimiser: Optimiser | list[Optimiser] = GeneticAlgorithm()
    budget: int = 15_000
    seeds: int = 1
    patience: int | None = None
    executor: ExecutorName = "local"
    scheduler: str | None = None
    chunk: int = 1000
    plan: str | None = None
    resume: str | None = None

    def __post_init__(self) -> None:
        check_at_least_one(budget=self.budget, patience=self.patience, chunk=self.chunk)
        _check_size(seeds=self.seeds)
        if not self.optimisers:
            raise UserError("optimiser must name at least one, got an empty list.")
        if self.executor == "dask" and not self.scheduler:
            raise UserError("executor dask needs --scheduler ADDRESS, for example tcp://host:8786.")
        if self.executor == "local" and self.scheduler:
            raise UserError("scheduler has no meaning with executor local: add --executor dask.")
        if self.plan is not None and self.resume is not None:
            raise UserError("resume has no meaning with a plan, which is not searched for.")

    @property
    def optimisers(self) -> list[Optimiser]:
        """All of them, where one was given too."""
        return self.optimiser if isinstance(self.optimiser, list) else [self.optimiser]
