"""The command ``python cli.py task trueskill``; its options are in `options`."""

from tasks.base import TaskContext, TaskResult
from tasks.trueskill.options import TrueSkillOptions

__all__ = ["TrueSkill"]


class TrueSkill(TrueSkillOptions):
    """Rates teams from who beat whom, and predicts each match before it is seen."""

    def run(self, context: TaskContext) -> TaskResult:
        """Reads, rates, predicts, evaluates and draws.

        Raises:
            UserError: If a file or an option is wrong.
        """
        from tasks.trueskill.experiment import run

        return run(self, context)
