"""Pictures of dynamics in a matrix game."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elbolab.pictures import drawn_name, new_figure
from tasks.arrays import Floats
from tasks.game.dynamics import Play

__all__ = ["exploitability_picture", "simplex_picture", "to_plane"]

SMALL = 8
"""Size of names and legends, in points of type."""


CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
"""Of the equilateral triangle in which three probabilities are drawn."""


def to_plane(p: Floats) -> Floats:
    """Points ``(…, 2)`` of distributions over three actions ``(…, 3)``."""
    return p @ CORNERS


def exploitability_picture(plays: list[Play]) -> Figure:
    """What a best reply to each side gains in total, at each step and for the averages."""
    figure = new_figure(7, 4.4)
    axes = figure.add_subplot()
    for colour, play in enumerate(plays):
        steps = np.arange(1, len(play.last_gap) + 1)
        for gap, style, width in ((play.last_gap, ":", 1.0), (play.average_gap, "-", 1.6)):
            shown = np.where(gap > 0, gap, np.nan)
            axes.loglog(steps, shown, style, linewidth=width, color=f"C{colour}")
        axes.plot([], [], color=f"C{colour}", label=play.name)
    axes.plot([], [], "-", color="grey", label="average so far")
    axes.plot([], [], ":", color="grey", label="this step's strategies")
    axes.set_xlabel("step")
    axes.set_ylabel("exploitability (payoff)")
    axes.set_title("What best replies would gain", fontsize=10)
    axes.legend(fontsize=SMALL)
    axes.grid(alpha=0.3)
    return figure


def simplex_picture(plays: list[Play], side: int, names: list[str], player: str) -> Figure:
    """Strategies over three actions on their way through the simplex, one panel for each dynamics.

    Args:
        plays: What happened.
        side: 0 for the row player, 1 for the column player.
        names: Of the three actions.
        player: What the side is called.
    """
    columns = min(2, len(plays))
    rows = -(-len(plays) // columns)
    figure = new_figure(3.6 * columns, 3.5 * rows + 0.4)
    for place, play in enumerate(plays, 1):
        axes = figure.add_subplot(rows, columns, place)
        _triangle(axes, names)
        _path(axes, to_plane(play.strategies[side]), to_plane(play.averages[side]))
        axes.set_title(play.name, fontsize=10)
    figure.axes[0].legend(fontsize=SMALL - 1, loc="upper left")
    figure.suptitle(f"Strategies of the {player} player", fontsize=10)
    return figure


def _triangle(axes: Axes, names: list[str]) -> None:
    axes.fill(*CORNERS.T, facecolor="none", edgecolor="black", linewidth=0.8)
    offsets = ((0, -0.07, "center"), (1, -0.07, "center"), (0.5, 0.9, "center"))
    for name, (x, y, align) in zip(names, offsets, strict=True):
        axes.text(x, y, drawn_name(name), ha=align, va="center", fontsize=SMALL)
    axes.set_xlim(-0.1, 1.1)
    axes.set_ylim(-0.13, 0.97)
    axes.set_aspect("equal")
    axes.axis("off")


def _path(axes: Axes, strategies: Floats, averages: Floats) -> None:
    axes.plot(*strategies.T, color="C0", alpha=0.5, linewidth=0.6, label="strategy")
    axes.plot(*averages.T, color="C1", linewidth=1.5, label="average")
    axes.plot(*strategies[0], "ko", markersize=4, label="start")
    axes.plot(*averages[-1], "r*", markersize=9, label="average at the end")
