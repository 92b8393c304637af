"""What tests name in configurations and checkpoints."""

import os
import signal

from pytorch_lightning import Callback, LightningModule


class StopAt(Callback):
    """Sends ``name`` (such as SIGTERM) before the batch that makes step ``step + 1``."""

    def __init__(self, step: int, name: str = "SIGTERM") -> None:
        self.step, self.name = step, name

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.Signals[self.name])


class StopInValidation(Callback):
    """Sends SIGTERM before the ``batch``-th batch of all validations, counted from 0."""

    def __init__(self, batch: int) -> None:
        self.batch, self.seen = batch, -1

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self.seen += 1
        if self.seen == self.batch:
            os.kill(os.getpid(), signal.SIGTERM)


class Mute(LightningModule):
    """A module that trains and cannot be sampled."""

    def training_step(self, batch, batch_idx):
        return None

    def configure_optimizers(self):
        return None


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))
