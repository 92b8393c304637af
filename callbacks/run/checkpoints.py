"""Checkpoints that are whole or absent, hold no code, and say what is wrong with them."""

import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from callbacks.trainer_facts import in_trial, run_of
from elbolab.errors import UserError
from elbolab.run_directory import write_atomically
from lightning_modules.checkpoints import read_checkpoint

__all__ = ["BestCheckpoint", "SafeCheckpointIO", "check_fits"]


def check_fits(path: str | Path, model: LightningModule) -> int:
    """Refuses a checkpoint whose weights are not those of ``model``, before anything is written.

    Returns:
        The number of optimiser steps after which it was saved.

    Raises:
        UserError: Naming the first weight that is missing, unknown or of another shape.
    """
    checkpoint = read_checkpoint(path, mmap=True)
    saved = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if saved is None:
        raise UserError(f"{path} is no checkpoint of a LightningModule: it has no state_dict.")
    _check_shape(path, checkpoint.get("hyper_parameters", {}), model)
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in saved.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise UserError(
                f"checkpoint {path} is of another model: weight '{name}' is "
                f"{found.get(name, 'missing')} there and {wanted.get(name, 'missing')} in "
                f"{type(model).__name__}."
            )
    return int(checkpoint.get("global_step", 0))


def _check_shape(path: str | Path, fitted: Mapping[str, Any], model: LightningModule) -> None:
    """Says so in the words of the data where the examples have another shape."""
    saved, wanted = fitted.get("shape"), model.hparams.get("shape")
    if saved is not None and wanted is not None and tuple(saved) != tuple(wanted):
        raise UserError(
            f"checkpoint {path} was fitted to examples of shape {tuple(saved)}, the data's are "
            f"{tuple(wanted)}: give the data that it was fitted to."
        )


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its target and renames it; reads with ``weights_only``.

    Lightning's own atomic writing goes through the system's temporary folder, and moving from
    there is a plain copy when that folder is on another file system: a kill in the middle of it
    leaves half a ``last.ckpt``.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        if storage_options is not None:
            raise TypeError("SafeCheckpointIO takes no storage_options.")
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(Path(path), buffer.getvalue())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = lambda storage, _: storage,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        return read_checkpoint(path, map_location)


class BestCheckpoint(Checkpoint):
    """Keeps ``checkpoints/best.ckpt`` in the run directory.

    It is chosen whenever the monitored figure is new, that is after each validation. The best so
    far is what ``best.ckpt`` says of itself: a run directory may be copied or moved, and where the
    file has been deleted the next one is the best.

    Args:
        monitor: The metric that decides which state is best, such as ``val/elbo``.
        mode: Whether the best is its maximum or its minimum.
    """

    def __init__(self, monitor: str, mode: Literal["min", "max"]) -> None:
        self.monitor, self.mode = monitor, mode
        self.best_model_score: float | None = None
        self._to_write = False

    @property
    def state_key(self) -> str:
        """Its name in checkpoints; Lightning builds it again at every hook, so it is short."""
        return "BestCheckpoint"

    def state_dict(self) -> dict[str, Any]:
        return {"monitor": self.monitor, "mode": self.mode, "score": self.best_model_score}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is not None:
            self.best_model_score = trainer.strategy.broadcast(self._score_on_disk(trainer))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not self._by_validation(trainer):
            return
        self._choose(trainer)
        if not trainer.fit_loop.epoch_loop._is_training_done:
            self._write(trainer)  # else when the epoch has ended, with all that belongs to it

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._by_validation(trainer):
            self._choose(trainer)
        self._write(trainer)

    def _by_validation(self, trainer: Trainer) -> bool:
        return trainer.enable_validation and not self.monitor.startswith("train/")

    def _choose(self, trainer: Trainer) -> None:
        figure = trainer.callback_metrics.get(self.monitor)
        if figure is None:
            figures = ", ".join(name for name in trainer.callback_metrics if "_step" not in name)
            raise UserError(
                f"there is no figure '{self.monitor}' by which to choose the best checkpoint: "
                f"monitor one of {figures or 'those that a monitor logs: this fit has none'}."
            )
        sign = 1.0 if self.mode == "max" else -1.0
        score = float(figure)
        if math.isnan(score):
            score = -sign * math.inf
        before = self.best_model_score
        gone = before is not None and not run_of(trainer).checkpoint("best").exists()
        better = before is None or gone or sign * score > sign * before
        if trainer.strategy.broadcast(better):
            self.best_model_score, self._to_write = score, True

    def _write(self, trainer: Trainer) -> None:
        if self._to_write and not in_trial(trainer):
            trainer.save_checkpoint(run_of(trainer).checkpoint("best"), weights_only=False)
        self._to_write = False

    def _score_on_disk(self, trainer: Trainer) -> float | None:
        path = run_of(trainer).checkpoint("best")
        if not path.exists():
            return None
        try:
            saved = read_checkpoint(path, mmap=True)["callbacks"]
        except (UserError, KeyError, TypeError):  # damaged: worth no more than none
            return None
        # Versions before wrote it under names that Lightning made up.
        own = next((saved[key] for key in saved if key.startswith(("Best", "ModelCheck"))), {})
        if own.get("monitor") != self.monitor or own.get("mode", self.mode) != self.mode:
            return None
        score = own.get("score", own.get("best_model_score"))
        return None if score is None else float(score)
