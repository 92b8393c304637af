"""The Hyvärinen monitor: exact figures of score models, overall and per band of noise levels."""

from typing import Any

import torch
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from callbacks.contracts import ScoreBased, require
from callbacks.monitors.stage_monitor import (
    EpochFigures,
    LabelledCurves,
    Rows,
    StageMonitor,
    curve_picture,
    draw_curves,
)
from elbolab.checks import check_at_least_one
from elbolab.pictures import new_figure

__all__ = ["HyvarinenMonitor", "LevelMetric"]


DIVERGENCE = "fisher_divergence"
"""It falls by orders of magnitude while the losses beside it hardly move."""


class LevelMetric(Metric):
    """Sums over examples of several quantities, in bands of about equally many noise levels.

    Args:
        steps: K; levels are 1, …, K.
        bands: Number of bands.
        names: Of the quantities.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, steps: int, bands: int, names: list[str]) -> None:
        super().__init__()
        self.steps, self.bands, self.names = steps, bands, names
        self.add_state("total", torch.zeros(len(names), bands), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(bands), dist_reduce_fx="sum")

    def update(self, k: Tensor, **values: Tensor) -> None:
        """Adds B examples: their levels k ``(B,)`` and each quantity ``(B,)``."""
        band = (k - 1) * self.bands // self.steps
        rows = torch.stack([values[name] for name in self.names]).to(self.total)
        self.total.index_add_(1, band, rows)
        self.count.index_add_(0, band, torch.ones_like(band, dtype=self.count.dtype))

    def compute(self) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Means over all examples, and those of each band that has any, by its levels."""
        overall = self.total.sum(1) / self.count.sum()
        seen = [b for b in range(self.bands) if self.count[b] > 0]
        per_band = {
            name: {self.label(b): self.total[i, b] / self.count[b] for b in seen}
            for i, name in enumerate(self.names)
        }
        return dict(zip(self.names, overall, strict=True)), per_band

    def label(self, band: int) -> str:
        """First and last level of a band, such as ``001-050``."""
        first = -(-band * self.steps // self.bands) + 1
        last = -(-(band + 1) * self.steps // self.bands)
        return f"{first:03d}-{last:03d}"


class HyvarinenMonitor(StageMonitor):
    """Logs what score models return per noise level: ``k`` ``(B,)`` and ``by_level`` of ``(B,)``s.

    Logged are the mean of each quantity, ``val/hyvarinen`` for one, and its mean in each band of
    levels, ``val/hyvarinen_band/001-050``; where the true score is known, ``*/hyvarinen_excess``
    over it, an estimate of half the Fisher divergence; in the midst of an epoch ``train/…_step``.
    Drawn is the loss per epoch, and the latest one per band.

    Args:
        bands: Bands into which the levels 1 … K are divided, at least 1.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.

    Raises:
        UserError: If there is no band.
    """

    def __init__(self, bands: int = 6, every_n_epochs: int = 10) -> None:
        super().__init__(every_n_epochs)
        check_at_least_one(bands=bands)
        self.bands = bands
        self._per_band: dict[str, dict[str, float]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, ScoreBased, self)

    def rows(self, outputs: dict[str, Any]) -> Rows:
        return {"k": outputs["k"], **outputs["by_level"]}

    def new_metric(self, pl_module: LightningModule, rows: Rows) -> Metric:
        steps = require(pl_module, ScoreBased, self).schedule.steps
        return LevelMetric(steps, self.bands, [name for name in rows if name != "k"])

    def in_step(self, rows: Rows) -> dict[str, Tensor]:
        return {name: value.mean() for name, value in rows.items() if name != "k"}

    def figures(self, stage: str, metric: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        shown, per_band = metric.compute()
        if "hyvarinen_true" in shown:
            shown["hyvarinen_excess"] = shown["hyvarinen"] - shown["hyvarinen_true"]
        if stage == "val":
            self._per_band = {
                name: {band: value.item() for band, value in bands.items()}
                for name, bands in per_band.items()
            }
        for name, bands in per_band.items():
            shown |= {f"{name}_band/{band}": value for band, value in bands.items()}
        return shown, {}

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        figures = {}
        if all(self.history.values()):
            figures["loss_curve"] = _loss_curve(self.history)
        if self._per_band:
            figures["noise_bands"] = _noise_bands(self._per_band)
        return figures


def _loss_curve(history: dict[str, list[EpochFigures]]) -> Figure:
    """The losses, and where it is known the Fisher divergence on an axis that shows its fall."""
    losses: LabelledCurves = {}
    for label, points in zip(
        ("training, its shares of levels", "validation"), history.values(), strict=True
    ):
        for name in points[0]:
            if name not in ("epoch", "hyvarinen_excess", DIVERGENCE) and "/" not in name:
                losses[f"{label}, {name.replace('_', ' ')}"] = _curve(points, name)
    title, unit = "Score matching per epoch", "λ-weighted mean"
    if DIVERGENCE not in history["val"][0]:
        return curve_picture(losses, unit, title)
    figure = new_figure(10.5, 4.0)
    left, right = figure.subplots(1, 2)
    draw_curves(left, losses, unit, title)
    divergence = {"validation": _curve(history["val"], DIVERGENCE)}
    draw_curves(right, divergence, f"{unit}, logarithmic", "Fisher divergence from the true score")
    right.set_yscale("log")
    right.grid(which="minor", alpha=0.15)
    return figure


def _curve(points: list[EpochFigures], name: str) -> tuple[list[float], list[float]]:
    return [point["epoch"] for point in points], [point[name] for point in points]


def _noise_bands(per_band: dict[str, dict[str, float]]) -> Figure:
    names = [name for name in per_band if name != "hyvarinen_true"]
    figure = new_figure(4.5 * len(names), 3.6)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        bands = per_band[name]
        axes.bar(list(bands), list(bands.values()), label="learned")
        if name == "hyvarinen" and "hyvarinen_true" in per_band:
            true = per_band["hyvarinen_true"].values()
            axes.plot(list(bands), list(true), "k_", markersize=24, label="true score")
            axes.legend(fontsize=8)
        if min(bands.values()) > 0:
            axes.set_yscale("log")
        readable = f"λ-weighted {name.replace('_', ' ')}"
        axes.set(xlabel="noise levels k", ylabel=readable, title="Validation")
        axes.tick_params(axis="x", labelsize=7)
    return figure
