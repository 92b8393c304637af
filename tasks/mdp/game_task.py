"""The command ``python cli.py task game``; its work is in `game_experiment`."""

from elbolab.errors import UserError
from tasks.base import TaskContext, TaskResult
from tasks.mdp.dynamics import (
    DescentAscent,
    Dynamics,
    Extragradient,
    FictitiousPlay,
    MultiplicativeWeights,
)

EVERY = FictitiousPlay, MultiplicativeWeights, DescentAscent, Extragradient

__all__ = ["MatrixGame"]


class MatrixGame:
    """Solves a zero-sum matrix game, and lets learning dynamics play it.

    Args:
        payoffs: rock-paper-scissors; a .csv of payoffs to the row player, a row for each of its
            actions; or a .json, such a list of lists or {payoffs, rows, columns} with names.
        dynamics: FictitiousPlay, MultiplicativeWeights, DescentAscent or Extragradient, any
            number. Default: all four.
        steps: How often the game is played.
        start: First strategies of the row and of the column player. Default: random.
    """

    def __init__(
        self,
        payoffs: str = "rock-paper-scissors",
        dynamics: list[Dynamics] = [],  # noqa: B006  never changed
        steps: int = 3000,
        start: tuple[list[float], list[float]] | None = None,
    ) -> None:
        if steps < 1:
            raise UserError(f"steps must be at least 1, got {steps}.")
        self.payoffs, self.steps, self.start = payoffs, steps, start
        self.dynamics = dynamics or [kind() for kind in EVERY]

    def run(self, context: TaskContext) -> TaskResult:
        """Solves, shows whether the solution is unique, plays and draws."""
        from tasks.mdp.game_experiment import run

        return run(self, context)
