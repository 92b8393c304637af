"""The likelihood monitor: exact log-likelihoods of every stage, in nats and bits per dimension."""

from typing import Any

import torch
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from callbacks.listener import EvaluationStage
from callbacks.monitors.stage_monitor import Rows, StageMonitor, curve_picture
from elbolab.batches import in_distribution
from lightning_modules.functional.normalising_flow import bits_per_dim

__all__ = ["LikelihoodMetric", "LikelihoodMonitor"]


class LikelihoodMetric(Metric):
    """Sums over examples from which mean, standard error and bits per dimension follow exactly.

    Args:
        dimensions: D, the numbers that one example consists of.
    """

    full_state_update = False
    examples: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions
        for name in ("examples", "total", "squares"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")

    def update(self, log_likelihood: Tensor) -> None:
        """Adds B examples: L ``(B,)`` in nats."""
        values = log_likelihood.to(self.total.dtype)
        self.examples += len(values)
        self.total += values.sum()
        self.squares += values.square().sum()

    def compute(self) -> dict[str, Tensor]:
        """``log_likelihood`` and its standard error in nats per example, and ``bits_per_dim``."""
        mean = self.total / self.examples
        variance = (self.squares / self.examples - mean.square()).clamp_min(0)
        return {
            "log_likelihood": mean,
            "log_likelihood_standard_error": (variance / self.examples).sqrt(),
            "bits_per_dim": bits_per_dim(mean, self.dimensions),
        }


class LikelihoodMonitor(StageMonitor):
    """Logs ``*/log_likelihood``, its standard error and ``*/bits_per_dim``, and draws the curve.

    For any module with a ``shape`` whose steps return ``log_likelihood`` ``(B,)`` in nats. Where a
    test holds out-of-distribution images too, those do not count.
    """

    def rows(self, outputs: dict[str, Any]) -> Rows:
        return {"log_likelihood": outputs["log_likelihood"]}

    def new_metric(self, pl_module: Any, rows: Rows) -> LikelihoodMetric:
        return LikelihoodMetric(pl_module.shape.numel())

    def in_step(self, rows: Rows) -> dict[str, Tensor]:
        return {"log_likelihood": rows["log_likelihood"].mean()}

    def figures(
        self, stage: str, metric: LikelihoodMetric
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return metric.compute(), {}

    def batch_evaluated(
        self, stage: EvaluationStage, pl_module: LightningModule, outputs: Any, batch: Any
    ) -> None:
        counted = {"log_likelihood": outputs["log_likelihood"][in_distribution(batch)]}
        super().batch_evaluated(stage, pl_module, counted, batch)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        curves = self.curves(lambda epoch: epoch["log_likelihood"])
        if not curves:
            return {}
        title = "Log-likelihood per epoch"
        return {"log_likelihood": curve_picture(curves, "nats per image", title)}
