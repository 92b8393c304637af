"""The learned score field beside the true one, as arrows over the density."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from callbacks.contracts import ScoreBased, TrueScore, require
from callbacks.pictures.epoch_picture import EpochPicture
from callbacks.pictures.point_pictures import REACH
from elbolab.checks import check_in
from elbolab.pictures import new_figure
from lightning_modules.functional.score import DifferentiableScore

__all__ = ["ScoreFieldPicture", "chosen_levels", "plane"]

VISIBLE = 8.0
"""Nats below the largest log-density down to which pictures go."""

SHARES = (5 / 300, 25 / 300, 60 / 300, 120 / 300, 1.0)
"""Noise levels shown by default, as shares of K."""


class ScoreFieldPicture(EpochPicture):
    """Arrows of the learned and the true score at several noise levels, over log p_k.

    Both fields of a level have one scale. For score models of points in the plane whose true score
    is known.

    Args:
        levels: Noise levels k shown, each in {1, …, K}; five of them by default, more of the low.
        arrows: Arrows per axis; they are drawn where log p_k is within 8 nats of its maximum.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(
        self,
        levels: Sequence[int] | None = None,
        arrows: int = 31,
        every_n_epochs: int = 10,
    ) -> None:
        super().__init__(every_n_epochs)
        self.levels, self.arrows = levels, arrows

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        module = require(pl_module, TrueScore, self)
        self.levels = chosen_levels(self.levels, SHARES, module, self)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        module = require(pl_module, TrueScore, self)
        fields: dict[str, DifferentiableScore] = {"learned": module.score, "true": module.truth}
        levels = list(self.levels or ())
        figure = new_figure(2.9 * len(levels), 6.1)
        panels = figure.subplots(2, len(levels), squeeze=False, sharex=True, sharey=True)
        points, pixels = (plane(n, pl_module.device) for n in (self.arrows, 120))
        for column, level in zip(panels.T, levels, strict=True):
            k = torch.tensor(level, device=pl_module.device)
            density = module.truth.log_prob(pixels, k).view(120, 120).cpu().numpy()
            shown = points[_within(module.truth.log_prob(points, k))]
            longest = float(module.truth(shown, k).norm(dim=1).max())
            for axes, (name, field) in zip(column, fields.items(), strict=True):
                _background(axes, density)
                _arrows(axes, shown, field(shown, k), longest * self.arrows / 3)
                axes.set_title(f"{name}, k = {level}", fontsize=9)
        title = "Scores over log p_k, learned and true to the same scale"
        figure.suptitle(f"{title}, after epoch {trainer.current_epoch + 1}", fontsize=10)
        return {"score_field": figure}


def plane(n: int, device: torch.device) -> Tensor:
    """A square grid of ``n²`` points of the window, ``(n², 2)``, row by row from below."""
    line = torch.linspace(-REACH, REACH, n, device=device)
    return torch.cartesian_prod(line, line).flip(1)


def _within(log_density: Tensor) -> Tensor:
    return log_density > log_density.max() - VISIBLE


def chosen_levels(
    levels: Sequence[int] | None, shares: Sequence[float], module: ScoreBased, callback: object
) -> list[int]:
    """The noise levels that a picture shows.

    Args:
        levels: Those that were asked for.
        shares: Which ones otherwise, as shares of K.
        module: The score model.
        callback: The picture.

    Raises:
        UserError: If the model's schedule has not all of them.
    """
    steps = module.schedule.steps
    if levels is None:
        return sorted({max(1, round(share * steps)) for share in shares})
    check_in(f"[1, {steps}]", **{f"{type(callback).__name__}.levels": levels})
    return list(levels)


def _background(axes: Axes, log_density: np.ndarray) -> None:
    top = log_density.max()
    axes.imshow(
        log_density,
        extent=(-REACH, REACH, -REACH, REACH),
        origin="lower",
        vmin=top - VISIBLE,
        vmax=top,
        cmap="Blues",
        alpha=0.8,
    )


def _arrows(axes: Axes, points: Tensor, s: Tensor, scale: float) -> None:
    (x, y), (u, v) = points.T.cpu().numpy(), s.T.cpu().numpy()
    axes.quiver(x, y, u, v, scale=scale, width=0.004, color="0.15")
