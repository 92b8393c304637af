"""Where a model puts its data: a scatter while it trains, TensorBoard's projector at the end."""

from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from callbacks.listener import EvaluationListener, EvaluationStage
from callbacks.pictures.epoch_picture import EpochPicture
from callbacks.trainer_facts import run_of, tensorboard_of, writes_files
from elbolab.pictures import new_figure

__all__ = ["LatentSpace", "label_colour", "principal_directions", "principal_plane"]


class LatentSpace(EpochPicture, EvaluationListener):
    """Posterior means of validation images: two latents, or two principal components of many.

    Needs batches ``(x, y)`` and ``validation_step`` to return ``posterior_mean`` ``(B, d)``. At
    the end of a fit the latents go to TensorBoard's projector with labels and small images.

    Args:
        num_points: Validation images shown.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(self, num_points: int = 2000, every_n_epochs: int = 10) -> None:
        super().__init__(every_n_epochs)
        self.num_points = num_points
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def evaluation_starts(self, stage: EvaluationStage) -> None:
        if stage == "val":
            self._parts = []

    def batch_evaluated(
        self, stage: EvaluationStage, pl_module: LightningModule, outputs: Any, batch: Any
    ) -> None:
        missing = self.num_points - sum(len(latents) for latents, *_ in self._parts)
        if stage == "val" and missing > 0:
            images, labels = batch
            latents = outputs["posterior_mean"].flatten(1)
            self._parts.append((latents[:missing], labels[:missing], images[:missing]))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        writer = tensorboard_of(trainer)
        if writes_files(trainer) and writer is not None and self._parts:
            # add_embedding appends to this file; after a resumed fit it would list both.
            (run_of(trainer).path / "projector_config.pbtxt").unlink(missing_ok=True)
            latents, labels, images = self._gathered()
            writer.add_embedding(
                latents, labels.tolist(), 1 - images, trainer.global_step, "posterior_mean"
            )

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        if not self._parts:
            return {}
        latents, labels, _ = self._gathered()
        plane, names = principal_plane(latents)
        means = f"Posterior means of {len(plane):,} validation images"
        title = f"{means} after epoch {trainer.current_epoch + 1}"
        return {"latent_space": _scatter(plane, labels, names, title)}

    def _gathered(self) -> tuple[Tensor, Tensor, Tensor]:
        latents, labels, images = (
            torch.cat(p).float().cpu() for p in zip(*self._parts, strict=True)
        )
        return latents, labels.long(), images


def principal_plane(latents: Tensor) -> tuple[Tensor, list[str]]:
    """The plane in which latents ``(N, d)`` spread most, and the names of its axes.

    Two latents are shown as they are; one against zero; more by their first two principal
    components, named with the share of the variance that each explains.
    """
    n, d = latents.shape
    if d == 1:
        return torch.cat([latents, torch.zeros(n, 1)], 1), ["z₁", ""]
    if d == 2:
        return latents, ["z₁", "z₂"]
    directions, share = principal_directions(latents)
    names = [f"principal component {i + 1} ({share[i]:.0%} of variance)" for i in range(2)]
    return (latents - latents.mean(0)) @ directions, names


def principal_directions(latents: Tensor) -> tuple[Tensor, Tensor]:
    """The two directions ``(d, 2)`` in which latents ``(N, d)`` spread most, d ≥ 2.

    Returns:
        The directions, and the share of the variance along every one of all d.
    """
    centred = latents - latents.mean(0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    return directions[:2].T, singular.square() / singular.square().sum()


def label_colour(label: int) -> tuple[float, float, float, float]:
    """The colour of a label in every picture: ten differ, and there are ten digits."""
    return colormaps["tab10"](label % 10)


def _scatter(plane: Tensor, labels: Tensor, names: list[str], title: str) -> Figure:
    figure = new_figure(6.5, 5.5)
    axes = figure.add_subplot()
    for label in labels.unique().tolist():
        points = plane[labels == label].numpy()
        axes.scatter(points[:, 0], points[:, 1], s=5, color=label_colour(label), label=str(label))
    axes.legend(title="label", fontsize=7, markerscale=2)
    axes.set(xlabel=names[0], ylabel=names[1], title=title)
    return figure
