"""The command ``python cli.py task game``; its work is in `experiment`."""

from tasks.base import TaskContext, TaskResult
from tasks.game.options import GameOptions

__all__ = ["MatrixGame"]


class MatrixGame(GameOptions):
    """Solves a zero-sum matrix game, and lets learning dynamics play it."""

    def run(self, context: TaskContext) -> TaskResult:
        """Solves, shows whether the solution is unique, plays and draws."""
        from tasks.game.experiment import run

        return run(self, context)
