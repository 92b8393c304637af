"""One optimiser step of Lightning's automatic optimisation, without what is idle in it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.core.hooks import DataHooks
from pytorch_lightning.loops.optimization.automatic import ClosureResult
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.trainer import call
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

from callbacks.run.fused_adam import FusedAdam

__all__ = ["LeanStep", "overridden"]

STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class LeanStep:
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
        self._own_step = not self._alone or bool(
            overridden(self.module, "optimizer_step", LightningModule)
        )
        fused = FusedAdam.of(self.optimizer)
        self._step = fused.step if fused else self.optimizer.step
        self._clear = fused.zero_grad if fused else self.optimizer.zero_grad
        self._progress = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer
        self._hooks = {name: self._listeners(name) for name in STEP_HOOKS}
        self._training_step = self._find_training_step()
        self._takes_index = is_param_in_hook_signature(
            self.module.training_step, "batch_idx", min_args=2
        )
        self._device = trainer.strategy.root_device
        selector: Any = trainer._data_connector._datahook_selector
        before, transfer, self._prepare = (
            overridden(selector.get_instance(name), name, DataHooks) for name in TRANSFER_HOOKS
        )
        self._moves_itself = before is not None or transfer is not None

    def moved(self, batch: Any) -> Any:
        """The batch on the device, after the hooks that data and module have for that."""
        if not self._moves_itself and self._is_there(batch):
            return batch if self._prepare is None else self._prepare(batch, 0)
        batch = self.trainer.precision_plugin.convert_input(batch)
        batch = self.module._on_before_batch_transfer(batch, dataloader_idx=0)
        return call._call_strategy_hook(self.trainer, "batch_to_device", batch, dataloader_idx=0)

    def _is_there(self, batch: Any) -> bool:
        """Whether it is plain tensors on the device, as `TensorBatches` makes them."""
        return isinstance(batch, tuple) and all(
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
        if self._own_step:
            self._through_lightning(closure, batch_idx)
        else:
            self._step(self._and_listeners(closure))
        self._progress.step.increment_completed()
        return outputs

    def _through_lightning(self, closure: Callable[[], Any], batch_idx: int) -> None:
        """The optimiser step where module or strategy have something of their own to do there."""
        call._call_lightning_module_hook(
            self.trainer,
            "optimizer_step",
            self.trainer.current_epoch,
            batch_idx,
            self.trainer.strategy._lightning_optimizers[0],
            closure,
        )

    def _and_listeners(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        """The closure, then whoever wants to see the gradients."""
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
        self._clear()
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
        trainer: Any = self.trainer
        hooks = (overridden(callback, name, Callback) for callback in trainer.callbacks)
        own = overridden(self.module, name, LightningModule)
        return [hook for hook in hooks if hook is not None], own


def overridden(owner: Any, name: str, base: type) -> Callable[..., Any] | None:
    """The method, unless it is the base class's own."""
    method = getattr(owner, name)
    return None if getattr(method, "__func__", method) is getattr(base, name) else method
