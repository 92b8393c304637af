"""The ELBO monitor: exact figures of the bound for every stage, and the curves that tell a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from callbacks.monitors.stage_monitor import EpochFigures, Rows, StageMonitor, curve_picture
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

    def compute(self) -> dict[str, Any]:
        """The bound and its terms in nats per example.

        Returns:
            ``elbo``, ``elbo_standard_error``, ``reconstruction``, ``kl`` and where there are such
            ``bound``, ``nll`` and ``nll_standard_error``, scalars; ``kl_per_dimension`` of d
            scalars; ``posterior_mean_variance`` of d scalars too, the variance over examples of
            the posterior's mean, summed over what one latent has beyond one number.
        """
        # Several scalars and no vector: torchmetrics makes a scalar of a vector of length one.
        mean: dict[str, Any] = {
            name: getattr(self, f"{name}_sum") / self.examples for name in self.names
        }
        variance = {
            name: (getattr(self, f"{name}_squares") / self.examples - value.square()).clamp_min(0)
            for name, value in mean.items()
        }
        for name in {"elbo", "nll"} & mean.keys():
            mean[f"{name}_standard_error"] = (variance[name] / self.examples).sqrt()
        if "posterior_mean" in mean:
            del mean["posterior_mean"]
            spread = variance["posterior_mean"]
            mean["posterior_mean_variance"] = spread.reshape(len(spread), -1).sum(1).unbind()
        return {**mean, "kl": mean["kl"].sum(), "kl_per_dimension": mean["kl"].unbind()}


class ElboMonitor(StageMonitor):
    """Logs the bound's terms in nats per example, for any module whose steps return them.

    A step returns ``reconstruction`` ``(B,)`` and ``kl`` ``(B, d)``, or ``(B, 1)`` where it has
    no dimensions, and where it can ``bound`` and ``nll`` ``(B,)``; in evaluation
    ``posterior_mean`` ``(B, d)`` too. Logged are ``*/elbo``, ``*/reconstruction``, ``*/kl``,
    ``*/bound`` and ``*/nll``, and standard errors; beside ``*/nll`` the number of its draws,
    ``*/nll_samples``; and where a step says of an image that it is not ``normalised``, that its
    likelihood is no density, ``*/nll_unnormalised`` in its place. In evaluation there are
    ``*/active_units`` and, to the logger only, ``*/kl_dimension/NN``; in the midst of an epoch
    ``train/elbo_step``. Drawn are the curve of −ELBO and KL against reconstruction, one point an
    epoch.

    Args:
        active_unit_threshold: A latent dimension is active when the variance over examples of
            its posterior mean exceeds this. Source: Burda, Grosse & Salakhutdinov,
            *Importance Weighted Autoencoders*, 2016, section 5.1.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(self, active_unit_threshold: float = 0.01, every_n_epochs: int = 10) -> None:
        super().__init__(every_n_epochs)
        self.active_unit_threshold = active_unit_threshold

    def rows(self, outputs: dict[str, Any]) -> Rows:
        return {name: value for name, value in outputs.items() if name != "loss"}

    def new_metric(self, pl_module: LightningModule, rows: Rows) -> Metric:
        return EvidenceMetric({name: value.shape[1:] for name, value in rows.items()})

    def in_step(self, rows: Rows) -> dict[str, Tensor]:
        return {"elbo": (rows["reconstruction"] - rows["kl"].sum(1)).mean()}

    def figures(self, stage: str, metric: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        terms = metric.compute()
        kl, spread = terms.pop("kl_per_dimension"), terms.pop("posterior_mean_variance", None)
        if spread is not None:
            active = torch.stack(spread) > self.active_unit_threshold
            terms["active_units"] = active.sum().double()
        if terms.pop("normalised", 1) < 1:
            for name in ("nll", "nll_standard_error"):
                terms[name.replace("nll", "nll_unnormalised")] = terms.pop(name)
        each = {f"kl_dimension/{i:02d}": value for i, value in enumerate(kl)}
        shown = {"elbo": terms.pop("elbo"), **terms}
        return shown, each if stage != "train" and len(kl) > 1 else {}

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        curves = self.curves(lambda epoch: -epoch["elbo"])
        if not curves:
            return {}
        title = "Negative ELBO per epoch"
        return {
            "elbo_curve": curve_picture(curves, "−ELBO [nats per image]", title),
            "kl_against_reconstruction": _kl_against_reconstruction(self.history["val"]),
        }


def _kl_against_reconstruction(points: list[EpochFigures]) -> Figure:
    figure = new_figure(6.0, 4.5)
    axes = figure.add_subplot()
    epochs, reconstruction, kl = (
        [point[name] for point in points] for name in ("epoch", "reconstruction", "kl")
    )
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
