r"""Gaussians given by their log-variance, and the closed forms of the divergence between them.

.. math::
    \mathrm{KL}(N(\mu, \sigma^2) \| N(m, s^2))
        = \tfrac12\left(\frac{\sigma^2 + (\mu - m)^2}{s^2} - 1 - \log\frac{\sigma^2}{s^2}\right)

Source: Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014, appendix B.
"""

import math

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Normal, register_kl

__all__ = [
    "LOG_VARIANCE_BOUND",
    "LogVarianceNormal",
    "StandardNormal",
    "bounded",
    "kl_to_standard_normal",
]

LOG_VARIANCE_BOUND = 15.0
"""|log σ²| of a posterior stays below this: 5.5e-4 < σ < 1,808, whatever the encoder says."""

LOG_2PI = math.log(2 * math.pi)


def bounded(raw: Tensor, bound: float = LOG_VARIANCE_BOUND) -> Tensor:
    """``bound · tanh(raw / bound)``: in (−bound, bound), smooth, and ``raw`` itself near 0."""
    return bound * (raw / bound).tanh()


class LogVarianceNormal(Normal):
    """N(μ, σ²) that remembers log σ², from which it was made.

    Torch's `Normal` keeps σ alone, and log σ² has to be computed back from it, and through it
    backwards: half of the divergence's cost, and infinite where σ underflows.

    Args:
        mean: μ, any shape.
        log_variance: log σ², the same shape.
    """

    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        self.log_variance = log_variance
        self.loc, self.scale = mean, (0.5 * log_variance).exp()
        # Past Normal's own, which broadcasts one to the other.
        Distribution.__init__(self, mean.shape, validate_args=False)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Z = μ + σ ε with ε ~ N(0, 1), ``(*sample_shape, *shape)``."""
        shape = (*sample_shape, *self.loc.shape)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.scale * noise

    def log_prob(self, value: Tensor) -> Tensor:
        standardized = (value - self.loc) / self.scale
        return -0.5 * (standardized.square() + self.log_variance + LOG_2PI)


class StandardNormal(Normal):
    """N(0, 1).

    Args:
        zero: Zeros of the wanted shape, on the wanted device.
    """

    def __init__(self, zero: Tensor) -> None:
        self.loc, self.scale = zero, torch.ones_like(zero)
        Distribution.__init__(self, zero.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return -0.5 * (value.square() + LOG_2PI)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) in nats, elementwise: μ → mean, log σ² → log_variance."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


@register_kl(LogVarianceNormal, StandardNormal)
def _to_standard(q: LogVarianceNormal, _: StandardNormal) -> Tensor:
    return kl_to_standard_normal(q.loc, q.log_variance)


@register_kl(LogVarianceNormal, LogVarianceNormal)
def _to_any(q: LogVarianceNormal, p: LogVarianceNormal) -> Tensor:
    # Moved and scaled so that p is N(0, 1); the divergence does not change.
    return kl_to_standard_normal((q.loc - p.loc) / p.scale, q.log_variance - p.log_variance)
