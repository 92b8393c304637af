"""The Hyvärinen monitor: exact figures of score models, overall and per band of noise levels."""

from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from callbacks.pictures import EpochPicture
from callbacks.trainer_facts import ScoreBased, log_interval, require
from elbolab.errors import UserError
from elbolab.pictures import new_figure

__all__ = ["HyvarinenMonitor", "LevelMetric"]


class LevelMetric(Metric):
    """Sums over examples of several quantities, in bands of about equally many noise levels.

    Args:
        steps: K; levels are 1, …, K.
        bands: Number of bands.
        names: What the quantities are called.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, steps: int, bands: int, names: list[str]) -> None:
        super().__init__()
        self.steps, self.bands, self.names = steps, bands, names
        self.add_state("total", torch.zeros(len(names), bands), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(bands), dist_reduce_fx="sum")

    def update(self, k: Tensor, values: dict[str, Tensor]) -> None:
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


class HyvarinenMonitor(EpochPicture):
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
        if bands < 1:
            raise UserError(f"bands must be at least 1, got {bands}.")
        self.bands = bands
        self.history: dict[str, list[dict[str, float]]] = {"train": [], "val": []}
        self._per_band: dict[str, dict[str, float]] = {}
        self._metrics: dict[str, LevelMetric] = {}
        self._pending: list[dict[str, Any]] = []
        self._flushed_at = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, ScoreBased, self)

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = state_dict["history"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pending.clear()
        self._reset("train")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._pending.append(outputs)  # added up for many steps at once, as in the ELBO monitor
        step = trainer.global_step
        if step % log_interval(trainer) == 0 and step != self._flushed_at:
            self._flushed_at = step  # a step of several accumulated batches comes here often
            for name, value in self._flush(pl_module).items():
                pl_module.log(f"train/{name}_step", value, prog_bar=True, logger=False)
                for logger in trainer.loggers:
                    logger.log_metrics({f"train/{name}_step": value.item()}, step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._pending:
            self._flush(pl_module)
        self._log_stage("train", trainer, pl_module)
        super().on_train_epoch_end(trainer, pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reset("val")

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._add("val", pl_module, outputs["k"], outputs["by_level"])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_stage("val", trainer, pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reset("test")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._add("test", pl_module, outputs["k"], outputs["by_level"])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_stage("test", trainer, pl_module)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        figures = {}
        if all(self.history.values()):
            figures["loss_curve"] = _loss_curve(self.history)
        if self._per_band:
            figures["noise_bands"] = _noise_bands(self._per_band)
        return figures

    def _reset(self, stage: str) -> None:
        if stage in self._metrics:
            self._metrics[stage].reset()

    def _add(self, stage: str, module: Any, k: Tensor, values: dict[str, Tensor]) -> None:
        if stage not in self._metrics:
            metric = LevelMetric(module.schedule.steps, self.bands, list(values)).to(k.device)
            if k.device.type != "mps":  # Apple's GPUs have no float64
                metric.set_dtype(torch.float64)
            self._metrics[stage] = metric
        self._metrics[stage].update(k, values)

    def _flush(self, module: LightningModule) -> dict[str, Tensor]:
        """Adds the waiting training steps to the epoch's sums and returns their means."""
        k = torch.cat([step["k"] for step in self._pending])
        names = self._pending[0]["by_level"]
        values = {n: torch.cat([step["by_level"][n] for step in self._pending]) for n in names}
        self._pending.clear()
        self._add("train", module, k, values)
        return {name: value.mean() for name, value in values.items()}

    def _log_stage(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> None:
        # Already summed over processes; sync_dist only tells Lightning not to warn.
        overall, per_band = self._metrics[stage].compute()
        if "hyvarinen_true" in overall:
            overall["hyvarinen_excess"] = overall["hyvarinen"] - overall["hyvarinen_true"]
        if stage in self.history and not trainer.sanity_checking:
            point = {name: float(value) for name, value in overall.items()}
            self.history[stage].append({"epoch": trainer.current_epoch + 1, **point})
        if stage == "val":
            self._per_band = {
                name: {band: float(value) for band, value in bands.items()}
                for name, bands in per_band.items()
            }
        values = {f"{stage}/{name}": value.float() for name, value in overall.items()}
        for name, bands in per_band.items():
            values |= {f"{stage}/{name}_band/{b}": value.float() for b, value in bands.items()}
        pl_module.log_dict(values, on_step=False, on_epoch=True, sync_dist=True)


def _loss_curve(history: dict[str, list[dict[str, float]]]) -> Figure:
    figure = new_figure(6.0, 4.0)
    axes = figure.add_subplot()
    for stage, label in (("train", "training, its shares of levels"), ("val", "validation")):
        points = history[stage]
        epochs = [point["epoch"] for point in points]
        for name in (n for n in points[0] if n not in ("epoch", "hyvarinen_excess")):
            values = [point[name] for point in points]
            readable = name.replace("_", " ")
            axes.plot(epochs, values, label=f"{label}, {readable}: {values[-1]:.3g}")
    axes.set(xlabel="epoch", ylabel="λ-weighted mean", title="Score matching per epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    return figure


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
