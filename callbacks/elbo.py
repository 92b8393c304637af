"""The ELBO monitor: exact figures of the bound for every stage, and the curves that tell a run."""

from collections.abc import Mapping, Sequence
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
        shapes: Shape of each quantity for one example, by name: ``reconstruction`` and ``kl``,
            and where a step returns them ``bound``, ``nll`` and ``posterior_mean``.
    """

    full_state_update = False
    examples: Tensor

    def __init__(self, shapes: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self.names = (*shapes, "elbo")
        self.add_state("examples", torch.zeros(()), dist_reduce_fx="sum")
        for name, shape in {**shapes, "elbo": ()}.items():
            self.add_state(f"{name}_sum", torch.zeros(tuple(shape)), dist_reduce_fx="sum")
            self.add_state(f"{name}_squares", torch.zeros(tuple(shape)), dist_reduce_fx="sum")

    def update(self, **terms: Tensor) -> None:
        """Adds B examples: reconstruction ``(B,)``, kl ``(B, d)`` and the others by name."""
        terms = {name: value.to(self.examples.dtype) for name, value in terms.items()}
        terms["elbo"] = terms["reconstruction"] - terms["kl"].sum(1)
        self.examples += len(terms["elbo"])
        for name in self.names:
            total, squares = getattr(self, f"{name}_sum"), getattr(self, f"{name}_squares")
            total += terms[name].sum(0)
            squares += terms[name].square().sum(0)

    def compute(self) -> dict[str, Tensor]:
        """The bound and its terms in nats per example.

        Returns:
            ``elbo``, ``elbo_standard_error``, ``reconstruction``, ``kl`` and where there are such
            ``bound``, ``nll`` and ``nll_standard_error``, scalars; ``kl_per_dimension`` ``(d,)``;
            ``posterior_mean_variance`` ``(d,)``, the variance over examples of the posterior's
            mean, summed over what one latent has beyond one number.
        """
        mean = {name: getattr(self, f"{name}_sum") / self.examples for name in self.names}
        variance = {
            name: (getattr(self, f"{name}_squares") / self.examples - value.square()).clamp_min(0)
            for name, value in mean.items()
        }
        for name in {"elbo", "nll"} & mean.keys():
            mean[f"{name}_standard_error"] = (variance[name] / self.examples).sqrt()
        if "posterior_mean" in mean:
            del mean["posterior_mean"]
            spread = variance["posterior_mean"]
            mean["posterior_mean_variance"] = spread.reshape(len(spread), -1).sum(1)
        return {**mean, "kl": mean["kl"].sum(), "kl_per_dimension": mean["kl"]}


class ElboMonitor(EpochPicture):
    """Logs the bound's terms in nats per example, for any module whose steps return them.

    A step returns ``reconstruction`` ``(B,)`` and ``kl`` ``(B, d)``, or ``(B, 1)`` where it has
    no dimensions, and where it can ``bound`` and ``nll`` ``(B,)``; in evaluation
    ``posterior_mean`` ``(B, d)`` too. Logged are ``*/elbo``, ``*/reconstruction``, ``*/kl``,
    ``*/bound`` and ``*/nll``, and standard errors; in evaluation ``*/active_units`` and, to the
    logger only, ``*/kl_dimension/NN``; in the midst of an epoch ``train/elbo_step``. Drawn are the
    curve of −ELBO and KL against reconstruction, one point an epoch. The training figures of an
    epoch in which a run was resumed are those of the rest of that epoch.

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
        self._pending: list[dict[str, Tensor]] = []
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
        self._pending.append({name: outputs[name] for name in outputs if name != "loss"})
        step = trainer.global_step
        if step % log_interval(trainer) == 0 and step != self._flushed_at:
            self._flushed_at = step  # a step of several accumulated batches comes here often
            terms = self._flush()
            elbo = (terms["reconstruction"] - terms["kl"].sum(1)).mean()
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
        self._metric("val", outputs).update(**outputs)

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
        self._metric("test", outputs).update(**outputs)

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

    def _metric(self, stage: str, terms: Mapping[str, Tensor]) -> EvidenceMetric:
        """The stage's sums, made when the first terms show their shapes and the device."""
        if stage not in self._metrics:
            device = terms["kl"].device
            metric = EvidenceMetric({n: term.shape[1:] for n, term in terms.items()}).to(device)
            if device.type != "mps":  # Apple's GPUs have no float64
                metric.set_dtype(torch.float64)
            self._metrics[stage] = metric
        return self._metrics[stage]

    def _flush(self) -> dict[str, Tensor]:
        """Adds the waiting training steps to the epoch's sums and returns them joined."""
        terms = {
            name: torch.cat([step[name] for step in self._pending]) for name in self._pending[0]
        }
        self._pending.clear()
        self._metric("train", terms).update(**terms)
        return terms

    def _log_stage(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> None:
        # Already summed over processes; sync_dist only tells Lightning not to warn.
        found = self._metrics[stage].compute()
        kl, spread = found.pop("kl_per_dimension"), found.pop("posterior_mean_variance", None)
        if spread is not None:
            found["active_units"] = (spread > self.active_unit_threshold).sum().double()
        if stage != "train" and len(kl) > 1:
            each = {f"{stage}/kl_dimension/{i:02d}": float(v) for i, v in enumerate(kl)}
            for logger in trainer.loggers:
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
