"""The command ``python cli.py task qwop``; its work is in `experiment`."""

from jsonargparse.typing import lazy_instance

from elbolab.errors import UserError
from tasks.base import TaskContext, TaskResult
from tasks.qwop.executors import ExecutorName
from tasks.qwop.optimisers import GeneticAlgorithm, Optimiser

__all__ = ["QWOP"]


class QWOP:
    """Teaches a planar runner of six point masses to run, by searching for plans of 40 numbers.

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

    def __init__(
        self,
        optimiser: Optimiser | list[Optimiser] = lazy_instance(GeneticAlgorithm),  # noqa: B008
        budget: int = 15_000,
        seeds: int = 1,
        patience: int | None = None,
        executor: ExecutorName = "local",
        scheduler: str | None = None,
        chunk: int = 1000,
        plan: str | None = None,
        resume: str | None = None,
    ) -> None:
        self.optimisers = optimiser if isinstance(optimiser, list) else [optimiser]
        self.budget, self.seeds, self.patience = budget, seeds, patience
        self.executor: ExecutorName = executor
        self.scheduler, self.chunk = scheduler, chunk
        self.plan, self.resume = plan, resume
        self._check()

    def _check(self) -> None:
        for name in ("budget", "seeds", "patience", "chunk"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, got {value}.")
        if not self.optimisers:
            raise UserError("optimiser must name at least one, got an empty list.")
        for optimiser in self.optimisers:
            optimiser.check()
        if self.executor == "dask" and not self.scheduler:
            raise UserError("executor dask needs --scheduler ADDRESS, for example tcp://host:8786.")
        if self.executor == "local" and self.scheduler:
            raise UserError("scheduler has no meaning with executor local: add --executor dask.")
        if self.plan and self.resume:
            raise UserError("resume has no meaning with a plan, which is not searched for.")

    def run(self, context: TaskContext) -> TaskResult:
        """Scores and draws the given plan, or searches for one and reports on the search."""
        from tasks.qwop.experiment import score, search

        return score(self.plan, context) if self.plan else search(self, context)
