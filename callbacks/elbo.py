"""The ELBO monitor: exact figures of the bound for every stage, and the curves that tell a run."""

from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from callbacks.pictures import EpochPicture
from callbacks.trainer_facts import log_interval
from elbolab.pictures import new_figure

__all__ = ["ElboMonitor", "EvidenceMetric"]


class EvidenceMetric(Metric):
    """Sums over examples from which every figure of the bound follows exactly.

    Sums, not means of batch means: neither the batch size nor the number of processes shows.

    Args:
        latent_dim: Number d of latent dimensions.
    """

    full_state_update = False
    examples: Tensor
    reconstruction: Tensor
    elbo_squared: Tensor
    kl: Tensor
    mean: Tensor
    mean_squared: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        for name in ("examples", "reconstruction", "elbo_squared"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")
        for name in ("kl", "mean", "mean_squared"):
            self.add_state(name, torch.zeros(latent_dim), dist_reduce_fx="sum")

    def update(
        self, reconstruction: Tensor, kl: Tensor, posterior_mean: Tensor | None = None
    ) -> None:
        """Adds B examples: reconstruction ``(B,)``, kl and posterior mean ``(B, d)``."""
        dtype = self.examples.dtype
        reconstruction, kl = reconstruction.to(dtype), kl.to(dtype)
        self.examples += len(reconstruction)
        self.reconstruction += reconstruction.sum()
        self.elbo_squared += (reconstruction - kl.sum(1)).square().sum()
        self.kl += kl.sum(0)
        if posterior_mean is not None:
            self.mean += posterior_mean.to(dtype).sum(0)
            self.mean_squared += posterior_mean.to(dtype).square().sum(0)

    def compute(self) -> dict[str, Tensor]:
        """The bound and its terms in nats per example.

        Returns:
            ``elbo``, ``elbo_standard_error``, ``reconstruction`` and ``kl``, scalars;
            ``kl_per_dimension`` ``(d,)``; ``posterior_mean_variance`` ``(d,)``, the variance of
            the posterior's mean over examples.
        """
        n = self.examples
        reconstruction, kl = self.reconstruction / n, self.kl / n
        elbo = reconstruction - kl.sum()
        variance = (self.elbo_squared / n - elbo.square()).clamp_min(0)
        return {
            "elbo": elbo,
            "elbo_standard_error": (variance / n).sqrt(),
            "reconstruction": reconstruction,
            "kl": kl.sum(),
            "kl_per_dimension": kl,
            "posterior_mean_variance": self.mean_squared / n - (self.mean / n).square(),
        }


class ElboMonitor(EpochPicture):
    """Logs the bound's terms in nats per example, for any module whose steps return them.

    A step returns ``reconstruction`` ``(B,)`` and ``kl`` ``(B, d)``, and in evaluation
    ``posterior_mean`` ``(B, d)`` too. Logged are ``*/elbo``, ``*/elbo_standard_error``,
    ``*/reconstruction`` and ``*/kl``; in evaluation ``*/active_units`` and, to the logger only,
    ``*/kl_dimension/NN``; in the midst of an epoch ``train/elbo_step``. Drawn are the curve of
    −ELBO and KL against reconstruction, one point an epoch. The training figures of an epoch in
    which a run was resumed are those of the rest of that epoch.

    Args:
        active_unit_threshold: A latent dimension is active when the variance over examples of
            its posterior mean exceeds this. Source: Burda, Grosse & Salakhutdinov,
            *Importance Weighted Autoencoders*, 2016, section 5.1.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(self, active_unit_threshold: float = 0.01, every_n_epochs: int = 10) -> None:
        super().__init__(every_n_epochs)
        self.active_unit_threshold = active_unit_threshold
        self.history: dict[str, list[list[float]]] = {"train": [], "val": []}
        self._metrics: dict[str, EvidenceMetric] = {}
        self._pending: list[tuple[Tensor, Tensor]] = []
        self._flushed_at = 0

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = state_dict["history"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reset("train")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Kept as they are: adding them up costs more than a small model's forward pass, and is
        # done for many steps at once.
        self._pending.append((outputs["reconstruction"], outputs["kl"]))
        step = trainer.global_step
        if step % log_interval(trainer) == 0 and step != self._flushed_at:
            self._flushed_at = step  # a step of several accumulated batches comes here often
            reconstruction, kl = self._flush()
            elbo = (reconstruction - kl.sum(1)).mean()
            pl_module.log("train/elbo_step", elbo, prog_bar=True, logger=False)
            for logger in trainer.loggers:
                logger.log_metrics({"train/elbo_step": elbo.item()}, step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._pending:
            self._flush()
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
        self._metric("val", outputs["kl"]).update(**outputs)

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
        self._metric("test", outputs["kl"]).update(**outputs)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_stage("test", trainer, pl_module)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        if not all(self.history.values()):
            return {}
        return {
            "elbo_curve": _elbo_curve(self.history),
            "kl_against_reconstruction": _kl_against_reconstruction(self.history["val"]),
        }

    def _reset(self, stage: str) -> None:
        if stage in self._metrics:
            self._metrics[stage].reset()

    def _metric(self, stage: str, kl: Tensor) -> EvidenceMetric:
        """The stage's sums, made when the first ``kl`` ``(B, d)`` shows d and the device."""
        if stage not in self._metrics:
            metric = EvidenceMetric(kl.shape[1]).to(kl.device)
            if kl.device.type != "mps":  # Apple's GPUs have no float64
                metric.set_dtype(torch.float64)
            self._metrics[stage] = metric
        return self._metrics[stage]

    def _flush(self) -> tuple[Tensor, Tensor]:
        """Adds the waiting training steps to the epoch's sums and returns them joined."""
        reconstruction, kl = (torch.cat(terms) for terms in zip(*self._pending, strict=True))
        self._pending.clear()
        self._metric("train", kl).update(reconstruction, kl)
        return reconstruction, kl

    def _log_stage(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> None:
        # Already summed over processes; sync_dist only tells Lightning not to warn.
        found = self._metrics[stage].compute()
        kl, spread = found.pop("kl_per_dimension"), found.pop("posterior_mean_variance")
        if stage != "train":
            found["active_units"] = (spread > self.active_unit_threshold).sum().double()
            for logger in trainer.loggers:
                each = {f"{stage}/kl_dimension/{i:02d}": float(v) for i, v in enumerate(kl)}
                logger.log_metrics(each, trainer.global_step)
        if stage in self.history and not trainer.sanity_checking:
            point = [
                trainer.current_epoch + 1,
                *(float(found[k]) for k in ("reconstruction", "kl")),
            ]
            self.history[stage].append(point)
        values = {f"{stage}/{name}": value.float() for name, value in found.items()}
        shown = values.pop(f"{stage}/elbo")
        pl_module.log(
            f"{stage}/elbo", shown, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True
        )
        pl_module.log_dict(values, on_step=False, on_epoch=True, sync_dist=True)


def _elbo_curve(history: dict[str, list[list[float]]]) -> Figure:
    figure = new_figure(6.0, 4.0)
    axes = figure.add_subplot()
    for stage, label in (("train", "training"), ("val", "validation")):
        epochs, reconstruction, kl = zip(*history[stage], strict=True)
        loss = [k - r for r, k in zip(reconstruction, kl, strict=True)]
        axes.plot(epochs, loss, label=f"{label}: {loss[-1]:.2f}", marker=".", markersize=4)
    axes.set(xlabel="epoch", ylabel="−ELBO [nats per image]", title="Negative ELBO per epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def _kl_against_reconstruction(points: list[list[float]]) -> Figure:
    figure = new_figure(6.0, 4.5)
    axes = figure.add_subplot()
    epochs, reconstruction, kl = zip(*points, strict=True)
    axes.plot(reconstruction, kl, color="0.8", zorder=1)
    scatter = axes.scatter(reconstruction, kl, c=epochs, s=16, zorder=2)
    figure.colorbar(scatter, label="epoch").locator = MaxNLocator(integer=True)
    axes.set(
        xlabel="reconstruction E[log p(x|z)] [nats per image]",
        ylabel="KL(q(z|x) ‖ p(z)) [nats per image]",
        title="KL against reconstruction, one point an epoch",
    )
    axes.grid(alpha=0.3)
    return figure
