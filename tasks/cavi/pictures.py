"""Pictures of a fit; ELBOs in nats, positions in the model's coordinates."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator

from elbolab.pictures import new_figure, palette
from tasks.arrays import Floats, Ints
from tasks.cavi.events import Events
from tasks.cavi.model import EpicentreModel
from tasks.cavi.posterior import VariationalPosterior
from tasks.cavi.predictive import log_position, log_strength
from tasks.cavi.problem import Fit
from tasks.cavi.simulation import Truth

__all__ = [
    "SHOWN",
    "components_picture",
    "elbo_picture",
    "events_picture",
    "predictive_picture",
    "recovery_picture",
    "restarts_picture",
]

SHOWN = 3000
"""Events in a scatter plot at most."""

GRID = 120
"""Points of a density's grid in each direction."""

SHOWN_NATS = 10
"""How far below its maximum a log density is shown."""

BARS = 40
"""Of a histogram of counts, at most, more or less."""

MOST_COUNTS = 10_000
"""Counts at which a probability is drawn."""

BEST: dict[str, Any] = {"color": "C3", "linewidth": 2, "zorder": 3}
OTHER: dict[str, Any] = {"color": "C0", "alpha": 0.5}
"""How the best restart and the others are drawn."""

DEVIATIONS = 2
"""Standard deviations of an ellipse or a bar."""


def _sizes(strengths: Floats) -> Floats:
    """Areas of points in proportion to the strength, 25 square points on average."""
    return 2 + 23 * strengths / max(float(strengths.mean()), 1e-12)


def events_picture(
    model: EpicentreModel, q: VariationalPosterior, events: Events, r: Floats, names: list[str]
) -> Figure:
    """Events in the mixed colours of their responsibilities, epicentres, and ellipses.

    One coordinate is drawn against the strength, of more the first two against each other.

    Args:
        model: The priors.
        q: One posterior.
        events: What is shown.
        r: Their responsibilities ``(N, K)``.
        names: Of the coordinates.
    """
    figure = new_figure(6.5, 5.5)
    axes, colours = figure.add_subplot(), palette(r.shape[-1])
    mixed = np.clip(r @ colours, 0, 1)
    flat = events.x.shape[-1] == 1
    y = events.strengths if flat else events.x[:, 1]
    axes.scatter(events.x[:, 0], y, s=_sizes(events.strengths), c=mixed, alpha=0.55, linewidths=0)
    draw = _bars if flat else _ellipses
    draw(axes, model, q, colours)
    axes.set_xlabel(names[0])
    axes.set_ylabel("strength (count)" if flat else names[1])
    axes.set_title(
        f"{len(events):,} events: colour responsibility, size strength; "
        f"{DEVIATIONS} standard deviations\nof an event (thin) and of the epicentre (thick)",
    )
    if not flat:
        axes.set_aspect("equal", adjustable="datalim")
    axes.legend(title="E[λ]", loc="best")
    axes.grid(alpha=0.3)
    return figure


def _spreads(model: EpicentreModel, q: VariationalPosterior) -> tuple[Floats, Floats]:
    """Standard deviations of an event around m_k, and of μ_k, ``(K,)`` each."""
    variance = 1 / q.mu.precision[0]
    return np.sqrt(variance + 1 / model.constants.tau), np.sqrt(variance)


def _ellipses(axes: Axes, model: EpicentreModel, q: VariationalPosterior, colours: Floats) -> None:
    for k, (event, epicentre) in enumerate(zip(*_spreads(model, q), strict=True)):
        x, y = q.mu.mean[0, k, :2]
        for std, width in ((event, 1.2), (epicentre, 2.5)):
            size = 2 * DEVIATIONS * std
            axes.add_patch(
                Ellipse((x, y), size, size, fill=False, color=colours[k], linewidth=width)
            )
        axes.plot(x, y, "k+", markersize=9)
        axes.plot([], [], "o", color=colours[k], label=f"{k + 1}: {q.lam.mean[0, k]:.1f}")


