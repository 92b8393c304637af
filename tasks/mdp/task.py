"""The command ``python cli.py task mdp``; its work is in `experiment`."""

from tasks.base import TaskContext, TaskResult
from tasks.mdp.options import DecisionOptions

__all__ = ["DecisionProcess"]


class DecisionProcess(DecisionOptions):
    """Solves a Markov decision process with a certified bound, and learns it by policy gradient."""

    def run(self, context: TaskContext) -> TaskResult:
        """Solves, certifies, compares, learns and draws."""
        from tasks.mdp.experiment import run

        return run(self, context)
