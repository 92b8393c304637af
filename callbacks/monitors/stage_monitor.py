"""The base of monitors: what steps return for each example becomes exact figures of each stage."""

from abc import abstractmethod
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from callbacks.listener import EvaluationListener, EvaluationStage
from callbacks.pictures.epoch_picture import EpochPicture
from callbacks.trainer_facts import log_interval
from elbolab.pictures import new_figure

__all__ = ["EpochFigures", "LabelledCurves", "Rows", "StageMonitor", "curve_picture", "draw_curves"]

Rows = dict[str, Tensor]
"""Tensors by name whose rows belong to examples, ``(B, …)`` each."""

EpochFigures = dict[str, float]
"""The figures of one epoch by name, and ``epoch``, its number from 1."""

LabelledCurves = dict[str, tuple[list[float], list[float]]]
"""Label → epochs and values."""


class StageMonitor(EpochPicture, EvaluationListener):
    """Adds up what a module's steps return and logs the figures of each stage when it ends.

    The sums run over examples, in float64 where the device has it, and are joined over processes:
    neither the batch size nor the number of processes shows. A new monitor writes ``rows``,
    ``new_metric``, ``in_step`` and ``figures``. A checkpoint holds the sums of its epoch: the
    training figures of an epoch in which a run was resumed are those of the whole.

    Args:
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(self, every_n_epochs: int = 10) -> None:
        super().__init__(every_n_epochs)
        self.history: dict[str, list[EpochFigures]] = {"train": [], "val": []}
        self._metrics: dict[str, Metric] = {}
        self._pending: list[Rows] = []
        self._flushed_at = 0
        self._pl_module: LightningModule | None = None
        self._row: Rows = {}
        self._carried: dict[str, Any] = {}

    @abstractmethod
    def rows(self, outputs: dict[str, Any]) -> Rows:
        """Selects from what a step returned the tensors that count, one row per example."""

    @abstractmethod
    def new_metric(self, pl_module: LightningModule, rows: Rows) -> Metric:
        """Builds the sums of a stage from its first rows; they grow by ``update(**rows)``."""

    @abstractmethod
    def in_step(self, rows: Rows) -> dict[str, Tensor]:
        """Computes scalars to show in the midst of a training epoch, as ``train/NAME_step``."""

    @abstractmethod
    def figures(self, stage: str, metric: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Computes the scalars of a finished stage, and others that go to the logger only."""

    def curves(self, quantity: Callable[[EpochFigures], float]) -> LabelledCurves:
        """A quantity of training and of validation over the epochs; empty before both are known."""
        if not all(self.history.values()):
            return {}
        return {
            label: ([point["epoch"] for point in points], [quantity(point) for point in points])
            for label, points in zip(("training", "validation"), self.history.values(), strict=True)
        }

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "epoch": self._sums_of_the_epoch()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = state_dict["history"]
        self._carried = state_dict.get("epoch", {})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pl_module = pl_module
        if self._carried:
            row = {name: value.to(pl_module.device) for name, value in self._carried["row"].items()}
            self._metrics["train"] = metric = self._made(pl_module, row)
            metric.update(**row)
            # What was joined over processes is carried on by one of them.
            for name, value in self._carried["sums"].items() if trainer.is_global_zero else ():
                setattr(metric, name, value.to(pl_module.device))
            if not trainer.is_global_zero:
                metric.reset()
                metric._update_count = 1  # it holds nothing, and joins in as the others do
            self._row = row
        self._carried = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pending.clear()
        self._reset("train")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Kept as they are: adding them up costs more than a small model's forward pass, and is
        # done for many steps at once.
        self._pending.append(self.rows(outputs))
        step = trainer.global_step
        if step % log_interval(trainer) == 0 and step != self._flushed_at:
            self._flushed_at = step  # a step of several accumulated batches comes here often
            for name, value in self.in_step(self._flush(pl_module)).items():
                pl_module.log(f"train/{name}_step", value, prog_bar=True, logger=False)
                for logger in trainer.loggers:
                    logger.log_metrics({f"train/{name}_step": value.item()}, step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._pending:
            self._flush(pl_module)
        self._log_stage("train", trainer, pl_module)
        super().on_train_epoch_end(trainer, pl_module)

    def evaluation_starts(self, stage: EvaluationStage) -> None:
        self._reset(stage)

    def batch_evaluated(
        self, stage: EvaluationStage, pl_module: LightningModule, outputs: Any, batch: Any
    ) -> None:
        if stage != "predict":
            self._add(stage, pl_module, self.rows(outputs))

    def evaluation_ends(
        self, stage: EvaluationStage, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        if stage != "predict":
            self._log_stage(stage, trainer, pl_module)

    def _reset(self, stage: str) -> None:
        if stage in self._metrics:
            self._metrics[stage].reset()

    def _add(self, stage: str, pl_module: LightningModule, rows: Rows) -> None:
        if stage not in self._metrics:
            self._metrics[stage] = self._made(pl_module, rows)
        self._metrics[stage].update(**rows)

    def _made(self, pl_module: LightningModule, rows: Rows) -> Metric:
        """Empty sums, made when the first rows show their shapes and device."""
        device = next(iter(rows.values())).device
        metric = self.new_metric(pl_module, rows).to(device)
        if device.type != "mps":  # Apple's GPUs have no float64
            metric.set_dtype(torch.float64)
        return metric

    def _sums_of_the_epoch(self) -> dict[str, Any]:
        """The sums of training until now, joined over processes, and one row to make them anew."""
        sums, rows = deepcopy(self._metrics.get("train")), self._row
        if self._pending and self._pl_module is not None:
            rows = self._joined()
            sums = sums or self._made(self._pl_module, rows)
            sums.update(**rows)
        if sums is None or not sums.update_called:
            return {}
        sums.sync()
        row = {name: value[:1].detach().cpu() for name, value in rows.items()}
        states: dict[str, Any] = sums.metric_state
        return {
            "sums": {name: value.cpu() for name, value in states.items()},
            "row": row,
        }

    def _joined(self) -> Rows:
        return {
            name: torch.cat([step[name] for step in self._pending]) for name in self._pending[0]
        }

    def _flush(self, pl_module: LightningModule) -> Rows:
        """Adds the waiting training steps to the epoch's sums and returns them joined."""
        rows = self._joined()
        self._row = {name: value[:1] for name, value in rows.items()}
        self._pending.clear()
        self._add("train", pl_module, rows)
        return rows

    def _log_stage(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> None:
        metric = self._metrics.get(stage)
        if metric is None or not metric.update_called:
            return  # an older checkpoint, behind the last batch of its epoch
        shown, logger_only = self.figures(stage, metric)
        for logger in trainer.loggers if logger_only else ():
            values = {f"{stage}/{name}": value.item() for name, value in logger_only.items()}
            logger.log_metrics(values, trainer.global_step)
        if stage in self.history and not trainer.sanity_checking:
            point = {name: value.item() for name, value in shown.items()}
            points, epoch = self.history[stage], trainer.current_epoch + 1
            if stage == "train" and points and points[-1]["epoch"] == epoch:
                points.pop()  # that of its part before max_steps cut it short
            points.append({"epoch": epoch, **point})
        # Already summed over processes; sync_dist only tells Lightning not to warn.
        for number, (name, value) in enumerate(shown.items()):
            pl_module.log(
                f"{stage}/{name}",
                value.float(),
                prog_bar=number == 0,
                on_step=False,
                on_epoch=True,
                sync_dist=True,
            )


def curve_picture(curves: LabelledCurves, unit: str, title: str) -> Figure:
    """One chart of curves over epochs, see `draw_curves`."""
    figure = new_figure(6.0, 4.0)
    draw_curves(figure.add_subplot(), curves, unit, title)
    return figure


def draw_curves(axes: Axes, curves: LabelledCurves, unit: str, title: str) -> None:
    """Draws curves over epochs; the last value of each stands in the legend."""
    for label, (epochs, values) in curves.items():
        axes.plot(epochs, values, label=f"{label}: {values[-1]:.4g}", marker=".", markersize=4)
    axes.set(xlabel="epoch", ylabel=unit, title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
