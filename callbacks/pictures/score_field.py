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
from elbolab.errors import UserError
from elbolab.pictures import new_figure
from lightning_modules.functional.score import Score

__all__ = ["ScoreFieldPicture", "check_levels", "plane"]

VISIBLE = 8.0
"""Nats below the largest log-density down to which pictures go."""


class ScoreFieldPicture(EpochPicture):
    """Arrows of the learned and the true score at several noise levels, over log p_k.

    Both fields of a level have one scale. For score models of points in the plane whose true score
    is known.

    Args:
        levels: Noise levels k shown, each in {1, …, K}.
        arrows: Arrows per axis; they are drawn where log p_k is within 8 nats of its maximum.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(
        self,
        levels: Sequence[int] = (5, 25, 60, 120, 300),
        arrows: int = 31,
        every_n_epochs: int = 10,
    ) -> None:
        super().__init__(every_n_epochs)
        self.levels, self.arrows = list(levels), arrows

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_levels(self.levels, require(pl_module, TrueScore, self), self)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        module = require(pl_module, TrueScore, self)
        fields: dict[str, Score] = {"learned": module.score, "true": module.truth}
        figure = new_figure(2.9 * len(self.levels), 6.1)
        panels = figure.subplots(2, len(self.levels), squeeze=False, sharex=True, sharey=True)
        points, pixels = (plane(n, pl_module.device) for n in (self.arrows, 120))
        for column, level in zip(panels.T, self.levels, strict=True):
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


def check_levels(levels: Sequence[int], module: ScoreBased, callback: object) -> None:
    """Refuses noise levels that the module's schedule has not.

    Raises:
        UserError: Naming the level.
    """
    highest = module.schedule.steps
    for level in levels:
        if not 1 <= level <= highest:
            name = type(callback).__name__
            raise UserError(f"{name}: levels must be between 1 and {highest}, got {level}.")


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
