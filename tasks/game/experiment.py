"""What the command does with its options: solve, play, draw, record."""

from dataclasses import replace

import numpy as np

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.base import Table, TaskContext, TaskResult
from tasks.game.dynamics import Dynamics, Play, StrategyPair, play_game
from tasks.game.equilibrium import solve_game
from tasks.game.files import find_game
from tasks.game.model import Game
from tasks.game.options import EVERY_DYNAMICS, GameOptions
from tasks.game.pictures import exploitability_picture, simplex_picture

__all__ = ["run"]

SUM_TOLERANCE = 1e-6
"""How far a strategy that was typed may be from summing to 1."""


def run(options: GameOptions, context: TaskContext) -> TaskResult:
    """Does what `task.MatrixGame` promises.

    Raises:
        UserError: If a file or an option is wrong.
    """
    game = find_game(options.payoffs)
    start = _start(options, game, context)
    solved = _solved(game)
    kinds = options.dynamics or [kind() for kind in EVERY_DYNAMICS]
    plays = [
        replace(play_game(game.M, kind, start, options.steps), name=name)
        for name, kind in zip(_names(kinds), kinds, strict=True)
    ]
    for play in plays:
        for step, value in enumerate(play.average_gap.tolist()):
            context.writer.add_scalar(f"game/exploitability/{play.name}", value, step)
    return TaskResult.merged(solved, _played(plays), _drawn(game, plays))


def _names(kinds: list[Dynamics]) -> list[str]:
    """Names of classes, numbered from the second of its kind on."""
    names = [type(kind).__name__ for kind in kinds]
    counts = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if k == 1 else f"{name}_{k}" for name, k in zip(names, counts, strict=True)]


def _start(options: GameOptions, game: Game, context: TaskContext) -> StrategyPair:
    if options.start is None:
        generator = context.generator("start")
        x, y = (generator.dirichlet(np.ones(count)) for count in game.M.shape)
        return x, y
    x, y = (
        _strategy(player, typed, count)
        for player, typed, count in zip(("row", "column"), options.start, game.M.shape, strict=True)
    )
    return x, y


def _strategy(player: str, typed: list[float], count: int) -> Floats:
    p = np.array(typed, dtype=float)
    if len(p) != count or not (p >= 0).all() or not abs(p.sum() - 1) <= SUM_TOLERANCE:
        raise UserError(
            f"start of the {player} player must be {count} probabilities that sum to 1, "
            f"got {typed}."
        )
    return p / p.sum()


def _solved(game: Game) -> TaskResult:
    solution = solve_game(game.M)
    ranges = solution.x_range, solution.y_range
    widths = [float((high - low).max()) for low, high in ranges]
    metrics = {
        "value": solution.value,
        "gap": solution.gap,
        **({} if solution.unique is None else {"unique": float(solution.unique)}),
        "row_face_width": widths[0],
        "column_face_width": widths[1],
    }
    m, n = game.M.shape
    table: Table = {
        "player": ["row"] * m + ["column"] * n,
        "action": game.rows + game.columns,
        "probability": [*solution.x.tolist(), *solution.y.tolist()],
        "lowest": np.concatenate([low for low, _ in ranges]).tolist(),
        "highest": np.concatenate([high for _, high in ranges]).tolist(),
    }
    return TaskResult(metrics, {"solution": table})


def _played(plays: list[Play]) -> TaskResult:
    metrics, table = {}, {"step": range(len(plays[0].last_gap))}
    for play in plays:
        metrics[f"exploitability/{play.name}"] = play.last_gap[-1]
        metrics[f"exploitability/{play.name}_average"] = play.average_gap[-1]
        table |= {play.name: play.last_gap, f"{play.name}_average": play.average_gap}
    return TaskResult(metrics, {"exploitability": table})


def _drawn(game: Game, plays: list[Play]) -> TaskResult:
    figures = {"exploitability": exploitability_picture(plays)}
    for side, (player, names) in enumerate((("row", game.rows), ("column", game.columns))):
        if len(names) == 3:
            figures[f"simplex_{player}"] = simplex_picture(plays, side, names, player)
    return TaskResult(figures=figures)
