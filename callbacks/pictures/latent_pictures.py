"""Diffusion in a latent space, as points and as the images that they stand for."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Generator, Tensor

from callbacks.contracts import (
    Conditional,
    LatentBased,
    LatentImages,
    require,
    require_data,
)
from callbacks.pictures.epoch_picture import ValidationPicture
from callbacks.pictures.latent_space import label_colour, principal_directions
from callbacks.pictures.point_pictures import REACH
from callbacks.pictures.score_field import chosen_levels, plane
from elbolab.pictures import image_grid, image_rows, new_figure

__all__ = ["LatentField", "LatentProcess"]


SHARES = (5 / 300, 40 / 300, 100 / 300, 200 / 300)
"""Noise levels that `LatentField` shows by default, as shares of K."""

NEARLY_ALL = 0.99
"""Share of the data's latents within the window of `LatentProcess`."""


class LatentField(ValidationPicture):
    """Latents in the plane coloured by label, and arrows of the learned score, at noise levels.

    For models of two latents. Each panel shows the latents as they are at its level, and arrows to
    a scale of its own.

    Args:
        levels: Noise levels k shown, each in {1, …, K}; four of them by default, more of the low.
        num_points: Latents shown.
        arrows: Arrows per axis.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(
        self,
        levels: Sequence[int] | None = None,
        num_points: int = 2000,
        arrows: int = 25,
        every_n_epochs: int = 10,
    ) -> None:
        super().__init__(num_points, every_n_epochs)
        self.levels, self.arrows = levels, arrows

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        module = require(pl_module, LatentBased, self)
        self.levels = chosen_levels(self.levels, SHARES, module, self)

    def draw_from(
        self, trainer: Trainer, pl_module: LightningModule, examples: tuple[Tensor, ...]
    ) -> dict[str, Figure]:
        module, (u, y) = require(pl_module, LatentBased, self), examples
        if u.shape[1] != 2:
            return {}
        levels = list(self.levels or ())
        figure = new_figure(3.3 * len(levels), 3.8)
        grid, generator = plane(self.arrows, u.device), Generator().manual_seed(0)
        noise = torch.randn(u.shape, generator=generator).to(u)
        panels = figure.subplots(1, len(levels), squeeze=False, sharey=True)[0]
        for axes, level in zip(panels, levels, strict=True):
            k = torch.tensor(level, device=u.device)
            mean, spread = module.schedule.alpha_bar[k], module.schedule.noise_variance[k]
            points = mean.sqrt() * u + spread.sqrt() * noise
            _scatter(axes, points, y)
            arrow = module.score(grid, k).cpu()
            x, target = grid.cpu().numpy(), arrow.numpy()
            axes.quiver(x[:, 0], x[:, 1], target[:, 0], target[:, 1], width=0.003, alpha=0.7)
            axes.set(title=f"k = {level}", xlabel="u₁", xlim=(-REACH, REACH), ylim=(-REACH, REACH))
        panels[0].set_ylabel("u₂")
        panels[-1].legend(
            title="label", fontsize=6, title_fontsize=6, markerscale=3, loc="upper right"
        )
        latents = f"{len(u):,} latents of validation images and the learned score"
        title = f"{latents} after epoch {trainer.current_epoch + 1}"
        figure.suptitle(title, fontsize=10)
        return {"latent_field": figure}


class LatentProcess(ValidationPicture):
    """The reverse process: as points over the data's latents, as images, and where it leads.

    ``latent_process`` shows latents at several levels over those of validation images, which are
    coloured by label, in the plane in which the labels' means spread most; ``decoded_trajectory``
    what some of them decode to;
    ``samples_compared`` samples of the VAE's prior, of the model, and real images.

    Args:
        num_points: Latents in the scatter, and of validation images behind them.
        num_images: Images in a row.
        snapshots: Levels shown, at least 2.
        seed: Of the noise.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(
        self,
        num_points: int = 1000,
        num_images: int = 10,
        snapshots: int = 6,
        seed: int = 0,
        every_n_epochs: int = 10,
    ) -> None:
        super().__init__(max(num_points, num_images), every_n_epochs)
        self.num_points, self.num_images = num_points, num_images
        self.snapshots, self.seed = snapshots, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, LatentBased, self)

    def draw_from(
        self, trainer: Trainer, pl_module: LightningModule, examples: tuple[Tensor, ...]
    ) -> dict[str, Figure]:
        module, (u, y) = require(pl_module, LatentBased, self), examples
        steps = module.schedule.steps
        # Denser towards the data, where images appear.
        wanted = [steps * (1 - i / (self.snapshots - 1)) ** 2 for i in range(self.snapshots)]
        path = dict(module.trajectory(self.num_points, self._generator()))
        kept = {min(path, key=lambda k: abs(k - level)): None for level in wanted}
        shown = {level: path[level] for level in kept}
        images = {
            f"k = {level}": module.codec.decode(points[: self.num_images]).cpu().numpy()
            for level, points in shown.items()
        }
        after = f"after epoch {trainer.current_epoch + 1}"
        if isinstance(pl_module, Conditional):
            after = f"without labels, {after}"
        process = f"{self.num_points:,} latents from noise to samples {after}"
        behind = f"coloured: {len(u):,} of validation images, by label"
        return {
            "latent_process": _process(shown, u, y, f"{process}; {behind}"),
            "decoded_trajectory": image_rows(images, f"The reverse process, decoded, {after}"),
            "samples_compared": self._compared(trainer, module, after),
        }

    def _compared(self, trainer: Trainer, module: LatentBased, after: str) -> Figure:
        n = 3 * self.num_images
        images = require_data(trainer, LatentImages, self).images
        real = next(iter(images.val_dataloader()))[0][:n]
        sets = [
            module.codec.prior_samples(n, self._generator()),
            module.sample(n, self._generator()),
            real,
        ]
        images = torch.cat([s.float().cpu() for s in sets]).numpy()
        labels = [name for name in ("VAE prior", "diffusion", "real") for _ in range(3)]
        return image_grid(images, f"Real images and samples {after}", self.num_images, labels)

    def _generator(self) -> Generator:
        return Generator().manual_seed(self.seed)


def _process(shown: dict[int, Tensor], data: Tensor, labels: Tensor, title: str) -> Figure:
    means = torch.stack([data[labels == label].mean(0) for label in labels.unique()])
    directions = principal_directions(means)[0]
    reach = max(REACH, float((data @ directions).abs().quantile(NEARLY_ALL)))
    figure = new_figure(2.4 * len(shown) + 1.2, 3.4)
    panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for axes, (level, points) in zip(panels, shown.items(), strict=True):
        _scatter(axes, data @ directions, labels)
        x = (points @ directions).cpu().numpy()
        axes.scatter(x[:, 0], x[:, 1], s=1, alpha=0.5, color="black", label="process")
        axes.set(title=f"k = {level}", xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set_xlabel("u along 1st direction", fontsize=8)
    panels[0].set_ylabel("u along 2nd direction", fontsize=8)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, fontsize=7, markerscale=3, loc="outside right center")
    figure.suptitle(f"{title}\nDirections in which the labels' means spread most", fontsize=9)
    return figure


def _scatter(axes: Axes, points: Tensor, labels: Tensor) -> None:
    for label in labels.unique().tolist():
        x = points[labels == label].cpu().numpy()
        colour = label_colour(label)
        axes.scatter(x[:, 0], x[:, 1], s=3, alpha=0.6, color=colour, label=str(label))
