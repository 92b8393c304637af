"""What a person can ask of the command ``python cli.py task game``."""

from dataclasses import dataclass, field

from elbolab.checks import check_in
from tasks.game.dynamics import (
    DescentAscent,
    Dynamics,
    Extragradient,
    FictitiousPlay,
    MultiplicativeWeights,
)

__all__ = ["DEFAULT_GAME", "EVERY_DYNAMICS", "GameOptions"]

DEFAULT_GAME = "rock-paper-scissors"

EVERY_DYNAMICS = FictitiousPlay, MultiplicativeWeights, DescentAscent, Extragradient


@dataclass(frozen=True)
class GameOptions:
    """What to solve, and how it is played.

    Attributes:
        payoffs: rock-paper-scissors; a .csv of payoffs to the row player, a row for each of its
            actions; or a .json, such a list of lists or {payoffs, rows, columns} with names.
        dynamics: FictitiousPlay, MultiplicativeWeights, DescentAscent or Extragradient, any
            number. Default: all four.
        steps: How often the game is played.
        start: First strategies of the row and of the column player. Default: random.
    """

    payoffs: str = DEFAULT_GAME
    dynamics: list[Dynamics] = field(default_factory=list)
    steps: int = 3000
    start: tuple[list[float], list[float]] | None = None

    def __post_init__(self) -> None:
        check_in("[1, 1e7]", steps=self.steps)  # they are kept, to be drawn
