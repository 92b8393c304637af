"""Pictures of images: samples, and reconstructions of what the module is shown."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Generator, Tensor

from callbacks.contracts import Conditional, Generative, Reconstructing, require
from callbacks.pictures.epoch_picture import EpochPicture, ValidationPicture
from callbacks.pictures.point_pictures import samples_picture
from elbolab.checks import check_at_least_one
from elbolab.pictures import image_grid, image_rows
from lightning_modules.functional.score import check_guidance

__all__ = ["DigitRows", "Reconstructions", "SampleGrid"]


class SampleGrid(EpochPicture):
    """Samples of a generative module, from the same noise at every drawing, so that epochs compare.

    Any module with ``sample(n, generator)`` can be shown: ``(n, c, h, w)`` in [0, 1] as a grid,
    ``(n, d)`` as points. Of a module with labels ``samples`` are a grid with one row for each
    label, and ``samples_without_labels`` those that were asked for none.

    Args:
        num_samples: Images in the grid.
        columns: Images per row.
        seed: Of the noise.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(
        self, num_samples: int = 32, columns: int = 8, seed: int = 0, every_n_epochs: int = 10
    ) -> None:
        super().__init__(every_n_epochs)
        check_at_least_one(num_samples=num_samples, columns=columns)
        self.num_samples, self.columns, self.seed = num_samples, columns, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, Generative, self)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        after = f"after epoch {trainer.current_epoch + 1}"
        if isinstance(pl_module, Conditional):
            without = f"{self.num_samples} samples without labels {after}"
            return {
                "samples": self._by_label(pl_module, after),
                "samples_without_labels": self._plain(pl_module, without),
            }
        return {"samples": self._plain(pl_module, f"{self.num_samples} samples {after}")}

    def _plain(self, module: LightningModule, title: str) -> Figure:
        samples = require(module, Generative, self).sample(self.num_samples, self._generator())
        return samples_picture(samples.float().cpu().numpy(), title, self.columns)

    def _by_label(self, module: Conditional, after: str) -> Figure:
        y = torch.arange(module.classes * self.columns) // self.columns
        images = module.sample(len(y), self._generator(), y=y).clamp(0, 1).float().cpu().numpy()
        rows = {str(label): images[y.numpy() == label] for label in range(module.classes)}
        title = f"{self.columns} samples of each label, guidance w = {module.guidance:g}, {after}"
        return image_rows(rows, title, self.columns)

    def _generator(self) -> Generator:
        # On the CPU whatever the model's device, so that every machine shows the same noise.
        return Generator().manual_seed(self.seed)


class Reconstructions(ValidationPicture):
    """Validation images above what the module makes of them: ``reconstruct(x) -> x̂``.

    Args:
        num_images: Images shown, one column each.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(self, num_images: int = 12, every_n_epochs: int = 10) -> None:
        super().__init__(num_images, every_n_epochs)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, Reconstructing, self)

    def draw_from(
        self, trainer: Trainer, pl_module: LightningModule, examples: tuple[Tensor, ...]
    ) -> dict[str, Figure]:
        module, images = require(pl_module, Reconstructing, self), examples[0]
        pairs = torch.cat([images, module.reconstruct(images)]).float().cpu()
        title = f"Reconstructions of validation images after epoch {trainer.current_epoch + 1}"
        grid = image_grid(pairs.numpy(), title, len(images), ["image", "model"])
        return {"reconstructions": grid}


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
        figure = image_rows(rows, title, self.columns * len(blocks))
        axes, block = figure.axes[0], self.columns * (blocks[0].shape[-1] + 1)
        for number in range(1, len(blocks)):
            axes.axvline(number * block - 0.5, color="tab:red", linewidth=2)
        axes.set_xticks(
            [(i + 0.5) * block for i in range(len(blocks))], [f"w = {w:g}" for w in self.guidance]
        )
        return {"digit_rows": figure}
