"""Pictures of an anomaly test: histograms with the threshold, ROC, extremes, PR curve."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from elbolab.pictures import image_grid, new_figure
from lightning_modules.functional.anomaly import auroc, flagged_counts

__all__ = ["add_pr_curve", "extremes", "histograms", "roc"]

BINS = 80
NEAREST = 0.002
"""Share of all scores that join the rightmost bin: on a logarithmic scale the very highest few
would take half of the axis."""
CLOSEST = 0.01
"""Nats at which the axis ends where many images share the highest score."""
PR_POINTS = 127
"""Thresholds of TensorBoard's precision-recall curve, its own default."""


def histograms(inside: Tensor, outside: Tensor, threshold: float, name: str) -> Figure:
    """Both sets' scores as shares per bin, and the threshold.

    The axis counts nats below the highest score, on a logarithmic scale: strange images may lie
    a hundred times further down than normal ones do.
    """
    highest = float(torch.cat([inside, outside]).max())
    below = {"inside": highest - inside, "outside": highest - outside}
    everything = torch.cat([*below.values()])
    nearest = max(float(everything.quantile(NEAREST)), CLOSEST)
    edges = np.geomspace(nearest, 1.01 * max(float(everything.max()), nearest), BINS + 1).tolist()
    errors = {
        "inside": f"{int((inside < threshold).sum()):,} flagged (type I)",
        "outside": f"{int((outside >= threshold).sum()):,} not flagged (type II)",
    }
    figure = new_figure(6.4, 3.8)
    axes = figure.add_subplot()
    for label, values in below.items():
        shown = values.clamp_min(nearest).numpy()
        weights = np.full(len(shown), 1 / len(shown))
        text = f"{label}: {len(shown):,} images, {errors[label]}"
        axes.hist(shown, edges, weights=weights, alpha=0.6, label=text)
    label = f"threshold: {highest - threshold:,.1f} nats below (score {threshold:,.1f})"
    axes.axvline(max(highest - threshold, nearest), color="black", linestyle="--", label=label)
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])  # room for the legend
    _finish(
        axes,
        f"nats below the highest score of {highest:,.1f}; to the right more normal",
        "share of images",
        f"{name} of the test images",
    )
    return figure


def roc(scores: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """ROC curves of scores, inside and outside, by name; positives are the inside images.

    Beside them the same curves with a logarithmic axis of the outside images that pass, where good
    scores, all in the corner of the other chart, lie apart.
    """
    figure = new_figure(9.6, 4.4)
    whole, corner = figure.subplots(1, 2, sharey=True)
    fewest = min(0.5 / len(outside) for _, outside in scores.values())
    for name, (inside, outside) in scores.items():
        thresholds = torch.cat([inside, outside]).unique()
        below_inside = flagged_counts(inside, thresholds) / len(inside)
        below_outside = flagged_counts(outside, thresholds) / len(outside)
        x, y = (np.append(1 - share.numpy(), 0.0) for share in (below_outside, below_inside))
        whole.plot(x, y, label=f"{name}: AUROC {float(auroc(inside, outside)):.5f}")
        corner.plot(x.clip(fewest), y)
    chance = np.geomspace(fewest, 1)
    for axes in (whole, corner):
        axes.plot(chance, chance, color="grey", linestyle=":", label="chance")
    corner.set_xscale("log")
    type_two = "outside images that pass (type II rate)"
    passing = "inside images that pass (1 − type I rate)"
    _finish(whole, type_two, passing, "ROC over all thresholds")
    corner.set(xlabel="the same, logarithmic; at the left edge: none", title="Near the corner")
    corner.grid(alpha=0.3)
    return figure


def extremes(sets: Mapping[str, tuple[Tensor, Tensor]], name: str, columns: int = 12) -> Figure:
    """The highest and lowest scoring images of each set: bytes ``(N, c, h, w)`` and scores."""
    rows, labels = [], []
    for label, (images, scores) in sets.items():
        order = scores.argsort(descending=True)
        count = min(columns, len(order))
        for end, chosen in (("highest", order[:count]), ("lowest", order[-count:].flip(0))):
            blank = torch.full((columns - count, *images.shape[1:]), 255, dtype=torch.uint8)
            rows.append(torch.cat([images[chosen], blank]))
            spread = f"{float(scores[chosen[0]]):.0f} … {float(scores[chosen[-1]]):.0f}"
            labels.append(f"{label}, {end}\n{spread}")
    images = torch.cat(rows).float().numpy() / 255
    return image_grid(
        images, f"Most and least normal test images by {name} (scores in nats)", columns, labels
    )


def add_pr_curve(
    writer: SummaryWriter, tag: str, inside: Tensor, outside: Tensor, step: int
) -> None:
    """Precision and recall of flagging outside images, to TensorBoard's page of such curves.

    The thresholds are quantiles of the outside scores, so that recall falls evenly: TensorBoard's
    own 127 equal steps would put a long tail of scores into one of them.
    """
    quantiles = torch.linspace(1, 0, PR_POINTS, dtype=outside.dtype)
    thresholds = outside.quantile(quantiles).nextafter(torch.tensor(torch.inf).to(outside))
    hits, false_alarms = flagged_counts(outside, thresholds), flagged_counts(inside, thresholds)
    writer.add_pr_curve_raw(
        tag,
        true_positive_counts=hits.numpy(),
        false_positive_counts=false_alarms.numpy(),
        true_negative_counts=(len(inside) - false_alarms).numpy(),
        false_negative_counts=(len(outside) - hits).numpy(),
        precision=(hits / (hits + false_alarms).clamp_min(1)).numpy(),
        recall=(hits / len(outside)).numpy(),
        global_step=step,
        num_thresholds=PR_POINTS,
    )


def _finish(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
