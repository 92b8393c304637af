"""The bases of pictures that are drawn while a model trains: on a schedule, and at the end."""

import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_utilities.core.rank_zero import rank_zero_warn
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.listener import EvaluationListener, EvaluationStage
from callbacks.publishing import publish_pictures
from callbacks.trainer_facts import writes_files

__all__ = ["EpochPicture", "ValidationPicture"]


class EpochPicture(Callback, ABC):
    """Draws figures after every ``every_n_epochs``-th epoch and at the end of a fit.

    A new picture writes ``draw``, which runs on the first process only, without gradients, with
    the module in evaluation mode. A defect in it does not end a training: it is shown, the
    training goes on, and the end of the fit says it again.

    Args:
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.
    """

    def __init__(self, every_n_epochs: int = 10) -> None:
        self.every_n_epochs = every_n_epochs
        self._drawn_at = -1
        self._defects: list[str] = []

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

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._defects:
            name, times = type(self).__name__, len(self._defects)
            rank_zero_warn(
                f"{name} could not draw {times} time{'s' * (times > 1)}, first {self._defects[0]}. "
                "Everything but its pictures is complete."
            )

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._drawn_at = trainer.global_step
        if not writes_files(trainer):
            return
        try:
            with _evaluating(pl_module):
                publish_pictures(trainer, self.draw(trainer, pl_module))
        except OSError:  # a full disk concerns the whole run
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            self._defects.append(f"after epoch {trainer.current_epoch + 1} ({reason})")
            rank_zero_warn(
                f"{type(self).__name__} could not draw; the training goes on without its "
                f"pictures:\n{traceback.format_exc()}"
            )


class ValidationPicture(EpochPicture, EvaluationListener):
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
        """The figures to write, by name, made from the first ``num_examples`` of them."""

    def evaluation_starts(self, stage: EvaluationStage) -> None:
        if stage == "val":
            self._examples = ()

    def batch_evaluated(
        self, stage: EvaluationStage, pl_module: LightningModule, outputs: Any, batch: Any
    ) -> None:
        if stage == "val" and not self._examples:
            self._examples = tuple(tensor[: self.num_examples] for tensor in batch)

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        if not self._examples:
            return {}
        return self.draw_from(trainer, pl_module, self._examples)


@contextmanager
def _evaluating(module: LightningModule) -> Iterator[None]:
    """Evaluation mode without gradients, and the mode before again at the end."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)
