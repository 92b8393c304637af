"""The command ``python cli.py task mdp``; its work is in `experiment`."""

from jsonargparse.typing import lazy_instance

from elbolab.errors import UserError
from tasks.base import TaskContext, TaskResult
from tasks.mdp.garnet import Garnet
from tasks.mdp.learners import Learner, NoLearner
from tasks.mdp.solvers import PolicyIteration, Solver

__all__ = ["DecisionProcess"]


class DecisionProcess:
    """Solves a Markov decision process with a certified bound, and learns it by policy gradient.

    Args:
        model: space-exploration; garnet (random); a .json or .npz file; or an environment of
            Gymnasium such as FrozenLake-v1. One without a table P can only be learned.
        gamma: Discount in [0, 1]. Default: the file's, 0.5 for space-exploration, else 0.99.
        solver: PolicyIteration, ModifiedPolicyIteration, ValueIteration, GaussSeidel, Prioritised
            or LinearProgramming. Default: PolicyIteration, exact.
        keep: Write every iterate to iterates.csv.
        compare: Solve with all solvers, and by the linear programme as cross-check. Default: up
            to 2,000 states.
        gammas: Discounts under which the orders of value iteration are compared.
        learner: ExactGradient or Reinforce. Default: NoLearner.
        garnet: Size of the random model.
    """

    def __init__(
        self,
        model: str = "space-exploration",
        gamma: float | None = None,
        solver: Solver = lazy_instance(PolicyIteration),  # noqa: B008  never changed
        keep: bool = False,
        compare: bool | None = None,
        gammas: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99),
        learner: Learner = lazy_instance(NoLearner),  # noqa: B008  never changed
        garnet: Garnet = Garnet(),  # noqa: B008  never changed
    ) -> None:
        if gamma is not None and not 0 <= gamma <= 1:
            raise UserError(f"gamma must lie in [0, 1], got {gamma}.")
        for value in gammas:
            if not 0 <= value < 1:
                raise UserError(f"gammas must lie in [0, 1), got {value}.")
        self.model, self.gamma, self.solver = model, gamma, solver
        self.keep, self.compare, self.gammas = keep, compare, sorted(set(gammas))
        self.learner, self.garnet = learner, garnet

    def run(self, context: TaskContext) -> TaskResult:
        """Solves, certifies, compares, learns and draws."""
        from tasks.mdp.experiment import run

        return run(self, context)
