"""Pictures of a solved process and of policy gradient; values in units of reward."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from elbolab.pictures import drawn_name, new_figure
from tasks.arrays import Floats, Ints
from tasks.mdp.model import MDP
from tasks.mdp.solution import Solution

__all__ = [
    "contraction_picture",
    "gap_picture",
    "norm_picture",
    "orders_picture",
    "policy_picture",
    "sweeps_picture",
]

LINES = 12
"""States drawn as curves; of more, evenly chosen ones."""

LABELLED = 40
"""States up to which each row of a table has its name, and actions each column."""

LARGEST = 36
"""Inches that the cells of a picture may take: it has to fit into an image."""

DOTTED = 60
"""Iterations up to which each has a dot."""

SMALL = 8
"""Size of names and legends, in points of type."""


def sweeps_picture(mdp: MDP, values: Floats) -> Figure:
    """Values after each iteration.

    Args:
        mdp: The process.
        values: ``(iterations + 1, S)``.
    """
    figure = new_figure(6.5, 4)
    axes = figure.add_subplot()
    alive = np.flatnonzero(~mdp.terminal)
    shown = alive[np.unique(np.linspace(0, len(alive) - 1, min(LINES, len(alive))).astype(int))]
    for s in shown.tolist():
        dot = "" if len(values) > DOTTED else "o"
        axes.plot(values[:, s], marker=dot, markersize=3, label=drawn_name(mdp.state(s)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("iteration")
    axes.set_ylabel("value v(s)")
    some = "" if len(shown) == len(alive) else f" ({len(shown)} of {len(alive)} states)"
    axes.set_title(f"Values after each iteration{some}, γ = {mdp.gamma:g}", fontsize=10)
    axes.legend(fontsize=SMALL, title="state", title_fontsize=SMALL, ncols=1 + len(shown) // 5)
    axes.grid(alpha=0.3)
    return figure


def policy_picture(mdp: MDP, policy: Ints, v: Floats, q: Floats) -> Figure:
    """The greedy policy: arrows on a grid, or a table of what each action costs."""
    return _grid(mdp, policy, v) if mdp.shape else _table(mdp, policy, v, q)


def _table(mdp: MDP, policy: Ints, v: Floats, q: Floats) -> Figure:
    alive = np.flatnonzero(~mdp.terminal)
    loss = q[alive] - v[alive, None]
    few = len(alive) <= LABELLED
    width = 2.5 + min(0.9 * mdp.A, LARGEST)
    figure = new_figure(width, max(2.6, 1.2 + 0.28 * len(alive)) if few else 6)
    axes = figure.add_subplot()
    image = axes.imshow(loss, aspect="auto", cmap="viridis", interpolation="nearest")
    mark, size = ("r*", 9) if few else ("r.", 2)
    axes.plot(policy[alive], np.arange(len(alive)), mark, markersize=size)
    if mdp.A <= LABELLED:
        names = [drawn_name(mdp.action(a)) for a in range(mdp.A)]
        axes.set_xticks(range(mdp.A), names, fontsize=SMALL)
    if few:
        axes.set_yticks(
            range(len(alive)), [drawn_name(mdp.state(s)) for s in alive.tolist()], fontsize=SMALL
        )
    axes.set_xlabel("action")
    axes.set_ylabel("state")
    axes.set_title("Greedy policy (red)", fontsize=10)
    figure.colorbar(image, label="q(s, a) − v(s)")
    return figure


def _grid(mdp: MDP, policy: Ints, v: Floats) -> Figure:
    rows, columns = mdp.shape or (1, mdp.S)
    cells = rows * columns
    cell = min(0.62, LARGEST / max(rows, columns))
    figure = new_figure(1.6 + cell * columns, 1.2 + cell * rows)
    axes = figure.add_subplot()
    image = axes.imshow(v[:cells].reshape(rows, columns), cmap="viridis")
    arrows = _directions(mdp)[policy[:cells]] * ~mdp.terminal[:cells, None]
    y, x = np.divmod(np.arange(cells), columns)
    axes.quiver(
        *(x, y, arrows[:, 1], -arrows[:, 0]),
        color="white",
        edgecolor="black",
        linewidth=0.5,
        pivot="middle",
        scale=1.7 * columns,
    )
    ends = np.flatnonzero(mdp.terminal[:cells])
    axes.plot(x[ends], y[ends], "rs", markersize=7)
    axes.set_xticks(range(columns))
    axes.set_yticks(range(rows))
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    axes.set_title("Greedy policy; red squares end the episode", fontsize=9)
    figure.colorbar(image, label="value v(s)")
    return figure


def _directions(mdp: MDP) -> Floats:
    """Where each action leads on the grid, ``(A, 2)`` rows and columns.

    The axis on which the moves to neighbours, over all states, have the largest mean.
    """
    rows, columns = mdp.shape or (1, mdp.S)
    entries = mdp.csr.tocoo()
    origin, action = np.divmod(entries.row, mdp.A)
    inside = np.maximum(origin, entries.col) < rows * columns
    step = np.array(np.divmod(entries.col, columns)) - np.array(np.divmod(origin, columns))
    near = inside & (np.abs(step).sum(axis=0) == 1)
    total = np.zeros((mdp.A, 2))
    np.add.at(total, action[near], (step[:, near] * entries.data[near]).T)
    largest = np.abs(total) == np.abs(total).max(axis=1, keepdims=True)
    return np.sign(total) * largest


def contraction_picture(
    mdp: MDP, solution: Solution, horizon: float, exact: Solution | None
) -> Figure:
    """The error after each iteration, what is certified of it, and the line of rate γ.

    Args:
        mdp: The process.
        solution: What a solver arrived at.
        horizon: H of the certificate.
        exact: A solution to rounding, to measure errors from; they are left out without it.
    """
    figure = new_figure(6.5, 4)
    axes = figure.add_subplot()
    steps = np.arange(len(solution.residuals))
    bounds = np.array(solution.residuals) * horizon
    dot = "" if len(steps) > DOTTED else "o"
    shown = np.where(bounds > 0, bounds, np.nan)  # exact evaluation may leave nothing
    axes.semilogy(steps[1:], shown[1:], f"{dot}-", markersize=3, label="bound from the residual")
    first = bounds[1] if len(bounds) > 1 else 1.0
    if exact is not None and solution.iterates:
        error = [float(np.abs(one.v - exact.v).max()) for one in solution.iterates]
        shown = np.where(np.array(error) > 0, error, np.nan)
        axes.semilogy(steps, shown, f"{dot}-", markersize=3, label=r"$\|v - v_*\|_\infty$")
        first = error[0]
    line = first * mdp.gamma ** steps.astype(float)
    axes.semilogy(steps, line, "--", color="grey", label=f"rate γ = {mdp.gamma:g}")
    low = [x for x in (bounds[-1], solution.bound) if 0 < x < np.inf]
    if low:
        axes.axhline(min(low), linestyle=":", color="C3", label=f"certified {solution.bound:.1e}")
        axes.set_ylim(bottom=min(low) / 10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("iteration")
    axes.set_ylabel("error (units of reward)")
    axes.set_title("Contraction of the error", fontsize=10)
    axes.legend(fontsize=SMALL)
    axes.grid(alpha=0.3)
    return figure


def orders_picture(
    gammas: Sequence[float], sweeps: Mapping[str, Sequence[float]], tolerance: float
) -> Figure:
    """Sweeps that each order of backups needs, against the horizon 1/(1 − γ).

    Args:
        gammas: Discounts.
        sweeps: Order → backups of each state, one number for each discount.
        tolerance: To which the values were certified.
    """
    figure = new_figure(6.5, 4)
    axes = figure.add_subplot()
    lengths = 1 / (1 - np.array(gammas))
    axes.set_xscale("log")
    axes.set_xlim(lengths[0] / 1.2, lengths[-1] * 1.2)
    for name, counts in sweeps.items():
        axes.loglog(lengths, counts, "o-", markersize=4, label=name)
    axes.set_xticks(lengths, [f"{gamma:g}" for gamma in gammas], fontsize=SMALL)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("discount γ, at 1/(1 − γ)")
    axes.set_ylabel("backups of each state")
    axes.set_title(f"Value iteration to ±{tolerance:.0e}, by the order of backups", fontsize=10)
    axes.legend(fontsize=SMALL)
    axes.grid(alpha=0.3)
    return figure


def _band(ylabel: str, title: str, values: Floats) -> Figure:
    """Every column thin, their mean thick, over updates."""
    figure = new_figure(6.5, 4)
    axes = figure.add_subplot()
    if values.shape[1] > 1:
        axes.plot(values, color="C0", alpha=0.25, linewidth=0.8)
        axes.plot([], [], color="C0", alpha=0.4, linewidth=0.8, label="each seed")
        axes.plot(values.mean(axis=1), color="C0", linewidth=2, label="mean over seeds")
        axes.legend(fontsize=SMALL)
    else:
        axes.plot(values[:, 0], color="C0", linewidth=2)
    axes.set_xlabel("updates")
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    return figure


def gap_picture(objective: Floats, best: float | None) -> Figure:
    """v_* − J(θ) per update on a logarithmic axis, or J(θ) where v_* is not known.

    Args:
        objective: ``(updates, K)``.
        best: Σ_s d(s) v_*(s), or None.
    """
    if best is None:
        return _band("mean discounted return of an update", "Return while learning", objective)
    gap = np.maximum(best - objective, 1e-16 * max(1.0, abs(best)))
    figure = _band(r"gap $J(\pi_*) - J(\theta)$", "Gap to the optimum after each update", gap)
    figure.axes[0].set_yscale("log")
    return figure


def norm_picture(norm: Floats) -> Figure:
    """‖∇J‖ as used, ``(updates, K)``."""
    figure = _band("‖∇J‖₂, as used", "Norm of the gradient of each update", norm)
    if (norm > 0).all():
        figure.axes[0].set_yscale("log")
    return figure
