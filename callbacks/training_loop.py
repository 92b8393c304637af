"""Steps of training that do what somebody asked for and nothing else.

In every step Lightning enters each hook of each callback whether it is overridden or not, most of
them in a profiler's context, asks its strategy and its plug-ins for what they leave as it is, nests
four closures and computes metrics though nothing was logged: as long as a small model's backward
pass takes. `LeanLoop` looks once an epoch for what there is to call. What it calls, in which order
and with what, is Lightning's; so are the progress counters, and with them ``global_step``,
checkpoints, validation and the end of training.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.core.hooks import DataHooks
from pytorch_lightning.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from pytorch_lightning.loops.optimization.automatic import ClosureResult
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.trainer import call
from pytorch_lightning.trainer.connectors.logger_connector.result import _ResultCollection
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

from elbolab.denormals import flush_denormals
from elbolab.errors import UserError

__all__ = ["LEAN", "TRAINING_LOOP", "LeanLoop", "training_loop_of"]

TRAINING_LOOP = "ELBOLAB_TRAINING_LOOP"
"""Environment variable: ``lean``, as without it, or ``lightning``."""

LEAN = "lean"
"""What `training_loop_of` says where every step was a lean one."""

KNOWN = "2.6."
"""Releases of Lightning whose steps these are."""

STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class LeanLoop(Callback):
    """Puts the lean loop in the place of Lightning's where it is known to do the same.

    That is with automatic optimisation, one optimiser, one batch a step, no clipping, no scaler,
    one device or DDP, no profiler and a known version of Lightning. Else Lightning's own stays;
    ``training_loop_of(trainer)`` says which it was, and why.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        flush_denormals()  # for processes that did not start from the command line
        wanted = os.environ.get(TRAINING_LOOP, LEAN)
        if wanted not in (LEAN, "lightning"):
            raise UserError(f"{TRAINING_LOOP} must be 'lean' or 'lightning', got '{wanted}'.")
        loop = trainer.fit_loop.epoch_loop
        if stage == "fit" and wanted == LEAN and type(loop) is _TrainingEpochLoop:
            trainer.fit_loop.epoch_loop = LeanEpochLoop(loop)


def training_loop_of(trainer: Trainer) -> str:
    """Which loop the latest epoch of a fit ran in: `LEAN`, or "Lightning's" and the reason."""
    loop = trainer.fit_loop.epoch_loop
    if not isinstance(loop, LeanEpochLoop):
        return "Lightning's: asked for"
    return f"Lightning's: {loop.objection}" if loop.objection else LEAN


