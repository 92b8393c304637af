"""The command ``python cli.py task cavi``: options in `options`, work in `experiment`."""

from tasks.base import TaskContext, TaskResult
from tasks.cavi.options import CAVIOptions

__all__ = ["CAVI"]


class CAVI(CAVIOptions):
    """Finds the super-epicentres of earthquakes by coordinate-ascent variational inference."""

    def run(self, context: TaskContext) -> TaskResult:
        """Reads or simulates, fits, chooses, assigns and draws."""
        from tasks.cavi.experiment import run

        return run(self, context)
