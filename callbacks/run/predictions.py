"""What ``predict`` writes."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveInt
from lightning_utilities.core.rank_zero import rank_zero_info
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Generator, Tensor

from callbacks.contracts import Conditional, Generative, require
from callbacks.pictures.point_pictures import samples_picture
from callbacks.trainer_facts import formats_of, run_of, tensorboard_of, writes_files
from elbolab.errors import UserError
from elbolab.pictures import image_grid, image_rows, write_picture
from elbolab.run_directory import write_atomically
from lightning_modules.functional.score import check_guidance

__all__ = ["PredictionWriter", "add_prediction_options"]

SHOWN = 12
"""Reconstructions in the picture; the array holds them all."""


def add_prediction_options(parser: ArgumentParser) -> None:
    """Adds the options of ``predict`` to its parser."""
    parser.add_argument("--num_samples", type=PositiveInt, default=64, help="Samples to draw.")
    parser.add_argument(
        "--labels",
        type=int | list[int] | None,
        help="Labels of the samples, such as 7 or [3,8]: for models with labels, all by default.",
    )
    parser.add_argument(
        "--guidance",
        type=float | None,
        help="How strongly samples keep to their labels; by default as the model has it.",
    )


class PredictionWriter(Callback):
    """Writes samples, and what ``predict_step`` returns for each test image, as ``.npy`` and PNG.

    ``predictions/samples.npy`` holds ``(num_samples, *shape)`` in data space; every tensor that
    ``predict_step`` returns by name becomes ``predictions/<name>.npy``, one row per test image in
    the data's order, whatever the number of processes.

    Models with labels are asked for about as many samples of each label, in the labels' order,
    which ``predictions/sample_labels.npy`` holds.

    Args:
        num_samples: Samples to draw.
        seed: Of their noise.
        labels: Labels of the samples; by default all that the model knows.
        guidance: How strongly samples keep to them; by default as the model has it.

    Raises:
        UserError: If labels or guidance are asked of a model without labels.
    """

    def __init__(
        self,
        num_samples: int,
        seed: int,
        labels: Sequence[int] | None = None,
        guidance: float | None = None,
    ) -> None:
        self.num_samples, self.seed = num_samples, seed
        self.labels, self.guidance = labels, guidance
        self._parts: list[dict[str, Tensor]] = []
        self._images: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        asked = {"--labels": self.labels, "--guidance": self.guidance}
        for option, value in asked.items():
            if value is not None and not isinstance(pl_module, Conditional):
                raise UserError(
                    f"{option} {value}: {type(pl_module).__name__} knows no labels; leave it out."
                )
        if self.guidance is not None:
            check_guidance(self.guidance)
        if isinstance(pl_module, Conditional):
            known = range(pl_module.classes)
            for label in self.labels or ():
                if label not in known:
                    raise UserError(f"labels must be in 0 … {len(known) - 1}, got {label}.")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._parts, self._images = [], None

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._parts.append({name: value.float().cpu() for name, value in outputs.items()})
        if self._images is None:
            self._images = batch[0].float().cpu()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rows = _in_order(trainer, self._parts)
        if not writes_files(trainer):
            return
        run, module = run_of(trainer), require(pl_module, Generative, self)
        rows |= self._samples(module)
        for name, values in rows.items():
            _write_array(run.predictions / f"{name}.npy", values)
        for name, figure in self._figures(rows, trainer.world_size).items():
            write_picture(
                figure, name, run, tensorboard_of(trainer), trainer.global_step, formats_of(trainer)
            )
        rank_zero_info(
            f"Wrote {', '.join(rows)} to {run.predictions} and pictures to {run.images}."
        )

    def _samples(self, module: Generative) -> dict[str, Tensor]:
        n, generator = self.num_samples, Generator().manual_seed(self.seed)
        if not isinstance(module, Conditional):
            return {"samples": module.sample(n, generator).float().cpu()}
        labels = torch.tensor(self.labels or range(module.classes))
        y = labels[torch.arange(n) * len(labels) // n]
        images = module.sample(n, generator, y=y, guidance=self.guidance)
        return {"samples": images.float().cpu(), "sample_labels": y}

    def _figures(self, rows: dict[str, Tensor], stride: int) -> dict[str, Any]:
        title = f"{self.num_samples} samples"
        if "sample_labels" in rows:
            y, images = rows["sample_labels"], rows["samples"].numpy()
            shown = {str(label): images[y == label] for label in y.unique().tolist()}
            figures = {"predicted_samples": image_rows(shown, f"{title} by label")}
        else:
            figures = {"predicted_samples": samples_picture(rows["samples"].numpy(), title)}
        if self._images is not None and "reconstructions" in rows:
            images = self._images[:SHOWN]
            # Rank 0 holds every stride-th test image.
            theirs = rows["reconstructions"][::stride][: len(images)]
            figures["predicted_reconstructions"] = image_grid(
                torch.cat([images, theirs]).numpy(),
                "Reconstructions of test images",
                len(images),
                ["image", "model"],
            )
        return figures


def _in_order(trainer: Trainer, parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Rows of all processes, put back into the order of the data that was dealt out to them."""
    own = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}
    if trainer.world_size == 1:
        return own
    shards: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(shards, own)
    total = {name: sum(len(shard[name]) for shard in shards) for name in own}
    rows = {name: value.new_empty(total[name], *value.shape[1:]) for name, value in own.items()}
    for rank, shard in enumerate(shards):
        for name, values in shard.items():
            rows[name][rank :: trainer.world_size] = values
    return rows


def _write_array(path: Path, values: Tensor) -> None:
    buffer = io.BytesIO()
    np.save(buffer, values.numpy())
    write_atomically(path, buffer.getvalue())
