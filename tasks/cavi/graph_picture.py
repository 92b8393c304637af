"""The graphical model in plate notation."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle

from elbolab.pictures import new_figure
from tasks.cavi.model import WeightPrior

__all__ = ["graph_picture"]

RADIUS = 0.33

NODES = {
    "z": (2.0, 2.3),
    "s": (3.2, 1.3),
    "x": (3.2, 3.3),
    "lambda": (5.2, 1.3),
    "mu": (5.2, 3.3),
}
"""Places of the random variables."""

CONSTANTS = {
    "α": (6.9, 1.0, "lambda"),
    "β": (6.9, 1.6, "lambda"),
    "ν": (6.9, 3.0, "mu"),
    "ρ": (6.9, 3.6, "mu"),
    "τ": (3.2, 4.6, "x"),
}
"""Places of the constants and what they point to."""

EDGES = (("z", "s"), ("z", "x"), ("lambda", "s"), ("mu", "x"))

SEEN = ("s", "x")


def graph_picture(log: bool, weights: WeightPrior) -> Figure:
    """Plates of N events and K components; grey is observed, a dot is a constant.

    Args:
        log: Positions are log-normal distances.
        weights: The prior of π: a constant, or drawn from a Dirichlet.
    """
    figure = new_figure(7, 4.6)
    axes = figure.add_subplot()
    position = "$R_n$" if log else "$X_n$"
    labels = {"z": "$Z_n$", "s": "$S_n$", "x": position, "lambda": "$λ_k$", "mu": "$μ_k$"}
    for name, (x, y) in NODES.items():
        _node(axes, x, y, labels[name], name in SEEN)
    for one, two in EDGES:
        _arrow(axes, NODES[one], NODES[two])
    for label, (x, y, child) in CONSTANTS.items():
        _constant(axes, (x, y), label, NODES[child])
    _weights(axes, weights)
    _plate(axes, (1.4, 0.5), 2.5, 3.5, "N events")
    _plate(axes, (4.5, 0.5), 1.5, 3.5, "K epicentres")
    law = "LogNormal(μ, 1/τ)" if log else "N(μ, I/τ)"
    axes.set_title(f"S ~ Poisson(λ), {position} ~ {law}, both of component Z ~ π")
    axes.set_xlim(-1.3, 7.3)
    axes.set_ylim(0.2, 5.0)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure


def _weights(axes: Axes, weights: WeightPrior) -> None:
    if weights.learned:
        _node(axes, 0.6, 2.3, "π", False)
        _arrow(axes, (0.6, 2.3), NODES["z"])
        _constant(axes, (-0.7, 2.3), "c", (0.6, 2.3))
    else:
        _constant(axes, (0.4, 2.3), "π", NODES["z"])


def _node(axes: Axes, x: float, y: float, label: str, seen: bool) -> None:
    face = "lightgrey" if seen else "white"
    axes.add_patch(Circle((x, y), RADIUS, facecolor=face, edgecolor="black", zorder=2))
    axes.text(x, y, label, ha="center", va="center", fontsize=12, zorder=3)


def _constant(
    axes: Axes, place: tuple[float, float], label: str, child: tuple[float, float]
) -> None:
    axes.plot(*place, "o", color="black", markersize=5)
    axes.text(place[0], place[1] + 0.12, label, ha="center", va="bottom", fontsize=11)
    _arrow(axes, place, child)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    dx, dy = end[0] - start[0], end[1] - start[1]
    share = RADIUS / (dx * dx + dy * dy) ** 0.5
    tip = (end[0] - share * dx, end[1] - share * dy)
    axes.add_patch(
        FancyArrowPatch(
            start, tip, arrowstyle="-|>", mutation_scale=12, shrinkA=0, shrinkB=0, color="black"
        )
    )


def _plate(axes: Axes, corner: tuple[float, float], width: float, height: float, name: str) -> None:
    axes.add_patch(Rectangle(corner, width, height, fill=False, linewidth=1))
    x, y = corner[0] + width - 0.08, corner[1] + 0.08
    axes.text(x, y, name, ha="right", va="bottom", fontsize=9)
