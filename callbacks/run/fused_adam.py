"""Adam's fused step without what torch looks up for it anew at every step.

``Adam.step`` sorts its tensors by device and type, checks a dozen options, and enters two
decorators and a profiler's context before its one kernel runs: a tenth of a small model's step.
What the kernel is given is the same, so that weights are equal bit for bit.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

__all__ = ["FusedAdam"]

PLAIN = {"amsgrad": False, "capturable": False, "differentiable": False, "fused": True}
"""Options of a group whose step this is."""


KERNELS: Any = torch  # where type checkers do not see them


class FusedAdam:
    """The step of a ``torch.optim.Adam`` or ``AdamW`` with ``fused=True``; it keeps no state.

    Args:
        optimizer: The optimiser, one of those that `of` accepts.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    @classmethod
    def of(cls, optimizer: Optimizer) -> Self | None:
        """For an optimiser whose step is the kernel, then its hooks; None for all others."""
        before = _global_optimizer_pre_hooks or optimizer._optimizer_step_pre_hooks
        if type(optimizer) not in (Adam, AdamW) or before or _global_optimizer_post_hooks:
            return None
        # A schedule wraps the step to count it; any other wrapper may do anything.
        if "step" in vars(optimizer) and not hasattr(optimizer.step, "_wrapped_by_lr_sched"):
            return None
        return cls(optimizer) if all(map(_is_plain, optimizer.param_groups)) else None

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self, closure: Callable[[], Any]) -> None:
        """Calls the closure, which leaves gradients, and moves the parameters."""
        closure()
        optimizer = self.optimizer
        for group in optimizer.param_groups:
            if any(p.grad is None or p not in optimizer.state for p in group["params"]):
                optimizer.step()  # the first one, which makes the state, or not all are in use
                return
        with torch.no_grad():
            for group in optimizer.param_groups:
                _update(group, [optimizer.state[p] for p in group["params"]])
        optimizer._opt_called = True  # pyright: ignore  a schedule's mark of a step taken
        for hook in optimizer._optimizer_step_post_hooks.values():
            hook(optimizer, (closure,), {})


def _update(group: dict[str, Any], states: list[dict[str, Any]]) -> None:
    """The kernel's call, as ``torch.optim.adam._fused_adam`` has it for one device and type."""
    steps = [state["step"] for state in states]
    KERNELS._foreach_add_(steps, 1)
    decoupled = group["decoupled_weight_decay"]
    kernel = KERNELS._fused_adamw_ if decoupled else KERNELS._fused_adam_
    kernel(
        group["params"],
        [p.grad for p in group["params"]],
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [],
        steps,
        amsgrad=False,
        lr=group["lr"],
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=group["maximize"],
        grad_scale=None,
        found_inf=None,
    )


def _is_plain(group: dict[str, Any]) -> bool:
    parameters = group["params"]
    return (
        all(group[name] == value for name, value in PLAIN.items())
        and not any(isinstance(value, torch.Tensor) for value in (group["lr"], *group["betas"]))
        and len({(p.device, p.dtype) for p in parameters}) == 1
        and not parameters[0].is_complex()
    )