def objection(trainer: Trainer, fetcher: _DataFetcher) -> str | None:
    """What makes Lightning's own loop necessary; None where nothing does."""
    module, loop = trainer.lightning_module, trainer.fit_loop.epoch_loop
    precision = trainer.precision_plugin
    mixed = type(precision) is MixedPrecision and precision.scaler is None
    reasons = {
        f"Lightning {pytorch_lightning.__version__}": (
            not pytorch_lightning.__version__.startswith(KNOWN)
        ),
        "manual optimisation": not module.automatic_optimization,
        "several optimisers": len(trainer.optimizers) != 1,
        "accumulated batches": trainer.accumulate_grad_batches != 1,
        "clipping": bool(trainer.gradient_clip_val),
        "a step without backward pass": loop.automatic_optimization._skip_backward,
        "a scaler or a precision of its own": not (type(precision) is Precision or mixed),
        "its strategy": type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy),
        "a profiler": not isinstance(trainer.profiler, PassThroughProfiler),
        "its way of fetching data": type(fetcher) is not _PrefetchDataFetcher,
        "overridden steps of the module": any(
            _overridden(module, name, LightningModule)
            for name in ("backward", "configure_gradient_clipping", "optimizer_zero_grad")
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class LeanEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, with steps of its own where there may be.

    Args:
        loop: Lightning's, before its first epoch, whose limits, counters and validation it takes.
    """

    def __init__(self, loop: _TrainingEpochLoop) -> None:
        super().__init__(loop.trainer, loop.min_steps, loop.max_steps)
        vars(self).update(vars(loop))  # its validation knows its data already
        self._results = _Results(training=True)
        self.objection: str | None = None
        self._step: _Step | None = None

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        super().on_run_start(data_fetcher)
        self.objection = objection(self.trainer, data_fetcher)
        self._step = None if self.objection else _Step(self.trainer)
        self._validates = self._should_check_val_epoch()
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
        if self._num_ready_batches_reached() or trainer.should_stop or trainer.received_sigterm:
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
        super().log(*args, **kwargs)


class _Step:
    """One optimiser step, with everything looked up that does not change within an epoch.

    Args:
        trainer: The trainer, with module, optimiser and callbacks in place.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.module = trainer, trainer.lightning_module
        self.optimizer = trainer.optimizers[0]
        self.in_trial = bool(trainer.fast_dev_run)  # pyright: ignore
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.shared = distributed and trainer.world_size > 1
        self._alone = type(trainer.strategy) is SingleDeviceStrategy
        self._own_step = _overridden(self.module, "optimizer_step", LightningModule) is not None
        self._progress = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer
        self._hooks = {name: self._listeners(name) for name in STEP_HOOKS}
        self._training_step = self._find_training_step()
        self._takes_index = is_param_in_hook_signature(
            self.module.training_step, "batch_idx", min_args=2
        )
        self._device = trainer.strategy.root_device
        selector: Any = trainer._data_connector._datahook_selector
        self._moves_itself = any(
            _overridden(selector.get_instance(name), name, DataHooks) for name in TRANSFER_HOOKS
        )

    def moved(self, batch: Any) -> Any:
        """The batch on the device, after the hooks that data and module have for that."""
        if not self._moves_itself and self._is_there(batch):
            return batch
        batch = self.trainer.precision_plugin.convert_input(batch)
        batch = self.module._on_before_batch_transfer(batch, dataloader_idx=0)
        return call._call_strategy_hook(self.trainer, "batch_to_device", batch, dataloader_idx=0)

    def _is_there(self, batch: Any) -> bool:
        """Whether it is plain tensors on the device, as `TensorBatches` makes them."""
        return type(batch) is tuple and all(
            type(x) is Tensor and x.device == self._device for x in batch
        )

    def call(self, hook: str, *args: Any) -> Any:
        """Calls those callbacks, then the module, that have the hook; the module's answer."""
        callbacks, own = self._hooks[hook]
        if not callbacks and own is None:
            return None
        names = self.module.__dict__  # past torch's __setattr__, which looks for parameters
        before, names["_current_fx_name"] = names["_current_fx_name"], hook
        for listen in callbacks:
            listen(self.trainer, self.module, *args)
        answer = None if own is None else own(*args)
        names["_current_fx_name"] = before
        return answer

    def run(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Training step, backward pass and optimiser step; what the training step returned."""
        outputs: dict[str, Any] = {}

        def closure() -> Tensor | None:
            loss = self._loss(batch, batch_idx, outputs)
            self._zero_grad()
            if loss is None:
                return None
            self._backward(loss)
            return outputs["loss"]

        self._progress.step.increment_ready()
        if self._alone and not self._own_step:
            self.optimizer.step(self._and_listeners(closure))
        else:
            call._call_lightning_module_hook(
                self.trainer,
                "optimizer_step",
                self.trainer.current_epoch,
                batch_idx,
                self.trainer.strategy._lightning_optimizers[0],
                closure,
            )
        self._progress.step.increment_completed()
        return outputs

    def _and_listeners(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        if self._hooks["on_before_optimizer_step"] == ([], None):
            return closure

        def both() -> Any:
            loss = closure()
            self.call("on_before_optimizer_step", self.optimizer)
            return loss

        return both

    def _loss(self, batch: Any, batch_idx: int, outputs: dict[str, Any]) -> Tensor | None:
        """The loss with its graph; puts what callbacks are to see into ``outputs``."""
        names = self.module.__dict__
        before, names["_current_fx_name"] = names["_current_fx_name"], "training_step"
        returned = self._training_step(batch, *([batch_idx] if self._takes_index else []))
        names["_current_fx_name"] = before
        if returned is None and self.trainer.world_size > 1:
            raise RuntimeError("training_step may not return None where processes share a step.")
        if isinstance(returned, Mapping) and isinstance(returned.get("loss"), Tensor):
            outputs.update(returned)
            loss = outputs["loss"]
        else:  # a tensor alone, nothing, or what Lightning refuses
            loss = ClosureResult.from_training_step_output(returned).closure_loss
        if loss is not None:
            outputs["loss"] = loss.detach()
        return loss

    def _zero_grad(self) -> None:
        self._progress.zero_grad.increment_ready()
        self.call("on_before_zero_grad", self.optimizer)
        self._progress.zero_grad.increment_started()
        self.optimizer.zero_grad()
        self._progress.zero_grad.increment_completed()

    def _backward(self, loss: Tensor) -> None:
        if not self._alone:
            call._call_strategy_hook(self.trainer, "backward", loss, self.optimizer)
            return
        self.call("on_before_backward", loss)
        loss.backward()
        self.call("on_after_backward")

    def _find_training_step(self) -> Callable[..., Any]:
        plain = type(self.trainer.precision_plugin) is Precision
        return (self.module if self._alone and plain else self.trainer.strategy).training_step

    def _listeners(self, name: str) -> tuple[list[Any], Any]:
        hooks = (_overridden(callback, name, Callback) for callback in self.trainer.callbacks)
        own = _overridden(self.module, name, LightningModule)
        return [hook for hook in hooks if hook is not None], own


def _overridden(owner: Any, name: str, base: type) -> Callable[..., Any] | None:
    """The method, unless it is the base class's own."""
    method = getattr(owner, name)
    return None if getattr(method, "__func__", method) is getattr(base, name) else method
