"""Checkpoints that are whole or absent, hold no code, and say what is wrong with them."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from callbacks.trainer_facts import in_trial, run_of
from elbolab.errors import UserError
from elbolab.run_directory import write_atomically
from lightning_modules.trained_runs import read_checkpoint

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


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``checkpoints/best.ckpt`` and ``checkpoints/last.ckpt`` in the run directory.

    Args:
        monitor: The metric that decides which epoch is best, such as ``val/elbo``.
        mode: Whether the best is its maximum or its minimum.
    """

    def __init__(self, monitor: str, mode: Literal["min", "max"]) -> None:
        super().__init__(
            monitor=monitor,
            mode=mode,
            filename="best",
            save_last=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    @property
    def state_key(self) -> str:
        """Its name in checkpoints; Lightning builds it again at every hook, so it is short."""
        return "BestCheckpoint"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.dirpath = str(run_of(trainer).checkpoints.resolve())
        super().setup(trainer, pl_module, stage)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # ModelCheckpoint saves a last.ckpt here even in a fast_dev_run, which must leave nothing.
        if not in_trial(trainer):
            super().on_train_end(trainer, pl_module)
