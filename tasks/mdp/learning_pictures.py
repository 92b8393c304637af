"""Pictures of policy gradient."""

import numpy as np
from matplotlib.figure import Figure

from elbolab.pictures import new_figure
from tasks.mdp.model import Array

__all__ = ["gap_picture", "norm_picture"]


def _band(ylabel: str, title: str, values: Array) -> Figure:
    """Every column thin, their mean thick, over updates."""
    figure = new_figure(6.5, 4)
    axes = figure.add_subplot()
    if values.shape[1] > 1:
        axes.plot(values, color="C0", alpha=0.25, linewidth=0.8)
        axes.plot([], [], color="C0", alpha=0.4, linewidth=0.8, label="each seed")
        axes.plot(values.mean(axis=1), color="C0", linewidth=2, label="mean over seeds")
        axes.legend(fontsize=8)
    else:
        axes.plot(values[:, 0], color="C0", linewidth=2)
    axes.set_xlabel("updates")
    axes.set_ylabel(ylabel)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    return figure


def gap_picture(objective: Array, best: float | None) -> Figure:
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


def norm_picture(norm: Array) -> Figure:
    """‖∇J‖ as used, ``(updates, K)``."""
    figure = _band("‖∇J‖₂, as used", "Norm of the gradient of each update", norm)
    if (norm > 0).all():
        figure.axes[0].set_yscale("log")
    return figure
