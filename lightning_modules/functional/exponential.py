"""The exponential distribution, given by its log-rate."""

import torch
from torch import Size, Tensor
from torch.distributions import Exponential

__all__ = ["LogRateExponential"]


class LogRateExponential(Exponential):
    """Exp(λ) on [0, ∞), density λ exp(−λz), from log λ.

    Args:
        log_rate: log λ, any shape.
    """

    def __init__(self, log_rate: Tensor) -> None:
        self.log_rate = log_rate
        super().__init__(log_rate.exp(), validate_args=False)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Z = −log(1 − u)/λ with u ~ U[0, 1), ``(*sample_shape, *shape)``."""
        shape = (*sample_shape, *self.log_rate.shape)
        uniform = torch.rand(shape, dtype=self.rate.dtype, device=self.rate.device)
        return -torch.log1p(-uniform) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        return self.log_rate - self.rate * value
