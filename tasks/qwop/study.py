"""Many searches side by side: each asks, all plans are evaluated together, each is told.

A search's state is not stored. What it was told is: told the same again, it is where it was.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.qwop.body import GENES
from tasks.qwop.options import PlanSearch
from tasks.qwop.simulator import as_plans

__all__ = ["Iteration", "SearchRun", "rounds"]


@dataclass(frozen=True)
class Iteration:
    """What one iteration of a search came to.

    Attributes:
        evaluations: Plans evaluated by its end.
        best: The longest distance so far.
        mean: Mean distance over the iteration's plans.
        spread: Their standard deviation.
    """

    evaluations: int
    best: float
    mean: float
    spread: float


@dataclass
class SearchRun:
    """One search and what it came to.

    Attributes:
        optimiser: Name of the optimiser.
        seed: Which of its searches this is, from 0.
        settings: What the search depends on; another search's distances are no use to it.
        search: The search.
        budget: Evaluations after which it ends.
        patience: Evaluations without gain after which it ends.
        asks_per_iteration: How often it asks for plans in one iteration.
        best: The longest distance so far, of ``plan`` (40,).
        history: One entry for each iteration.
        told: All that the search was told, in turn.
    """

    optimiser: str
    seed: int
    settings: dict[str, object]
    search: PlanSearch
    budget: int
    patience: float = math.inf
    asks_per_iteration: int = 1
    best: float = -math.inf
    plan: Floats = field(default_factory=lambda: np.zeros(0))
    evaluations: int = 0
    improved_at: int = 0
    history: list[Iteration] = field(default_factory=list)
    told: list[Floats] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._wanted = self._plans(partial(next, self.search))
        self._iteration: list[Floats] = []

    @property
    def done(self) -> bool:
        """Whether the budget is spent, or going on is of no use."""
        stagnant = self.evaluations - self.improved_at >= self.patience
        return self.evaluations >= self.budget or self._wanted is None or stagnant

    def ask(self) -> Floats:
        """The plans to evaluate next, cut off where the budget ends; none after the end."""
        wanted = np.zeros((0, GENES)) if self._wanted is None else self._wanted
        return wanted[: self.budget - self.evaluations]

    def tell(self, distances: Floats) -> None:
        """Takes the distances of the plans asked for.

        The search learns nothing from a part of what it wanted: it is over then.
        """
        asked, wanted = self.ask(), self._wanted
        self._keep_best(asked, distances)
        self._iteration.append(distances)
        if wanted is not None and len(asked) == len(wanted):
            self.told.append(distances)
            self._wanted = self._plans(partial(self.search.send, distances))
        if self.done or len(self._iteration) == self.asks_per_iteration:
            self._close_iteration()

    def _plans(self, advance: Callable[[], Floats]) -> Floats | None:
        """The plans that the search wants next; None if it has ended."""
        try:
            plans = as_plans(advance(), ndim=2)
        except StopIteration:
            return None
        except UserError as error:
            raise UserError(f"optimiser {self.optimiser} asked for no plans: {error}") from error
        if not len(plans):
            raise UserError(f"optimiser {self.optimiser} asked for no plans, where it can end.")
        return plans

    def _keep_best(self, asked: Floats, distances: Floats) -> None:
        self.evaluations += len(distances)
        winner = int(distances.argmax())
        if distances[winner] > self.best:
            self.best, self.plan = float(distances[winner]), asked[winner]
            self.improved_at = self.evaluations

    def _close_iteration(self) -> None:
        distances = np.concatenate(self._iteration)
        self._iteration.clear()
        mean, spread = float(distances.mean()), float(distances.std())
        self.history.append(Iteration(self.evaluations, self.best, mean, spread))

    def replay(self, told: Floats) -> None:
        """Brings a search to where it was, from all distances that it was told."""
        start = 0
        while not self.done and start + len(self.ask()) <= len(told):
            stop = start + len(self.ask())
            self.tell(told[start:stop])
            start = stop


def rounds(runs: Sequence[SearchRun], evaluate: Callable[[Floats], Floats]) -> Iterator[int]:
    """Asks, evaluates and tells, until all searches are done.

    Yields:
        By how many evaluations the work came nearer to its end; those that a search leaves out
        because it ended early count.
    """
    active = [run for run in runs if not run.done]
    yield sum(run.evaluations if not run.done else run.budget for run in runs)
    while active:
        asked = [run.ask() for run in active]
        distances = evaluate(np.concatenate(asked))
        ends = np.cumsum([len(plans) for plans in asked])[:-1]
        for run, part in zip(active, np.split(distances, ends), strict=True):
            run.tell(part)
        over = sum(run.budget - run.evaluations for run in active if run.done)
        active = [run for run in active if not run.done]
        yield len(distances) + over
