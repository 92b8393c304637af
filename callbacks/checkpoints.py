"""Checkpoints that are whole or absent, hold no code, and say what is wrong with them."""

import io
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal
from zipfile import BadZipFile

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from callbacks.trainer_facts import in_trial, run_of
from elbolab.errors import UserError
from elbolab.run_directory import write_atomically

__all__ = ["BestCheckpoint", "SafeCheckpointIO", "check_fits", "read_checkpoint"]


def read_checkpoint(path: str | Path, map_location: Any = "cpu", *, mmap: bool = False) -> Any:
    """Loads a checkpoint of tensors and plain values only; code in it is refused, not run.

    Raises:
        UserError: If the file is missing, damaged, or holds anything else.
    """
    try:
        return torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except FileNotFoundError as error:
        raise UserError(f"no checkpoint {path}.") from error
    except UnpicklingError as error:
        raise UserError(
            f"checkpoint {path} is refused: it holds more than tensors and plain values "
            "(code that would run on loading), or is damaged."
        ) from error
    except (RuntimeError, BadZipFile, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"checkpoint {path} is damaged or no checkpoint at all.") from error


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
