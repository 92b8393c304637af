"""Steps of training that do what somebody asked for and nothing else.

In every step Lightning enters each hook of each callback whether it is overridden or not, most of
them in a profiler's context, asks its strategy and its plug-ins for what they leave as it is, nests
four closures and computes metrics though nothing was logged: as long as a small model's backward
pass takes. `LeanLoop` looks once an epoch for what there is to call. What it calls, in which order
and with what, is Lightning's; so are the progress counters, and with them ``global_step``,
checkpoints, validation and the end of training.
"""

import os
from importlib.metadata import version
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultCollection

from callbacks.run.fit_loop import ResumableEpochLoop
from callbacks.run.lean_step import LeanStep, overridden
from elbolab.denormals import flush_denormals
from elbolab.errors import UserError

__all__ = ["LEAN", "TRAINING_LOOP", "LeanLoop", "training_loop_of"]

TRAINING_LOOP = "ELBOLAB_TRAINING_LOOP"
"""Environment variable: ``lean``, as without it, or ``lightning``."""

LEAN = "lean"
"""What `training_loop_of` says where every step was a lean one."""

KNOWN = "2.6."
"""Releases of Lightning whose steps these are."""


class LeanLoop(Callback):
    """Makes the steps of a fit lean where they are known to do the same as Lightning's.

    That is with automatic optimisation, one optimiser, one batch a step, no clipping, no scaler,
    one device or DDP, no profiler and a known version of Lightning. Else Lightning's steps stay;
    ``training_loop_of(trainer)`` says which they were, and why. To stand behind `ExactResume`.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        flush_denormals()  # for processes that did not start from the command line
        wanted = os.environ.get(TRAINING_LOOP, LEAN)
        if wanted not in (LEAN, "lightning"):
            raise UserError(f"{TRAINING_LOOP} must be 'lean' or 'lightning', got '{wanted}'.")
        loop: Any = trainer.fit_loop.epoch_loop
        if stage == "fit" and wanted == LEAN and type(loop) in LEAN_KINDS:
            # Not a new loop: this one is wired to its data and limits already.
            loop.__class__ = LEAN_KINDS[type(loop)]
            loop._step = None


def training_loop_of(trainer: Trainer) -> str:
    """Which steps the latest epoch of a fit had: `LEAN`, or "Lightning's" and the reason."""
    loop = trainer.fit_loop.epoch_loop
    if not isinstance(loop, LeanEpochLoop):
        return "Lightning's: asked for"
    return f"Lightning's: {loop.objection}" if loop.objection else LEAN


def objection(trainer: Trainer, fetcher: _DataFetcher) -> str | None:
    """What makes Lightning's own loop necessary; None where nothing does."""
    known: Any = trainer  # type checkers do not see all of it
    module, loop = trainer.lightning_module, trainer.fit_loop.epoch_loop
    precision, release = trainer.precision_plugin, version("pytorch-lightning")
    mixed = type(precision) is MixedPrecision and precision.scaler is None
    reasons = {
        f"Lightning {release}": not release.startswith(KNOWN),
        "manual optimisation": not module.automatic_optimization,
        "several optimisers": len(trainer.optimizers) != 1,
        "accumulated batches": trainer.accumulate_grad_batches != 1,
        "clipping": bool(trainer.gradient_clip_val),
        "a step without backward pass": loop.automatic_optimization._skip_backward,
        "a scaler or a precision of its own": not (type(precision) is Precision or mixed),
        "its strategy": type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy),
        "a profiler": not isinstance(known.profiler, PassThroughProfiler),
        "its way of fetching data": type(fetcher) is not _PrefetchDataFetcher,
        "overridden steps of the module": any(
            overridden(module, name, LightningModule)
            for name in ("backward", "configure_gradient_clipping", "optimizer_zero_grad")
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class LeanEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, with steps of its own where there may be."""

    objection: str | None = None
    """Why steps are Lightning's."""
    _step: LeanStep | None = None
    _validates = True
    _results: Any  # a _Results

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        super().on_run_start(data_fetcher)
        self.objection = objection(self.trainer, data_fetcher)
        self._step = None if self.objection else LeanStep(self.trainer)
        self._validates = self._should_check_val_epoch()
        self._results.__class__ = _Results
        self._results.changed = True

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Runs one batch: `_TrainingEpochLoop.advance` line by line, without what is idle."""
        step = self._step
        if step is None or self.restarting:
            super().advance(data_fetcher)
            return
        if self.val_loop.restarting:
            self.val_loop.restarting = False
        if step.shared:
            self._broadcast_sigterm_tensor()
        batch = next(data_fetcher)[0]
        progress = self.batch_progress
        batch_idx = progress.current.ready
        progress.is_last_batch = data_fetcher.done
        batch = step.moved(batch)
        progress.increment_ready()
        self._note(batch)
        outputs, skipped = None, False
        if batch is not None:
            skipped = step.call("on_train_batch_start", batch, batch_idx) == -1
            if skipped:
                progress.increment_by(0, is_last_batch=True)
            else:
                progress.increment_started()
                outputs = step.run(batch, batch_idx)
        progress.increment_processed()
        if self.trainer.lr_scheduler_configs:
            self._step_schedules()
        if skipped:
            raise StopIteration
        step.call("on_train_batch_end", outputs, batch, batch_idx)
        self._take_metrics()
        progress.increment_completed()
        connector = self.trainer._logger_connector
        if self._results and (connector.should_update_logs or step.in_trial):
            connector.update_train_step_metrics()

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        """Validates where it is time to; in most steps it only counts them."""
        if self._step is None or self._something_is_due():
            super().on_advance_end(data_fetcher)
            self._results.changed = True  # validation may have shown other values of the same name
        else:
            self._batches_that_stepped += 1

    def _something_is_due(self) -> bool:
        """Whether `on_advance_end` may have to do more than to count."""
        trainer = self.trainer
        if self._is_training_done or trainer.should_stop or trainer.received_sigterm:
            return True
        if any(config.interval == "step" for config in trainer.lr_scheduler_configs):
            return True
        if not self._validates:
            return False
        every = trainer.val_check_batch
        if not isinstance(every, int):
            return True
        whole = trainer.check_val_every_n_epoch is None
        return (self.total_batch_idx if whole else self.batch_idx) % every == every - 1

    def _step_schedules(self) -> None:
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)

    def _note(self, batch: Any) -> None:
        """Tells whoever logs which batch it is: `_LoggerConnector.on_batch_start`."""
        connector, results = self.trainer._logger_connector, self._results
        connector._first_loop_iter = connector._first_loop_iter is None
        results.batch, results.batch_size, results.dataloader_idx = batch, None, None

    def _take_metrics(self) -> None:
        """Shows metrics to callbacks if some changed: `_LoggerConnector.on_batch_end`."""
        if self._results.changed:
            self.trainer._logger_connector.on_batch_end()
            self._results.changed = False
        else:
            self._results.batch = self._results.batch_size = None


class _Results(_ResultCollection):
    """What was logged in training; ``changed`` since it was last shown, if anything was."""

    changed = True

    def log(self, *args: Any, **kwargs: Any) -> None:
        self.changed = True
        super().log(*args, **kwargs)  # pyright: ignore  decorated there


class LeanResumableLoop(ResumableEpochLoop, LeanEpochLoop):
    """`ResumableEpochLoop` around lean steps."""


LEAN_KINDS = {_TrainingEpochLoop: LeanEpochLoop, ResumableEpochLoop: LeanResumableLoop}
"""Which loops are known to keep their own ways with lean steps inside."""
