r"""The continuous Bernoulli: the density on [0, 1] that is proportional to a Bernoulli's.

.. math:: p(x) = \lambda^x (1 - \lambda)^{1 - x} C(\lambda) = \frac{l\, e^{l x}}{e^l - 1},
          \qquad l = \log\frac{\lambda}{1 - \lambda}

Source: Loaiza-Ganem & Cunningham, *The continuous Bernoulli*, 2019, equations 4 to 8, written in
the logit l, where the normaliser is an even function and nothing overflows.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["log_density", "log_normalizer", "mean"]

NEAR_ZERO = 0.3
"""Below this |l| the series are exact to 1e-8, and the fractions, 0/0 at 0, lose digits."""


def log_normalizer(logits: Tensor) -> Tensor:
    """Elementwise log C(λ) = log(l / tanh(l/2)); log 2 at l = 0."""
    small, safe = _split(logits)
    square = logits.square()
    series = math.log(2) + square * (1 / 12 - square * (7 / 1440 - square * 31 / 90720))
    return torch.where(small, series, torch.log(safe / torch.tanh(safe / 2)))


def log_density(x: Tensor, logits: Tensor) -> Tensor:
    """Elementwise log p(x) in nats for pixels x in [0, 1]: a density, it may be positive."""
    return x * logits - F.softplus(logits) + log_normalizer(logits)


def mean(logits: Tensor) -> Tensor:
    """E[x] = 1/(1 − e⁻ˡ) − 1/l elementwise, in (0, 1); ½ at l = 0."""
    small, safe = _split(logits)
    square = logits.square()
    series = 0.5 + logits * (1 / 12 - square * (1 / 720 - square / 30240))
    far = -1 / torch.expm1(-safe) - 1 / safe
    return torch.where(small, series, far)


def _split(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Where l is near 0, and l with 1 in these places, whose gradient is finite."""
    small = logits.abs() < NEAR_ZERO
    return small, torch.where(small, torch.ones_like(logits), logits)