def _bars(axes: Axes, model: EpicentreModel, q: VariationalPosterior, colours: Floats) -> None:
    """Crosses at (m, E[λ]) as long as an event's and the epicentre's standard deviations."""
    lam = q.lam.mean[0]
    counts = (np.sqrt(lam), np.sqrt(q.lam.shape[0]) / q.lam.rate[0])
    for stds, heights, width in zip(_spreads(model, q), counts, (1.2, 3), strict=True):
        for k, std in enumerate(stds):
            axes.errorbar(
                q.mu.mean[0, k, 0],
                lam[k],
                xerr=DEVIATIONS * std,
                yerr=DEVIATIONS * heights[k],
                color=colours[k],
                linewidth=width,
                label=f"{k + 1}: {lam[k]:.1f}" if width < 2 else None,
            )
    axes.plot(q.mu.mean[0, :, 0], lam, "k+", markersize=9, zorder=5)


def elbo_picture(fit: Fit) -> Figure:
    """The ELBO after each pass, every restart, the best one thick; below the gap to the best."""
    figure = new_figure(6.5, 5)
    top, below = figure.subplots(2, 1, sharex=True)
    for restart in range(len(fit.elbo)):
        passes, elbo = np.array(fit.curve_of(restart)).T
        best = restart == fit.winner
        style = BEST if best else OTHER
        top.plot(passes, elbo, ".-", markersize=3, label="best" if best else None, **style)
        gap = np.maximum(fit.elbo.max() - elbo, 0)
        below.semilogy(passes, np.where(gap > 0, gap, np.nan), ".-", markersize=3, **style)
    top.plot([], [], **OTHER, label="other restarts")
    top.set_ylabel("ELBO (nats)")
    top.ticklabel_format(axis="y", useOffset=False)
    top.set_title(f"ELBO per pass, {len(fit.elbo)} restarts")
    top.legend(loc="lower right")
    below.set_ylabel("below the best (nats)")
    below.set_xlabel("passes")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (top, below):
        axes.grid(alpha=0.3)
    return figure


def restarts_picture(fit: Fit) -> Figure:
    """Final ELBO of every restart, best first."""
    figure = new_figure(5.5, 3.5)
    axes = figure.add_subplot()
    ordered = np.sort(fit.elbo)[::-1]
    axes.plot(np.arange(1, len(ordered) + 1), ordered, "o")
    axes.axhline(ordered[0], color="C3", linewidth=1, label=f"best: {ordered[0]:.2f}")
    mean, std = ordered.mean(), ordered.std()
    axes.axhline(mean, color="grey", linestyle=":", label=f"mean: {mean:.2f}, std {std:.2f}")
    axes.set_xlabel("restart, best first")
    axes.set_ylabel("ELBO (nats)")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("What restarts end at")
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def components_picture(fits: dict[int, Fit]) -> Figure:
    """The ELBO against K: every restart, the best, and the best plus log K!."""
    figure = new_figure(6, 4)
    axes = figure.add_subplot()
    best = np.array([fit.elbo.max() for fit in fits.values()])
    for k, fit in fits.items():
        axes.plot([k] * len(fit.elbo), fit.elbo, "o", color="C0", alpha=0.3, markersize=4)
    axes.plot([], [], "o", color="C0", alpha=0.3, label="restarts")
    axes.plot(list(fits), best, "-", color="C3", label="best")
    modes = best + [math.lgamma(k + 1) for k in fits]
    axes.plot(list(fits), modes, ":", color="C2", label="best + log K!, for equal modes")
    chosen = max(fits, key=lambda k: fits[k].elbo.max())
    axes.plot(chosen, best.max(), "*", color="C3", markersize=13, label=f"chosen: K = {chosen}")
    axes.set_xlabel("components K")
    axes.set_ylabel("ELBO (nats)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("ELBO against the number of components")
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def recovery_picture(
    q: VariationalPosterior, truth: Truth, pairs: tuple[Ints, Ints], names: list[str]
) -> Figure:
    """True values against the found ones, with ±2 standard deviations of the posterior."""
    fitted, true = pairs
    figure = new_figure(8, 4)
    left, right = figure.subplots(1, 2)
    std = DEVIATIONS / np.sqrt(q.mu.precision[0][fitted])
    for i, name in enumerate(names):
        mean = q.mu.mean[0][fitted, i]
        left.errorbar(truth.mu[true, i], mean, yerr=std, fmt="o", capsize=3, label=name)
    spread = DEVIATIONS * np.sqrt(q.lam.shape[0][fitted]) / q.lam.rate[0][fitted]
    right.errorbar(
        truth.lam[true], q.lam.mean[0][fitted], yerr=spread, fmt="o", color="C4", capsize=3
    )
    left.legend()
    for axes, what in ((left, "epicentre μ"), (right, "rate of strengths λ (count)")):
        low, high = axes.get_xlim()
        axes.plot([low, high], [low, high], ":", color="grey", zorder=0)
        axes.set_xlabel(f"true {what}")
        axes.set_ylabel(f"found, mean ± {DEVIATIONS} standard deviations")
        axes.grid(alpha=0.3)
    figure.suptitle("Simulated events: what was true and what was found, matched")
    return figure


def predictive_picture(
    model: EpicentreModel, q: VariationalPosterior, events: Events, names: list[str]
) -> Figure:
    """Predictive density of positions and of strengths over the events."""
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2)
    draw = _curve if events.x.shape[-1] == 1 else _contours
    draw(left, model, q, events, names)
    weights = q.pi.mean[0]
    counts = _counts(int(events.strengths.max()))
    p = np.exp(log_strength(q, counts.astype(float))) @ weights
    width = 1 + int(counts[-1] + 1) // BARS
    edges = np.arange(-0.5, counts[-1] + width + 0.5, width)
    right.hist(events.strengths, bins=edges, density=True, alpha=0.4, label="events")
    right.plot(counts, p, color="C3", label="predictive")
    right.set_xlabel("strength (count)")
    right.set_ylabel("probability")
    right.legend()
    right.grid(alpha=0.3)
    figure.suptitle("Posterior predictive distribution of an event to come")
    return figure


