r"""Distributions of latents and pixels that torch lacks, or has in a form that loses digits.

.. math::
    \mathrm{KL}(N(\mu, \sigma^2) \| N(m, s^2))
        = \tfrac12\left(\frac{\sigma^2 + (\mu - m)^2}{s^2} - 1 - \log\frac{\sigma^2}{s^2}\right)

.. math:: p(x) = \lambda^x (1 - \lambda)^{1 - x} C(\lambda) = \frac{l\, e^{l x}}{e^l - 1},
          \qquad l = \log\frac{\lambda}{1 - \lambda}

the second being the continuous Bernoulli, written in the logit l, where the normaliser is an even
function and nothing overflows.

Sources: Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014, appendix B; Loaiza-Ganem &
Cunningham, *The continuous Bernoulli*, 2019, equations 4 to 8; Jang, Gu & Poole, *Categorical
Reparameterization with Gumbel-Softmax*, 2017.
"""

import math

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import (
    Bernoulli,
    Distribution,
    Exponential,
    Independent,
    Normal,
    OneHotCategorical,
    register_kl,
)

__all__ = [
    "LOG_VARIANCE_BOUND",
    "BernoulliPixels",
    "ContinuousBernoulliPixels",
    "GumbelSoftmax",
    "LogRateExponential",
    "LogVarianceNormal",
    "StandardNormal",
    "bounded",
    "continuous_bernoulli_log_prob",
    "continuous_bernoulli_mean",
    "continuous_bernoulli_normalizer",
    "gumbel",
    "kl_to_standard_normal",
    "largest",
]

LOG_VARIANCE_BOUND = 15.0
"""|log σ²| of a posterior stays below this: 5.5e-4 < σ < 1,808, whatever the encoder says."""

LOG_2PI = math.log(2 * math.pi)

NEAR_ZERO = 0.3
"""Below this |l| the series are exact to 1e-8, and the fractions, 0/0 at 0, lose digits."""


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


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise g = −log(−log u) of uniform u in (0, 1)."""
    return -(-uniform.log()).log()


class GumbelSoftmax(OneHotCategorical):
    """A categorical over C classes as one-hot vectors; ``rsample`` is its relaxation.

    ``sample`` and ``log_prob`` are the categorical's own. ``rsample`` draws
    y = softmax((log π + g)/τ), which tends to ``sample`` as τ → 0 and has gradients.

    Args:
        logits: Log-probabilities up to a constant, ``(…, C)``.
        temperature: τ > 0.
        straight_through: Whether ``rsample`` gives the one-hot vector of y's largest entry, with
            y's gradient.
    """

    has_rsample = True

    def __init__(
        self, logits: Tensor, temperature: float = 1.0, straight_through: bool = False
    ) -> None:
        self.temperature, self.straight_through = temperature, straight_through
        super().__init__(logits=logits, validate_args=False)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        logits = self.logits.expand(*sample_shape, *self.logits.shape)
        # −log u is exponentially distributed, and torch draws that without reaching 0 or 1.
        noise = -torch.empty_like(logits).exponential_().log()
        relaxed = torch.softmax((logits + noise) / self.temperature, -1)
        if not self.straight_through:
            return relaxed
        return largest(relaxed) + relaxed - relaxed.detach()


def largest(scores: Tensor) -> Tensor:
    """The one-hot vectors of the largest of scores ``(…, C)``.

    Of log π + g with Gumbel noise g, or of their softmax, it is an exact draw of the categorical.
    """
    return F.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores)


def continuous_bernoulli_normalizer(logits: Tensor) -> Tensor:
    """Elementwise log C(λ) = log(l / tanh(l/2)); log 2 at l = 0."""
    small, safe = _split(logits)
    square = logits.square()
    series = math.log(2) + square * (1 / 12 - square * (7 / 1440 - square * 31 / 90720))
    return torch.where(small, series, torch.log(safe / torch.tanh(safe / 2)))


def continuous_bernoulli_log_prob(x: Tensor, logits: Tensor) -> Tensor:
    """Elementwise log p(x) in nats for pixels x in [0, 1]: a density, it may be positive."""
    return x * logits - F.softplus(logits) + continuous_bernoulli_normalizer(logits)


def continuous_bernoulli_mean(logits: Tensor) -> Tensor:
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


class BernoulliPixels(Independent):
    """Independent Bernoulli pixels whose log-probability is summed before its sign is changed.

    Otherwise every pixel's sign would be, a pass over the whole batch and another one backwards.

    Args:
        logits: ``(*batch, *shape)``.
        event_dims: Number of dimensions of ``shape``.
    """

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        # Validation would refuse grey targets.
        super().__init__(Bernoulli(logits=logits, validate_args=False), event_dims)

    def log_prob(self, value: Tensor) -> Tensor:
        logits, value = torch.broadcast_tensors(self.base_dist.logits, value)
        nats = F.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -nats.flatten(-self.reinterpreted_batch_ndims).sum(-1)


class ContinuousBernoulliPixels(Distribution):
    """Independent continuous Bernoulli pixels.

    Args:
        logits: ``(*batch, *shape)``.
        event_dims: Number of dimensions of ``shape``.
    """

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        self.logits = logits
        batch = logits.dim() - event_dims
        super().__init__(logits.shape[:batch], logits.shape[batch:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return continuous_bernoulli_mean(self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        nats = continuous_bernoulli_log_prob(value, self.logits)
        return nats.flatten(-len(self.event_shape)).sum(-1)
