"""Stopping at any moment and going on as if nothing had happened."""

import signal
import threading
from types import FrameType
from typing import Any

import torch
from lightning_utilities.core.rank_zero import rank_zero_info
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.trainer_facts import run_of
from elbolab.seeding import derive_seed

__all__ = ["ExactResume"]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ExactResume(Callback):
    """Makes noise a function of where it is drawn, and turns a stop signal into a checkpoint.

    Before each batch the global generators are seeded with (seed, stage, step, rank). So a run
    resumed in the middle of an epoch draws the noise of the uninterrupted one, on every rank,
    without any generator state in the checkpoint; and how often one validates changes nothing.
    (Together with `TensorBatches`, whose order is a function of (seed, epoch).)

    On SIGTERM or Ctrl-C the batch in hand is finished, ``checkpoints/last.ckpt`` written, and the
    process ends with the exit code 128 + signal that shells and schedulers expect. A second
    signal does not wait.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._stopped_by: int | None = None
        self._previous_handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Only now: Lightning registers its own handlers, which exit without a checkpoint, before.
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                self._previous_handlers[number] = signal.signal(number, self._note)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._seed_noise(trainer, "train", trainer.global_step)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._seed_noise(trainer, "val", batch_idx)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._seed_noise(trainer, "test", batch_idx)

    def on_predict_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._seed_noise(trainer, "predict", batch_idx)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        stopped = self._stopped_by is not None
        # Ranks notice the signal at different batches and must agree on the one to stop at.
        if trainer.world_size > 1:
            stopped = trainer.strategy.reduce_boolean_decision(stopped, all=False)
        if stopped:
            self._save_and_leave(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore_handlers()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._restore_handlers()

    def _seed_noise(self, trainer: Trainer, stage: str, step: int) -> None:
        device = trainer.strategy.root_device
        _seed_generators(device, derive_seed(self.seed, stage, step, trainer.global_rank))

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._stopped_by is not None:
            self._restore_handlers()
            raise KeyboardInterrupt
        self._stopped_by = number

    def _save_and_leave(self, trainer: Trainer) -> None:
        number = self._stopped_by or signal.SIGTERM
        path = run_of(trainer).checkpoint("last")
        trainer.save_checkpoint(path, weights_only=False)
        rank_zero_info(
            f"\nStopped by {signal.Signals(number).name}; saved {path}. "
            "The same command with --ckpt_path last goes on from here."
        )
        raise SystemExit(128 + number)

    def _restore_handlers(self) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        self._previous_handlers = {}


def _seed_generators(device: torch.device, seed: int) -> None:
    """Seeds the CPU's generator and the device's.

    Not ``torch.manual_seed``: where a CUDA build finds no GPU in use it formats a traceback and
    queues it at every call, a millisecond and some memory each.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