def _counts(largest: int) -> Ints:
    """All counts up to the largest, or some where there are too many to draw."""
    if largest < MOST_COUNTS:
        return np.arange(largest + 1)
    return np.linspace(0, largest, MOST_COUNTS).astype(np.int64)


def _curve(
    axes: Axes, model: EpicentreModel, q: VariationalPosterior, events: Events, names: list[str]
) -> None:
    x = events.x[:, 0]
    grid = np.linspace(x.min(), x.max(), 4 * GRID)
    p = np.exp(log_position(model, q, grid[:, None])) @ q.pi.mean[0]
    axes.hist(x, bins=50, density=True, alpha=0.4, label="events")
    axes.plot(grid, p, color="C3", label="predictive")
    axes.set_xlabel(names[0])
    axes.set_ylabel("density")
    axes.legend()
    axes.grid(alpha=0.3)


def _contours(
    axes: Axes, model: EpicentreModel, q: VariationalPosterior, events: Events, names: list[str]
) -> None:
    """Log density of the first two coordinates: others integrate out of round Gaussians."""
    x = events.x[:, :2]
    plane = VariationalPosterior(type(q.mu)(q.mu.mean[..., :2], q.mu.precision), q.lam, q.pi)
    sides = [np.linspace(*ends, GRID) for ends in zip(x.min(0), x.max(0), strict=True)]
    grid = np.stack(np.meshgrid(*sides), -1)
    log_p = log_position(model, plane, grid.reshape(-1, 2)) + np.log(q.pi.mean[0])
    p = np.logaddexp.reduce(log_p, -1).reshape(GRID, GRID)
    top = p.max()
    levels = np.linspace(top - max(SHOWN_NATS, 1e-9 * abs(top)), top, 11)
    drawn = axes.contourf(*sides, p, levels=levels, cmap="Blues", extend="min")
    axes.figure.colorbar(drawn, ax=axes, label="log density (nats)")
    shown = x[:SHOWN]
    axes.plot(shown[:, 0], shown[:, 1], ".", color="black", markersize=1.5, alpha=0.5)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
