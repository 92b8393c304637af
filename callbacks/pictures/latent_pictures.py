"""Diffusion in a latent space, as points and as the images that they stand for."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Generator, Tensor

from callbacks.contracts import Conditional, LatentBased, image_data, require
from callbacks.pictures.epoch_picture import EpochPicture, ValidationPicture
from callbacks.pictures.latent_space import principal_directions
from callbacks.pictures.point_pictures import REACH
from callbacks.pictures.score_field import check_levels, plane
from elbolab.pictures import image_grid, image_rows, new_figure
from lightning_modules.functional.guidance import check_guidance

__all__ = ["DigitRows", "LatentField", "LatentProcess"]


class LatentField(ValidationPicture):
    """Latents in the plane coloured by label, and arrows of the learned score, at noise levels.

    For models of two latents. Each panel shows the latents as they are at its level, and arrows to
    a scale of its own.

    Args:
        levels: Noise levels k shown, each in {1, …, K}.
        num_points: Latents shown.
        arrows: Arrows per axis.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(
        self,
        levels: Sequence[int] = (5, 40, 100, 200),
        num_points: int = 2000,
        arrows: int = 25,
        every_n_epochs: int = 10,
    ) -> None:
        super().__init__(num_points, every_n_epochs)
        self.levels, self.arrows = list(levels), arrows

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_levels(self.levels, require(pl_module, LatentBased, self), self)

    def draw_from(
        self, trainer: Trainer, pl_module: LightningModule, examples: tuple[Tensor, ...]
    ) -> dict[str, Figure]:
        module, (u, y) = require(pl_module, LatentBased, self), examples
        if u.shape[1] != 2:
            return {}
        figure = new_figure(3.3 * len(self.levels), 3.8)
        grid, generator = plane(self.arrows, u.device), Generator().manual_seed(0)
        noise = torch.randn(u.shape, generator=generator).to(u)
        panels = figure.subplots(1, len(self.levels), squeeze=False, sharey=True)[0]
        for axes, level in zip(panels, self.levels, strict=True):
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
        title = f"Latents and learned score after epoch {trainer.current_epoch + 1}"
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
        return {
            "latent_process": _process(shown, u, y, f"Latents from noise to samples {after}"),
            "decoded_trajectory": image_rows(images, f"The reverse process, decoded, {after}"),
            "samples_compared": self._compared(trainer, module, after),
        }

    def _compared(self, trainer: Trainer, module: LatentBased, after: str) -> Figure:
        n = 3 * self.num_images
        real = next(iter(image_data(trainer).val_dataloader()))[0][:n]
        sets = [
            module.codec.prior_samples(n, self._generator()),
            module.sample(n, self._generator()),
            real,
        ]
        images = torch.cat([s.float().cpu() for s in sets]).numpy()
        labels = [name for name in ("VAE prior", "diffusion", "real") for _ in range(3)]
        return image_grid(images, f"Samples and real images {after}", self.num_images, labels)

    def _generator(self) -> Generator:
        return Generator().manual_seed(self.seed)


class DigitRows(EpochPicture):
    """Samples of every label, one row each, with growing guidance from block to block.

    Every block starts from the same noise.

    Args:
        guidance: The weights w, one block each.
        columns: Samples of each label in a block.
        seed: Of the noise.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(
        self,
        guidance: Sequence[float] = (0.0, 0.5, 1.0, 2.0),
        columns: int = 5,
        seed: int = 0,
        every_n_epochs: int = 10,
    ) -> None:
        super().__init__(every_n_epochs)
        for weight in guidance:
            check_guidance(weight)
        self.guidance, self.columns, self.seed = list(guidance), columns, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, Conditional, self)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        module = require(pl_module, Conditional, self)
        n = module.classes * self.columns
        y = torch.arange(n) // self.columns
        blocks = [
            module.sample(n, Generator().manual_seed(self.seed), y=y, guidance=weight)
            .float()
            .cpu()
            .unflatten(0, (module.classes, self.columns))
            for weight in self.guidance
        ]
        rows = {str(digit): row.numpy() for digit, row in enumerate(torch.cat(blocks, 1))}
        title = f"Samples of each label with guidance w after epoch {trainer.current_epoch + 1}"
        figure = image_rows(rows, title)
        axes, block = figure.axes[0], self.columns * (blocks[0].shape[-1] + 1)
        for number in range(1, len(blocks)):
            axes.axvline(number * block - 0.5, color="tab:red", linewidth=2)
        axes.set_xticks(
            [(i + 0.5) * block for i in range(len(blocks))], [f"w = {w:g}" for w in self.guidance]
        )
        return {"digit_rows": figure}


def _process(shown: dict[int, Tensor], data: Tensor, labels: Tensor, title: str) -> Figure:
    means = torch.stack([data[labels == label].mean(0) for label in labels.unique()])
    directions = principal_directions(means)[0]
    figure = new_figure(2.4 * len(shown) + 0.4, 3.1)
    panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for axes, (level, points) in zip(panels, shown.items(), strict=True):
        _scatter(axes, data @ directions, labels)
        x = (points @ directions).cpu().numpy()
        axes.scatter(x[:, 0], x[:, 1], s=1, alpha=0.5, color="black", label="process")
        axes.set(title=f"k = {level}", xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
        axes.set_xlabel("1st direction", fontsize=8)
    panels[0].set_ylabel("2nd direction", fontsize=8)
    panels[-1].legend(fontsize=5, markerscale=2, loc="upper right")
    figure.suptitle(title, fontsize=10)
    return figure


def _scatter(axes: Axes, points: Tensor, labels: Tensor) -> None:
    for label in labels.unique().tolist():
        x = points[labels == label].cpu().numpy()
        axes.scatter(x[:, 0], x[:, 1], s=3, alpha=0.6, label=str(label))
