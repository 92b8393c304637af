"""What a search and a gait look like."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from elbolab.pictures import new_figure
from tasks.arrays import Floats
from tasks.qwop.drawing import COLOURS, LIMBS
from tasks.qwop.simulator import Gait
from tasks.qwop.study import SearchRun

__all__ = ["best_at", "learning_curves", "strobe"]

GRID = 300
"""Points of a learning curve."""


def best_at(run: SearchRun, evaluations: Floats) -> Floats:
    """The longest distance that a search knew after so many evaluations; NaN before its first.

    A search that ended early stays at its best.
    """
    ends = np.array([entry.evaluations for entry in run.history])
    best = np.array([np.nan, *(entry.best for entry in run.history)])
    return best[np.searchsorted(ends, evaluations, side="right")]


def learning_curves(optimisers: Mapping[str, Sequence[SearchRun]]) -> Figure:
    """Best distance so far over evaluations: median over seeds, quartiles, and extremes."""
    figure = new_figure(8, 4.5)
    axes = figure.add_subplot()
    for colour, (name, runs) in enumerate(optimisers.items()):
        first = max(run.history[0].evaluations for run in runs)
        grid = np.geomspace(first, max(runs[0].budget, first + 1), GRID).round()
        best = np.stack([best_at(run, grid) for run in runs])
        low, quarter, middle, three, high = np.quantile(best, [0, 0.25, 0.5, 0.75, 1], axis=0)
        axes.plot(grid, middle, color=f"C{colour}", label=f"{name}, {middle[-1]:.2f} in the end")
        if len(runs) > 1:
            axes.fill_between(grid, quarter, three, color=f"C{colour}", alpha=0.3, linewidth=0)
            axes.fill_between(grid, low, high, color=f"C{colour}", alpha=0.1, linewidth=0)
    seeds = len(next(iter(optimisers.values())))
    shown = f"median of {seeds} seeds, quartiles, extremes" if seeds > 1 else "one seed"
    axes.set_xscale("log")
    axes.set_xlabel("plans evaluated")
    axes.set_ylabel("longest distance so far (units of length)")
    axes.set_title(f"Learning curves: {shown}", fontsize=10)
    axes.legend(fontsize=8, loc="upper left")
    axes.grid(alpha=0.3)
    return figure


def strobe(gait: Gait, title: str, every: int = 10) -> Figure:
    """The runner after every segment, and the ways of hip, feet and head."""
    points = gait.points
    reach = max(float(np.ptp(points[..., 0])) + 0.6, 3.0)
    figure = new_figure(11, 1.2 + 9.6 * 2.4 / reach if reach > 6 else 5)
    axes = figure.add_subplot()
    for point, colour in ((5, COLOURS[0]), (2, COLOURS[3]), (4, COLOURS[1])):
        axes.plot(*points[:, point].T, color=colour, linewidth=0.7, alpha=0.6)
    shown = points[::every]
    for number, frame in enumerate(shown):
        strength = 0.25 + 0.75 * number / max(len(shown) - 1, 1)
        for (start, end), colour in zip(LIMBS, COLOURS, strict=True):
            axes.plot(*frame[[start, end]].T, color=colour, alpha=strength, linewidth=2)
        axes.plot(*frame[5], "o", color=COLOURS[0], alpha=strength, markersize=6)
    axes.axhline(0, color="grey", linewidth=1)
    axes.set_aspect("equal")
    axes.set_xlabel("x (units of length; leg A blue, leg B orange)")
    axes.set_ylabel("height")
    axes.set_title(title, fontsize=10)
    return figure
