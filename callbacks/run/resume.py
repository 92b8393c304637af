"""Stopping at any moment and going on as if nothing had happened."""

import signal
import threading
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from callbacks.run.fit_loop import ResumableFitLoop, fit_loop_of
from callbacks.run.stop_signals import Vote
from elbolab.seeding import derive_seed

__all__ = ["ExactResume"]


class ExactResume(Callback):
    """Makes noise a function of where it is drawn, and turns a stop signal into a checkpoint.

    Before each batch the global generators are seeded with (seed, stage, batch, rank). So a run
    resumed in the middle of an epoch draws the noise of the uninterrupted one, on every rank,
    without any generator state in the checkpoint; and how often one validates changes nothing.
    (Together with `TensorBatches`, whose order is a function of (seed, epoch).)

    On SIGTERM or Ctrl-C the batch in hand is finished, or rather the optimiser's step where several
    batches make one; a validation is broken off, and repeated when the run goes on.
    ``checkpoints/last.ckpt`` is written, and the process ends with the exit code 128 + signal that
    shells and schedulers expect. A second signal does not wait. (`ResumableFitLoop`, which this
    puts in the place of Lightning's, says more.)

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._vote = Vote()
        self._votes = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            ResumableFitLoop.take_over(trainer.fit_loop)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if isinstance(trainer.fit_loop, ResumableFitLoop):
            place = trainer.fit_loop.place()
            checkpoint["epoch"] = max(0, place.epoch - (place.batch == 0))  # the last that began

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        fit_loop_of(trainer).stops.listen(trainer)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # Batches, not optimiser steps: those of one step must not share their noise.
        self._seed_noise(trainer, "train", trainer.fit_loop.total_batch_idx)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            _let_signals_end()
            return
        self._vote.restart()
        self._votes = float("inf")
        if trainer.world_size > 1:  # the others may have one batch less
            batches = sum(trainer.fit_loop.epoch_loop.val_loop.max_batches)
            least = torch.tensor(float(batches), device=trainer.strategy.root_device)
            torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
            self._votes = least.item()

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn == "fit":
            self._stop_if_asked(trainer, batch_idx, dataloader_idx)
        self._seed_noise(trainer, "val", batch_idx)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _let_signals_end()

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._seed_noise(trainer, "test", batch_idx)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _let_signals_end()

    def on_predict_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._seed_noise(trainer, "predict", batch_idx)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if isinstance(trainer.fit_loop, ResumableFitLoop):
            trainer.fit_loop.stops.forget()

    def _stop_if_asked(self, trainer: Trainer, batch_idx: int, dataloader_idx: int) -> None:
        """Breaks a validation off, which is repeated when the run goes on."""
        loop = fit_loop_of(trainer)
        if dataloader_idx > 0 or batch_idx >= self._votes or loop._should_accumulate():
            return
        if number := self._vote.agreed(trainer, loop.stops.number, batch_idx, force=False):
            if trainer.sanity_checking:
                raise SystemExit(128 + number)  # nothing is trained yet
            loop.stop(number)

    def _seed_noise(self, trainer: Trainer, stage: str, step: int) -> None:
        device = trainer.strategy.root_device
        _seed_generators(device, derive_seed(self.seed, stage, step, trainer.global_rank))


def _let_signals_end() -> None:
    """An evaluation has nothing to save: SIGTERM ends it at once. Lightning would only note it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
