"""Pictures drawn while a model trains: on a schedule, and once at the end."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Generator, Tensor

from callbacks.contracts import Generative, Reconstructing, require
from callbacks.trainer_facts import run_of, tensorboard_of, writes_files
from elbolab.pictures import image_grid, write_picture

__all__ = ["EpochPicture", "Reconstructions", "SampleGrid", "ValidationPicture"]


class EpochPicture(Callback, ABC):
    """Draws a figure after every ``every_n_epochs``-th epoch and at the end of a fit.

    A new picture writes ``draw``, which runs on the first process only, without gradients, with
    the module in evaluation mode.

    Args:
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(self, every_n_epochs: int = 10) -> None:
        self.every_n_epochs = every_n_epochs
        self._drawn_at = -1

    @abstractmethod
    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        """The figures to write, by name; empty when there is nothing to show yet."""

    def due(self, trainer: Trainer) -> bool:
        """Whether this epoch is followed by a drawing."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        return last or (trainer.current_epoch + 1) % self.every_n_epochs == 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.due(trainer):
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._drawn_at != trainer.global_step:
            self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._drawn_at = trainer.global_step
        if not writes_files(trainer):
            return
        training = pl_module.training
        pl_module.eval()
        with torch.no_grad():
            figures = self.draw(trainer, pl_module)
        pl_module.train(training)
        for name, figure in figures.items():
            write_picture(
                figure, name, run_of(trainer), tensorboard_of(trainer), trainer.global_step
            )


class ValidationPicture(EpochPicture):
    """A picture made from the first validation examples; a new one writes ``draw_from``.

    Args:
        num_examples: How many of them.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(self, num_examples: int, every_n_epochs: int = 10) -> None:
        super().__init__(every_n_epochs)
        self.num_examples = num_examples
        self._examples: tuple[Tensor, ...] = ()

    @abstractmethod
    def draw_from(
        self, trainer: Trainer, pl_module: LightningModule, examples: tuple[Tensor, ...]
    ) -> dict[str, Figure]:
        """The figures to write, by name, made from a batch of n examples."""

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == 0:
            self._examples = tuple(tensor[: self.num_examples] for tensor in batch)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        if not self._examples:
            return {}
        return self.draw_from(trainer, pl_module, self._examples)


class SampleGrid(EpochPicture):
    """Samples of a generative module, from the same noise at every drawing, so that epochs compare.

    Any module with ``sample(n, generator) -> (n, c, h, w)`` in [0, 1] can be shown.

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
        self.num_samples, self.columns, self.seed = num_samples, columns, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, Generative, self)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        # On the CPU whatever the model's device, so that every machine shows the same noise.
        generator = Generator().manual_seed(self.seed)
        module = require(pl_module, Generative, self)
        images = module.sample(self.num_samples, generator).clamp(0, 1).float().cpu().numpy()
        title = f"{self.num_samples} samples after epoch {trainer.current_epoch + 1}"
        return {"samples": image_grid(images, title, self.columns)}


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
