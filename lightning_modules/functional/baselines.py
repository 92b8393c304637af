"""Baselines of the score-function estimator: what is subtracted from a draw's signal.

A baseline that does not depend on draw k leaves the gradient's expectation as it is, because
E_q[∇ log q(z)] = 0, and lowers its variance the better it predicts the signal.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from elbolab.checks import check_in
from lightning_modules.functional.bounds import Bound

__all__ = ["Baseline", "LeaveOneOut", "NoBaseline", "RunningMean"]


class Baseline(nn.Module, ABC):
    """Predicts the signal of each draw without looking at that draw."""

    min_samples = 1
    """How many draws of each example it needs."""

    @abstractmethod
    def forward(self, log_weights: Tensor, bound: Bound) -> Tensor:
        """The baseline for log-weights ``(K, B)``, of a shape that broadcasts with theirs."""


class NoBaseline(Baseline):
    """Nothing is subtracted."""

    def forward(self, log_weights: Tensor, bound: Bound) -> Tensor:
        return torch.zeros((), device=log_weights.device)


class RunningMean(Baseline):
    """The mean signal of the batches before this one, older ones counting less.

    Args:
        decay: How much of a batch's weight is left after the next one, in [0, 1).

    Raises:
        UserError: If ``decay`` is not in [0, 1).
    """

    total: Tensor
    weight: Tensor

    def __init__(self, decay: float = 0.9) -> None:
        super().__init__()
        check_in("[0, 1)", decay=decay)
        self.decay = decay
        # Buffers, so that a resumed run goes on with the mean that it had.
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("weight", torch.zeros(()))

    def forward(self, log_weights: Tensor, bound: Bound) -> Tensor:
        before = self.total / self.weight.clamp_min(torch.finfo(self.weight.dtype).tiny)
        new = bound.signal(log_weights).mean().to(self.total)
        self.total = self.decay * self.total + (1 - self.decay) * new
        self.weight = self.decay * self.weight + (1 - self.decay)
        return before


class LeaveOneOut(Baseline):
    """The other draws' estimate: their mean, or for importance weights VIMCO's."""

    min_samples = 2

    def forward(self, log_weights: Tensor, bound: Bound) -> Tensor:
        return bound.leave_one_out(log_weights)
