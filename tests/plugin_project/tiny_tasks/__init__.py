"""Tasks of another distribution, as small as they can be; tests/test_tasks.py installs them."""

import time
from dataclasses import dataclass

from elbolab.errors import UserError
from tasks.base import TaskContext, TaskResult

__all__ = ["Greedy", "Slow", "Tiny", "Unit"]


@dataclass
class Unit:
    """A group of options.

    Args:
        scale: Metres in one unit.
    """

    scale: float = 1.0

    def metres(self, length: float) -> float:
        """Converts a length in this unit."""
        return self.scale * length


class Tiny:
    """Estimates pi by throwing darts.

    This line is not in the list.

    Args:
        darts: How many are thrown.
        board: What they are thrown at.
        unit: Unit of length.
    """

    def __init__(
        self,
        darts: int = 400,
        board: str | None = None,
        unit: Unit = Unit(),  # noqa: B008  never changed
    ) -> None:
        if darts < 1:
            raise UserError(f"darts must be at least 1, not {darts}.")
        self.darts, self.board, self.unit = darts, board, unit

    def run(self, context: TaskContext) -> TaskResult:
        """Writes everything that a task can write."""
        import numpy as np  # here, because --help need not wait for it

        from elbolab.pictures import new_figure

        if self.board == "missing":
            raise UserError("no board.")
        generator = context.generator("darts")
        hits = 0
        for thrown in context.progress(range(1, self.darts + 1)):
            hits += int((generator.uniform(size=2) ** 2).sum() < 1)
            if thrown % 100 == 0:
                context.writer.add_scalar("tiny/running", 4 * hits / thrown, thrown)
        figure = new_figure(3, 2)
        figure.add_subplot().plot([0, 1])
        return TaskResult(
            metrics={"pi": float(np.float32(4 * hits / self.darts)), "metres": self.unit.metres(1)},
            tables={"throws": {"what": ["hits", "a, b"], "count": np.array([hits, 0])}},
            figures={"board": figure},
        )


class Slow:
    """Waits to be interrupted."""

    def __init__(self, write: bool = False) -> None:
        self.write = write

    def run(self, context: TaskContext) -> TaskResult:
        """Sleeps, after a first output if asked for one."""
        if self.write:
            context.writer.add_scalar("slow/x", 1.0, 0)
        print("waiting", flush=True)
        time.sleep(60)
        return TaskResult()


class Greedy:
    """Wants an option that every task has."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def run(self, context: TaskContext) -> TaskResult:
        """Is never reached."""
        raise NotImplementedError
