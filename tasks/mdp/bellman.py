# ruff: noqa: N803  capitals are the symbols of the formulas
"""What a solver may ask of a decision process: its Bellman operators.

(Tv)(s) = max_a q(s, a),  q(s, a) = r(s, a) + γ Σ_{s'} P(s' | s, a) v(s'), and T_π with the actions
of a policy π in place of the maximum. `solution` compiles them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from tasks.arrays import Floats, Ints

__all__ = ["BellmanOperators", "EvaluationSweep", "PrioritisedSweep"]

EvaluationSweep = Callable[[Floats, Floats], tuple[float, float]]
"""(v, out): writes T_π v into ``out``; returns the smallest and largest change of a state."""

PrioritisedSweep = Callable[[Floats, Ints], tuple[int, float]]
"""(v, policy), both changed in place → number of backups, and a bound on ‖Tv − v‖ after them."""


class BellmanOperators(ABC):
    """The operators of one process.

    Attributes:
        S: Number of states.
        A: Number of actions.
        R: Expected rewards r(s, a), ``(S, A)``.
        gamma: γ.
        ends: Whether some state is terminal, so that its value stays 0.
    """

    def __init__(self, R: Floats, gamma: float, ends: bool) -> None:
        (self.S, self.A), self.R, self.gamma, self.ends = R.shape, R, gamma, ends

    @abstractmethod
    def improve(
        self, v: Floats, policy: Ints, Tv: Floats, slack: float = 0.0
    ) -> tuple[float, float]:
        """Writes Tv into ``Tv`` and the greedy policy into ``policy``.

        An action is kept unless another one is better by more than ``slack``: ties that rounding
        breaks one way and then the other would never settle.

        Returns:
            Smallest and largest (Tv − v)(s).
        """

    @abstractmethod
    def improve_in_place(self, v: Floats, policy: Ints) -> float:
        """The same in place, each state seeing what those before it have become.

        Returns:
            The largest change.
        """

    @abstractmethod
    def prioritised(self, goal: float) -> PrioritisedSweep:
        """From v = 0: S backups of whatever is most out of date, fewer once all is below goal."""

    @abstractmethod
    def sweep_of(self, policy: Ints) -> EvaluationSweep:
        """One synchronous sweep of evaluation of a policy."""

    @abstractmethod
    def evaluate(self, policy: Ints) -> Floats:
        """v_π by a linear solve."""

    @abstractmethod
    def programme(self) -> Floats:
        """v_* by the linear programme, to the tolerance of its solver."""

    @abstractmethod
    def rounding(self, v: Floats) -> float:
        """The most that rounding can do to one (Tv − v)(s)."""
