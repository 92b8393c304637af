"""What tests name in configurations and checkpoints."""

import os
import signal
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule
from torch.optim.lr_scheduler import LinearLR

from callbacks.run.training_loop import training_loop_of
from lightning_modules.vae import VAE


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


HOOK_CALLS: list[Any] = []
"""What `RecordHooks` saw, in order."""

HOOKS = [
    name
    for name in vars(Callback)
    if name.startswith("on_") and "checkpoint" not in name and name != "on_exception"
]


class RecordHooks(Callback):
    """Notes every hook that is called, of callbacks and of the module, with where it was."""


def _noting(name):
    def note(self, trainer, pl_module, *args):
        fit = trainer.fit_loop
        batch = fit.epoch_loop.batch_progress
        optimiser = fit.epoch_loop.automatic_optimization.optim_progress.optimizer
        HOOK_CALLS.append(
            (
                name,
                pl_module._current_fx_name,
                trainer.global_step,
                trainer.current_epoch,
                str((batch.state_dict(), optimiser.state_dict(), fit.epoch_progress.state_dict())),
                [arg for arg in args if isinstance(arg, int)],
                [sorted(arg) for arg in args if isinstance(arg, dict)],
                [type(arg).__name__ for arg in args],
            )
        )

    return note


for _name in HOOKS:
    setattr(RecordHooks, _name, _noting(_name))


class LogEverywhere(Callback):
    """Logs by steps and by epochs, from several hooks, and not at every step."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.log("start", float(batch_idx), on_step=True, on_epoch=True)

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        self.log("zero", float(trainer.global_step), on_step=True, on_epoch=False)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx % 4 == 1:
            self.log("end", outputs["loss"], prog_bar=True, on_step=True, on_epoch=True)
        HOOK_CALLS.append({k: float(v) for k, v in sorted(trainer.callback_metrics.items())})
        HOOK_CALLS.append(sorted(trainer.progress_bar_metrics.items()))
        HOOK_CALLS.append({k: float(v) for k, v in sorted(trainer.logged_metrics.items())})

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.log("end", -1.0, on_step=False, on_epoch=True)


class AskToStop(Callback):
    """Sets ``should_stop`` in the midst of an epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 9:
            trainer.should_stop = True


class SkipRest(Callback):
    """Lets the module skip the rest of each epoch from its sixth batch on."""

    def setup(self, trainer, pl_module, stage):
        pl_module.on_train_batch_start = lambda batch, batch_idx: -1 if batch_idx == 5 else None


class ScheduleBySteps(Callback):
    """Adds a learning-rate schedule that moves with every step."""

    def on_fit_start(self, trainer, pl_module):
        schedule = LinearLR(trainer.optimizers[0], total_iters=20)
        trainer.strategy.lr_scheduler_configs.append(_by_steps(schedule))


def _by_steps(schedule):
    from pytorch_lightning.utilities.types import LRSchedulerConfig

    return LRSchedulerConfig(schedule, interval="step", frequency=2)


class WriteHooks(RecordHooks):
    """Writes what was recorded, one file a process, and which loop it was."""

    def on_train_end(self, trainer, pl_module):
        folder = Path(trainer.default_root_dir)
        text = "\n".join(map(repr, HOOK_CALLS))
        (folder / f"hooks{trainer.global_rank}.txt").write_text(text)
        (folder / "loop.txt").write_text(training_loop_of(trainer))


class Unmonitored(VAE):
    """Logs a metric by itself."""

    def __init__(self):
        super().__init__((1, 4, 4), 2, [8])

    def validation_step(self, batch, batch_idx):
        self.log("val/mean", super().validation_step(batch, batch_idx)["bound"].mean())


class Plain(Unmonitored):
    """Returns its loss alone from a step that takes the batch alone."""

    def training_step(self, batch):
        return super().training_step(batch, 0)["loss"]

    def on_train_batch_end(self, outputs, batch, batch_idx):
        HOOK_CALLS.append(float(outputs["loss"]))


class OwnStep(Unmonitored):
    """Has something to do around the optimiser's step."""

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
        HOOK_CALLS.append((epoch, batch_idx, type(optimizer).__name__, "before"))
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        HOOK_CALLS.append(float(next(self.parameters()).sum()))


class Sometimes(Unmonitored):
    """Returns nothing from every third step."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) if batch_idx % 3 else None


class WithoutBackward(Callback):
    """Skips backward passes, as Lightning's stochastic weight averaging does in its last epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        trainer.fit_loop._skip_backward = True


class CountDenormals(Callback):
    """Says in which half of a large tensor, and so in which of two threads, denormals survive."""

    def on_train_end(self, trainer, pl_module):
        products = (torch.full((1_000_000,), 1e-40) * 1.0).chunk(2)
        numbers = [half.view(torch.int32).count_nonzero().item() for half in products]
        print("halves with denormals:", [i for i, number in enumerate(numbers) if number])


class ShrinkMoments(Callback):
    """Makes Adam's first moments denormal at one step, as those of black pixels become."""

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        if trainer.global_step == 18:
            for slots in optimizer.state.values():
                slots["exp_avg"].mul_(1e-38)
