"""The command ``python cli.py task qwop``; its work is in `experiment`."""

from tasks.base import TaskContext, TaskResult
from tasks.qwop.options import QWOPOptions

__all__ = ["QWOP"]


class QWOP(QWOPOptions):
    """Teaches a planar runner of six point masses to run, by searching for plans of 40 numbers."""

    def run(self, context: TaskContext) -> TaskResult:
        """Scores and draws the given plan, or searches for one and reports on the search."""
        from tasks.qwop.experiment import run

        return run(self, context)
