"""The anomaly report: how well a density model tells one data set from another."""

import csv
import io
from dataclasses import dataclass
from typing import Any

import torch
from lightning_utilities.core.rank_zero import rank_zero_info
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.monitors.anomaly_pictures import add_pr_curve, extremes, histograms, roc
from callbacks.trainer_facts import run_of, tensorboard_of, writes_files
from elbolab.errors import UserError
from elbolab.origin import Origin
from elbolab.pictures import write_picture
from elbolab.run_directory import write_atomically
from lightning_modules.functional.anomaly import (
    Likelihood,
    Score,
    anomaly_threshold,
    error_figures,
)

__all__ = ["AnomalyReport", "Verdict", "gathered", "in_distribution"]


def in_distribution(batch: tuple[Tensor, ...]) -> Tensor:
    """Which examples of a test batch are in-distribution, ``(B,)``: all, where none is marked."""
    if _marked(batch):
        return batch[2] != Origin.OUTSIDE
    return torch.ones(len(batch[0]), dtype=torch.bool, device=batch[0].device)


def _marked(batch: tuple[Tensor, ...]) -> bool:
    return len(batch) == 4  # images, labels, origin, index: see AnomalyDataModule


@dataclass(frozen=True)
class Verdict:
    """What a score makes of all test images.

    Attributes:
        scores: ``(N,)``.
        origin: `Origin` of each image, ``(N,)``.
        threshold: τ, below which images are flagged.
    """

    scores: Tensor
    origin: Tensor
    threshold: Tensor

    @property
    def sides(self) -> tuple[Tensor, Tensor]:
        """Scores of the inside and of the outside images."""
        return self.scores[self.origin == Origin.INSIDE], self.scores[self.origin == Origin.OUTSIDE]


class AnomalyReport(Callback):
    """Judges a density model by the images that it should find strange.

    After a test: counts and rates of type I and type II errors at the threshold mean − 3 standard
    deviations of the calibration scores, ``test/auroc``, ``test/fpr_at_95_tpr``; pictures of the
    histograms, the ROC curve and the most and least normal images of each set; in TensorBoard the
    precision-recall curve. The first score decides; figures of the others bear its name, such as
    ``test/Typicality/auroc``. ``predict`` writes ``predictions/anomaly.csv``.

    For modules whose steps return ``log_likelihood`` ``(B,)`` and data with origins, such as an
    `AnomalyDataModule`.

    Args:
        scores: The deciding score, and others to compare with it; `Likelihood` alone by default.

    Raises:
        UserError: If the list is empty or names a score twice; in a test, if the data has no
            out-of-distribution images.
    """

    def __init__(self, scores: list[Score] | None = None) -> None:
        self.scores = {type(score).__name__: score for score in scores or [Likelihood()]}
        if scores is not None and len(self.scores) != len(scores):
            raise UserError("scores must name at least one, and none of them twice.")
        self._parts: list[tuple[Tensor, ...]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._parts = []

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._parts = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not _marked(batch):
            raise UserError(
                "AnomalyReport needs out-of-distribution images beside the others: give an "
                "AnomalyDataModule as data, or leave the callback out."
            )
        images, _, origin, index = batch
        pixels = (255 * images).round().to(torch.uint8)
        columns = (outputs["log_likelihood"].float(), pixels, origin, index)
        self._parts.append(tuple(column.cpu() for column in columns))

    on_predict_batch_end = on_test_batch_end

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        log_likelihood, images, origin, _ = gathered(trainer, self._parts)
        verdicts = {
            name: _verdict(score, log_likelihood, images, origin)
            for name, score in self.scores.items()
        }
        first = next(iter(verdicts))
        for name, verdict in verdicts.items():
            stage = "test" if name == first else f"test/{name}"
            found = error_figures(*verdict.sides, verdict.threshold)
            values = {f"{stage}/{k}": v.float().to(pl_module.device) for k, v in found.items()}
            # The same on every process; sync_dist only tells Lightning not to warn.
            pl_module.log_dict(values, sync_dist=True)
        if writes_files(trainer):
            writer, step = tensorboard_of(trainer), _step(trainer)
            for name, figure in _pictures(verdicts, images).items():
                write_picture(figure, name, run_of(trainer), writer, step)
            if writer is not None:
                add_pr_curve(writer, "test/precision_recall", *verdicts[first].sides, step)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        log_likelihood, images, origin, index = gathered(trainer, self._parts)
        if not writes_files(trainer):
            return
        verdict = _verdict(next(iter(self.scores.values())), log_likelihood, images, origin)
        path = run_of(trainer).predictions / "anomaly.csv"
        write_atomically(path, _table(verdict, log_likelihood, index).encode())
        rank_zero_info(f"Wrote likelihood, score and verdict of each image to {path}.")


def _step(trainer: Trainer) -> int:
    """The step at which the test's pictures stand: the checkpoint's, as for its figures."""
    return getattr(trainer.logger, "checkpoint_step", None) or trainer.global_step


def gathered(trainer: Trainer, parts: list[tuple[Tensor, ...]]) -> list[Tensor]:
    """Joins what all processes collected: each column, ordered by origin and index."""
    shards: list[Any] = [None] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(shards, parts)
    else:
        shards = [parts]
    columns = [
        torch.cat(rows) for rows in zip(*(row for rows in shards for row in rows), strict=True)
    ]
    origin, index = columns[2:]
    order = (origin * (index.max() + 1) + index).argsort()
    return [column[order] for column in columns]


def _verdict(score: Score, log_likelihood: Tensor, images: Tensor, origin: Tensor) -> Verdict:
    values = log_likelihood.double()
    calibration = origin == Origin.CALIBRATION
    scores = score(values, images, values[calibration])
    return Verdict(scores, origin, anomaly_threshold(scores[calibration]))


def _pictures(verdicts: dict[str, Verdict], images: Tensor) -> dict[str, Figure]:
    name, verdict = next(iter(verdicts.items()))
    shown = {"inside": Origin.INSIDE, "outside": Origin.OUTSIDE}
    sets = {
        label: (images[verdict.origin == origin], verdict.scores[verdict.origin == origin])
        for label, origin in shown.items()
    }
    return {
        "anomaly_histograms": histograms(*verdict.sides, verdict.threshold.item(), name),
        "anomaly_roc": roc({each: v.sides for each, v in verdicts.items()}),
        "anomaly_extremes": extremes(sets, name),
    }


def _table(verdict: Verdict, log_likelihood: Tensor, index: Tensor) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("set", "index", "log_likelihood", "score", "flagged"))
    flagged = (verdict.scores < verdict.threshold).long()
    rows = (verdict.origin, index, log_likelihood, verdict.scores, flagged)
    for origin, place, likelihood, score, flag in zip(*(r.tolist() for r in rows), strict=True):
        writer.writerow(
            (Origin(origin).name.lower(), place, f"{likelihood:.3f}", f"{score:.3f}", flag)
        )
    return text.getvalue()
