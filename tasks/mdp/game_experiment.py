# ruff: noqa: N803  capitals are the symbols of the formulas
"""What the command does with its options: solve, play, draw, record."""

from itertools import islice

import numpy as np

from elbolab.errors import UserError
from tasks.base import Table, TaskContext, TaskResult
from tasks.mdp.dynamics import Dynamics
from tasks.mdp.game_pictures import Play, exploitability_picture, simplex_picture
from tasks.mdp.game_task import MatrixGame
from tasks.mdp.games import Array, exploitability, optimal_range, solve_game
from tasks.mdp.payoffs import Game, find_game

__all__ = ["played", "run"]

UNIQUE = 1e-6
"""Optimal strategies that differ by less are the same one: HiGHS is exact to about 1e-10."""

SUM_TOLERANCE = 1e-6
"""How far a strategy that was typed may be from summing to 1."""


def run(task: MatrixGame, context: TaskContext) -> TaskResult:
    """Does what `game_task.MatrixGame` promises.

    Raises:
        UserError: If a file or an option is wrong.
    """
    game = find_game(task.payoffs)
    start = _start(task, game, context)
    solved = _solution(game)
    plays = [played(game.M, one, start, task.steps) for one in task.dynamics]
    for play in plays:
        for step, value in enumerate(play.average_gap.tolist()):
            context.writer.add_scalar(f"game/exploitability/{play.name}", value, step)
    return _with_plays(game, solved, plays)


def _start(task: MatrixGame, game: Game, context: TaskContext) -> tuple[Array, Array]:
    if task.start is None:
        generator = context.generator("start")
        x, y = (generator.dirichlet(np.ones(count)) for count in game.M.shape)
        return x, y
    for kind, given, count in zip(("row", "column"), task.start, game.M.shape, strict=True):
        numbers = np.array(given)
        wrong = len(given) != count or not (numbers >= 0).all()
        if wrong or not abs(numbers.sum() - 1) <= SUM_TOLERANCE:
            raise UserError(
                f"start of the {kind} player must be {count} probabilities that sum to 1, "
                f"got {given}."
            )
    x, y = (np.array(given) / np.sum(given) for given in task.start)
    return x, y


def _solution(game: Game) -> TaskResult:
    found = solve_game(game.M)
    slack = found.gap / 2
    ranges = (
        optimal_range(game.M, found.value - slack),
        optimal_range(-game.M.T, -found.value - slack),
    )
    widths = [float((high - low).max()) for low, high in ranges]
    metrics = {
        "value": found.value,
        "gap": found.gap,
        "unique": float(max(widths) <= UNIQUE),
        "row_face_width": widths[0],
        "column_face_width": widths[1],
    }
    m, n = game.M.shape
    table: Table = {
        "player": ["row"] * m + ["column"] * n,
        "action": game.rows + game.columns,
        "probability": [*found.x.tolist(), *found.y.tolist()],
        "lowest": np.concatenate([low for low, _ in ranges]).tolist(),
        "highest": np.concatenate([high for _, high in ranges]).tolist(),
    }
    return TaskResult(metrics, {"solution": table})


def played(M: Array, dynamics: Dynamics, start: tuple[Array, Array], steps: int) -> Play:
    """Plays ``steps`` steps after the start."""
    pairs = list(islice(dynamics.play(M, *start), steps + 1))
    x, y = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    counts = np.arange(1, len(x) + 1)[:, None]
    averages = np.cumsum(x, axis=0) / counts, np.cumsum(y, axis=0) / counts
    gaps = exploitability(M, x, y), exploitability(M, *averages)
    return Play(type(dynamics).__name__, (x, y), averages, *gaps)


def _with_plays(game: Game, solved: TaskResult, plays: list[Play]) -> TaskResult:
    metrics, table = dict(solved.metrics), {"step": range(len(plays[0].last_gap))}
    for play in plays:
        metrics[f"exploitability/{play.name}"] = play.last_gap[-1]
        metrics[f"exploitability/{play.name}_average"] = play.average_gap[-1]
        table |= {play.name: play.last_gap, f"{play.name}_average": play.average_gap}
    figures = {"exploitability": exploitability_picture(plays)}
    sides = (("row", 0, game.rows), ("column", 1, game.columns))
    for player, side, names in sides:
        if len(names) == 3:
            figures[f"simplex_{player}"] = simplex_picture(plays, side, names, player)
    return TaskResult(metrics, {**solved.tables, "exploitability": table}, figures)
