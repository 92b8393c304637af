"""The accuracy monitor of classifiers."""

from typing import Any

import torch
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from callbacks.monitors.stage_monitor import Rows, StageMonitor, curve_picture

__all__ = ["AccuracyMonitor", "ClassMetric"]


class ClassMetric(Metric):
    """Sums of right guesses and of cross-entropies, by true label.

    Args:
        classes: Number of labels 0, 1, …
    """

    full_state_update = False
    examples: Tensor
    right: Tensor
    entropy: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        for name in ("examples", "right", "entropy"):
            self.add_state(name, torch.zeros(classes), dist_reduce_fx="sum")

    def update(self, label: Tensor, correct: Tensor, cross_entropy: Tensor) -> None:
        """Adds B examples, ``(B,)`` each."""
        self.examples.index_add_(0, label, torch.ones_like(correct, dtype=self.examples.dtype))
        self.right.index_add_(0, label, correct.to(self.right))
        self.entropy.index_add_(0, label, cross_entropy.detach().to(self.entropy))

    def compute(self) -> dict[str, Tensor]:
        """Accuracy, its standard error and cross-entropy, and the accuracy of each label seen."""
        n = self.examples.sum()
        accuracy = self.right.sum() / n
        overall = {
            "accuracy": accuracy,
            "accuracy_standard_error": (accuracy * (1 - accuracy) / n).sqrt(),
            "cross_entropy": self.entropy.sum() / n,
        }
        seen = self.examples.nonzero().flatten().tolist()
        return overall | {f"accuracy_label/{y}": self.right[y] / self.examples[y] for y in seen}


class AccuracyMonitor(StageMonitor):
    """Logs ``*/accuracy`` in [0, 1], ``*/cross_entropy`` in nats, and ``*/accuracy_label/Y``.

    For modules whose steps return ``label``, ``correct`` and ``cross_entropy``, ``(B,)`` each.

    Args:
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def rows(self, outputs: dict[str, Any]) -> Rows:
        return {name: outputs[name].detach() for name in ("label", "correct", "cross_entropy")}

    def new_metric(self, pl_module: LightningModule, rows: Rows) -> Metric:
        return ClassMetric(int(pl_module.hparams["classes"]))

    def in_step(self, rows: Rows) -> dict[str, Tensor]:
        return {"cross_entropy": rows["cross_entropy"].mean()}

    def figures(self, stage: str, metric: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return metric.compute(), {}

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        curves = self.curves(lambda epoch: 100 * (1 - epoch["accuracy"]))
        if not curves:
            return {}
        return {"error_curve": curve_picture(curves, "wrong [%]", "Errors of the classifier")}
