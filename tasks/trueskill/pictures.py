"""Pictures of a rated season; skills in points, probabilities and rates in [0, 1]."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from elbolab.pictures import new_figure, plain_text
from tasks.arrays import Floats
from tasks.trueskill.evaluation import FIRST, Calibration, Forecast
from tasks.trueskill.filtering import OrderStudy, ranks
from tasks.trueskill.model import Rating

__all__ = [
    "calibration_picture",
    "order_picture",
    "prediction_rate_picture",
    "ranking_picture",
    "truth_picture",
]

SMALL = 8
"""Size of names and legends, in points of type."""

TEAMS_SHOWN = 200
"""Rows of a picture with a row for each team: the best of them."""


def _rows(count: int, title: str, width: float = 6.0) -> tuple[Figure, Axes]:
    """A figure with room for one line of type for each team, the first on top."""
    figure = new_figure(width, max(3.0, 1.2 + 0.2 * count))
    axes = figure.add_subplot()
    axes.set_ylim(count - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title, fontsize=10)
    return figure, axes


def ranking_picture(teams: Sequence[str], ratings: Sequence[Rating], title: str) -> Figure:
    """Means with ±1 standard deviation, best on top.

    Args:
        teams: Names, best first.
        ratings: Their beliefs.
        title: Above the axes.
    """
    teams, ratings = teams[:TEAMS_SHOWN], ratings[:TEAMS_SHOWN]
    figure, axes = _rows(len(teams), plain_text(title))
    means, stds = [r.mean for r in ratings], [r.std for r in ratings]
    axes.errorbar(means, range(len(teams)), xerr=stds, fmt="o", markersize=4, capsize=2)
    names = [f"{place}. {plain_text(team)}" for place, team in enumerate(teams, 1)]
    axes.set_yticks(range(len(teams)), names, fontsize=SMALL)
    axes.set_xlabel("skill, mean ± 1 standard deviation (points)")
    return figure


def order_picture(teams: Sequence[str], means: Sequence[float], study: OrderStudy) -> Figure:
    """Ranks of each team over all shuffled seasons, beside its rank in the order played."""
    played = ranks(means)
    order: list[int] = np.argsort(played)[:TEAMS_SHOWN].tolist()
    count = len(study.ranks)
    figure, axes = _rows(len(teams), f"Filtering the same matches in {count} random orders")
    axes.boxplot(
        [study.ranks[:, i] for i in order],
        positions=range(len(order)),
        orientation="horizontal",
        widths=0.6,
        whis=(0, 100),
        medianprops={"color": "C0", "linewidth": 2},
        manage_ticks=False,
    )
    axes.plot(played[order], range(len(order)), "D", color="C1", markersize=4, label="as played")
    axes.plot([], [], color="C0", linewidth=2, label="median of shuffles")
    axes.plot([], [], color="black", linewidth=1, label="box: middle half, whiskers: all")
    axes.set_yticks(range(len(order)), [plain_text(teams[i]) for i in order], fontsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("rank (1 is best)")
    axes.legend(fontsize=SMALL, loc="lower left")
    return figure


def prediction_rate_picture(
    forecast: Forecast, window: int, others: Mapping[str, Forecast]
) -> Figure:
    """Correct predictions, cumulative and over a moving window, beside what needs no model.

    Args:
        forecast: Predictions in the order of the matches.
        window: Matches in the moving rate.
        others: Further forecasts of the same matches, by name, drawn cumulatively.
    """
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    steps = np.arange(1, len(forecast.correct) + 1)
    axes.plot(steps, np.cumsum(forecast.correct) / steps, linewidth=2, label="TrueSkill")
    if len(steps) >= window:
        moving = np.convolve(forecast.correct, np.ones(window) / window, "valid")
        label = f"TrueSkill, last {window} matches"
        axes.plot(steps[window - 1 :], moving, color="C0", alpha=0.4, label=label)
    for colour, (name, other) in enumerate(others.items(), 2):
        label = f"TrueSkill, {name}"
        axes.plot(steps, np.cumsum(other.correct) / steps, color=f"C{colour}", label=label)
    axes.plot(
        steps,
        np.cumsum(forecast.home) / steps,
        "--",
        color="C1",
        label="always the first team (home)",
    )
    axes.axhline(forecast.random_rate, linestyle=":", color="grey", label="random guessing")
    if others and len(steps) > FIRST:
        axes.axvline(FIRST, color="grey", linewidth=0.5)
        axes.text(FIRST + 1, 0.02, f"{FIRST} matches", fontsize=SMALL, color="grey")
    axes.set_ylim(0, 1)
    axes.set_xlabel("matches predicted")
    axes.set_ylabel("share of correct predictions")
    axes.set_title("One-step-ahead predictions, cumulative unless said otherwise", fontsize=10)
    axes.legend(fontsize=SMALL, loc="lower right", ncols=2)
    axes.grid(alpha=0.3)
    return figure


def calibration_picture(bins: Calibration, forecast: Forecast) -> Figure:
    """What was predicted against what happened, with 95 % intervals and the count of each bin."""
    figure = new_figure(5, 5.4)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    top.plot([0, 1], [0, 1], ":", color="grey", label="perfect")
    errors = [bins.observed - bins.low, bins.high - bins.observed]
    top.errorbar(
        bins.predicted, bins.observed, yerr=errors, fmt="o", capsize=3, label="with 95 % interval"
    )
    top.set_ylim(-0.03, 1.03)
    top.set_ylabel("share that happened")
    what = "win, draw or loss" if forecast.draws else "first team wins"
    top.set_title(f"Calibration of one-step-ahead predictions: {what}", fontsize=10)
    top.legend(fontsize=SMALL, loc="lower right")
    top.grid(alpha=0.3)
    below.bar(bins.predicted, bins.count, width=0.04)
    below.set_ylabel("count")
    below.set_xlabel("predicted probability")
    return figure


def truth_picture(truth: Floats, ratings: Sequence[Rating], covered: float) -> Figure:
    """Known skills of a simulated league against what was inferred, with 95 % intervals."""
    figure = new_figure(5, 5)
    axes = figure.add_subplot()
    means, stds = np.array([r.mean for r in ratings]), np.array([r.std for r in ratings])
    axes.errorbar(truth, means, yerr=1.96 * stds, fmt="o", markersize=4, capsize=2)
    ends = [min(truth.min(), means.min()), max(truth.max(), means.max())]
    axes.plot(ends, ends, ":", color="grey")
    axes.set_xlabel("true skill (points)")
    axes.set_ylabel("mean with 95 % interval (points)")
    axes.set_title(f"Simulated league: {covered:.0%} of intervals cover the truth", fontsize=10)
    axes.grid(alpha=0.3)
    return figure
