"""The anomaly report: how well a density model tells one data set from another."""

import csv
import io
from dataclasses import dataclass
from typing import Any

import torch
from lightning_utilities.core.rank_zero import rank_zero_info
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from callbacks.listener import EvaluationListener, EvaluationStage
from callbacks.monitors.anomaly_pictures import add_pr_curve, extremes, histograms, roc
from callbacks.publishing import log_figures, publish_pictures
from callbacks.trainer_facts import publishing_step, run_of, tensorboard_of, writes_files
from elbolab.batches import MarkedBatch, Origin
from elbolab.errors import UserError
from elbolab.run_directory import write_atomically
from lightning_modules.functional.anomaly import (
    AnomalyScore,
    LikelihoodScore,
    anomaly_threshold,
    error_figures,
)

__all__ = ["AnomalyReport", "Verdict", "gathered"]


@dataclass(frozen=True)
class Verdict:
    """The scores of all test images and the threshold below which they are flagged.

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


class AnomalyReport(EvaluationListener):
    """Judges a density model by the images that it should find strange.

    After a test: counts and rates of type I and type II errors at the threshold mean − 3 standard
    deviations of the calibration scores, ``test/auroc``, ``test/fpr_at_95_tpr``; pictures of the
    histograms, the ROC curve and the most and least normal images of each set; in TensorBoard the
    precision-recall curve. The first score decides; figures of the others bear its name, such as
    ``test/Typicality/auroc``. ``predict`` writes ``predictions/anomaly.csv``.

    For modules whose steps return ``log_likelihood`` ``(B,)`` and data with origins, such as an
    `AnomalyDataModule`.

    Args:
        scores: The deciding score, and others to compare with it; by default `LikelihoodScore`.

    Raises:
        UserError: If the list is empty or names a score twice; in a test, if the data has no
            out-of-distribution images.
    """

    def __init__(self, scores: list[AnomalyScore] | None = None) -> None:
        self.scores = {score.name: score for score in scores or [LikelihoodScore()]}
        if scores is not None and len(self.scores) != len(scores):
            raise UserError("scores must name at least one, and none of them twice.")
        self._parts: list[tuple[Tensor, ...]] = []

    def evaluation_starts(self, stage: EvaluationStage) -> None:
        self._parts = []

    def batch_evaluated(
        self, stage: EvaluationStage, pl_module: LightningModule, outputs: Any, batch: Any
    ) -> None:
        if stage == "val":
            return
        if not isinstance(batch, MarkedBatch):
            raise UserError(
                "AnomalyReport needs out-of-distribution images beside the others: give an "
                "AnomalyDataModule as data, or leave the callback out."
            )
        pixels = (255 * batch.x).round().to(torch.uint8)
        columns = (outputs["log_likelihood"].float(), pixels, batch.origin, batch.place)
        self._parts.append(tuple(column.cpu() for column in columns))

    def evaluation_ends(
        self, stage: EvaluationStage, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        if stage == "test":
            self._report(trainer, pl_module)
        elif stage == "predict":
            self._write_verdicts(trainer)

    def _report(self, trainer: Trainer, pl_module: LightningModule) -> None:
        log_likelihood, images, origin, _ = gathered(trainer, self._parts)
        verdicts = {
            name: _verdict(score, log_likelihood, images, origin)
            for name, score in self.scores.items()
        }
        first = next(iter(verdicts))
        for name, verdict in verdicts.items():
            stage = "test" if name == first else f"test/{name}"
            figures = error_figures(*verdict.sides, verdict.threshold)
            log_figures(pl_module, {f"{stage}/{k}": value for k, value in figures.items()})
        if writes_files(trainer):
            publish_pictures(trainer, _pictures(verdicts, images))
            if writer := tensorboard_of(trainer):
                sides, step = verdicts[first].sides, publishing_step(trainer)
                add_pr_curve(writer, "test/precision_recall", *sides, step)

    def _write_verdicts(self, trainer: Trainer) -> None:
        log_likelihood, images, origin, index = gathered(trainer, self._parts)
        if not writes_files(trainer):
            return
        verdict = _verdict(next(iter(self.scores.values())), log_likelihood, images, origin)
        path = run_of(trainer).predictions / "anomaly.csv"
        write_atomically(path, _table(verdict, log_likelihood, index).encode())
        rank_zero_info(f"Wrote likelihood, score and verdict of each image to {path}.")


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


def _verdict(
    score: AnomalyScore, log_likelihood: Tensor, images: Tensor, origin: Tensor
) -> Verdict:
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
