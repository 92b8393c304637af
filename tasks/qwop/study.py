"""Many searches side by side: each asks, all plans are evaluated together, each is told.

A search's state is not stored. What it was told is: told the same again, it is where it was.
"""

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from elbolab.errors import UserError
from elbolab.run_directory import write_atomically
from tasks.qwop.searches import Search

__all__ = ["Iteration", "Run", "load_told", "rounds", "save_told"]

Distances = NDArray[np.float64]


@dataclass(frozen=True)
class Iteration:
    """What one iteration of a search found.

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
class Run:
    """One search and what it found.

    Attributes:
        optimiser: Name of the optimiser.
        seed: Which of its searches this is, from 0.
        settings: What the search depends on; another search's distances are no use to it.
        search: The search.
        budget: Evaluations after which it ends.
        patience: Evaluations without gain after which it ends.
        best: The longest distance so far, of ``plan`` (40,).
        history: One entry for each iteration.
        told: All that the search was told, in turn.
    """

    optimiser: str
    seed: int
    settings: dict[str, object]
    search: Search
    budget: int
    patience: float = math.inf
    best: float = -math.inf
    plan: Distances = field(default_factory=lambda: np.zeros(0))
    evaluations: int = 0
    improved_at: int = 0
    history: list[Iteration] = field(default_factory=list)
    told: list[Distances] = field(default_factory=list)
    _asked: NDArray[np.float64] | None = None
    _current: list[Distances] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether the budget is spent, or going on is of no use."""
        stagnant = self.evaluations - self.improved_at >= self.patience
        return self.evaluations >= self.budget or self.search.finished or stagnant

    def ask(self) -> NDArray[np.float64]:
        """The plans to evaluate next, cut off where the budget ends."""
        if self._asked is None:
            self._asked = self.search.ask()
        return self._asked[: self.budget - self.evaluations]

    def tell(self, distances: Distances) -> None:
        """Takes the distances of the plans asked for.

        The search learns nothing from a part of what it wanted: it is over then.
        """
        asked, self._asked = self.ask(), None if self._complete(distances) else self._asked
        self.evaluations += len(distances)
        self._keep_best(asked, distances)
        self._current.append(distances)
        before = self.search.iteration
        if self._asked is None:
            self.told.append(distances)
            self.search.tell(asked, distances)
        if self.search.iteration > before or self.done:
            self._close_iteration()

    def _complete(self, distances: Distances) -> bool:
        return self._asked is not None and len(distances) == len(self._asked)

    def _keep_best(self, asked: NDArray[np.float64], distances: Distances) -> None:
        winner = int(distances.argmax())
        if distances[winner] > self.best:
            self.best, self.plan = float(distances[winner]), np.clip(asked[winner], -1, 1)
            self.improved_at = self.evaluations

    def _close_iteration(self) -> None:
        found = np.concatenate(self._current)
        self._current.clear()
        self.history.append(
            Iteration(self.evaluations, self.best, float(found.mean()), float(found.std()))
        )

    def replay(self, told: Distances) -> None:
        """Brings a search to where it was, from all distances that it was told."""
        start = 0
        while not self.done:
            count = len(self.ask())
            if start + count > len(told):
                return
            self.tell(told[start : start + count])
            start += count


def rounds(
    runs: Sequence[Run], evaluate: Callable[[NDArray[np.float64]], Distances]
) -> Iterator[int]:
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


def save_told(path: Path, runs: Sequence[Run]) -> None:
    """Writes what every search was told, so that `load_told` and `Run.replay` bring it back."""
    arrays = {_key(run): np.concatenate([np.zeros(0), *run.told]) for run in runs}
    settings = json.dumps({_key(run): run.settings for run in runs})
    buffer = io.BytesIO()
    np.savez(buffer, settings=np.array(settings), **arrays)  # pyright: ignore[reportArgumentType]
    write_atomically(path, buffer.getvalue())


def load_told(path: Path, runs: Sequence[Run]) -> list[Distances]:
    """What each search was told; nothing for those that the file does not know.

    Raises:
        UserError: If the file is missing or damaged, or was written with other settings.
    """
    try:
        with np.load(path) as file:
            settings = json.loads(str(file["settings"]))
            told = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"cannot resume from {path}: {error}. Name another run.") from error
    for run in runs:
        if settings.get(_key(run), run.settings) != run.settings:
            raise UserError(
                f"cannot resume {_key(run)} from {path}: it ran with {settings[_key(run)]}, not "
                f"{run.settings}. Take that run's config.yaml as --config."
            )
    return [told.get(_key(run), np.zeros(0)) for run in runs]


def _key(run: Run) -> str:
    return f"{run.optimiser}.{run.seed}"
