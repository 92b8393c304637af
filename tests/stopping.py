"""A callback for tests: sends its own process a signal in the midst of an epoch."""

import os
import signal

from pytorch_lightning import Callback


class StopAt(Callback):
    """Sends ``name`` (such as SIGTERM) before the batch that makes step ``step + 1``."""

    def __init__(self, step: int, name: str = "SIGTERM") -> None:
        self.step, self.name = step, name

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.Signals[self.name])
