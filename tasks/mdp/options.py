"""What a person can ask of the command ``python cli.py task mdp``."""

from dataclasses import dataclass, field

from elbolab.checks import check_at_least_one, check_in
from tasks.mdp.learners import Learner, NoLearner
from tasks.mdp.solvers import PolicyIteration, Solver

__all__ = ["DecisionOptions", "Garnet"]


@dataclass(frozen=True)
class Garnet:
    """Size of a random sparse process: every pair of state and action leads to a few random states.

    Attributes:
        states: S.
        actions: A.
        branching: Successors drawn for each state and action; two draws may be the same.
    """

    states: int = 1000
    actions: int = 4
    branching: int = 5

    def __post_init__(self) -> None:
        sizes = {"states": self.states, "actions": self.actions, "branching": self.branching}
        check_at_least_one(**{f"garnet.{name}": size for name, size in sizes.items()})
        entries = self.states * self.actions * self.branching
        check_in("[1, 2e9]", **{"garnet.states · garnet.actions · garnet.branching": entries})


@dataclass(frozen=True)
class DecisionOptions:
    """What to solve, how, and what to learn.

    Attributes:
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

    model: str = "space-exploration"
    gamma: float | None = None
    solver: Solver = field(default_factory=PolicyIteration)
    keep: bool = False
    compare: bool | None = None
    gammas: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
    learner: Learner = field(default_factory=NoLearner)
    garnet: Garnet = Garnet()

    def __post_init__(self) -> None:
        check_in("[0, 1]", gamma=self.gamma)
        check_in("[0, 1)", gammas=self.gammas)
