"""Likelihoods p(x|z): what turns a decoder's raw outputs into a distribution over data."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent

from elbolab.errors import UserError
from lightning_modules.functional import continuous_bernoulli
from lightning_modules.functional.gaussian import LogVarianceNormal, bounded
from lightning_modules.functional.precision import full_precision

__all__ = [
    "BernoulliLikelihood",
    "ContinuousBernoulliLikelihood",
    "GaussianLikelihood",
    "LearnedGaussianLikelihood",
    "Likelihood",
    "PixelGaussianLikelihood",
]


class Likelihood(nn.Module, ABC):
    """Maps raw decoder outputs to p(x|z).

    A new likelihood sets ``parameters_per_pixel`` and writes ``forward``; parameters of its own,
    such as one learned variance, are ordinary ``nn.Parameter`` s.

    Args:
        shape: Shape of one example.
    """

    parameters_per_pixel: int = 1
    """How many numbers the decoder has to give for each pixel."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.event_dims = len(shape)

    @abstractmethod
    def forward(self, raw: Tensor) -> Distribution:
        """Builds p(x|z) from ``raw`` of shape ``(*batch, parameters_per_pixel, *shape)``.

        Returns:
            A distribution of batch shape ``batch`` and event shape ``shape``, in float32 or
            better: a log-likelihood is a sum over hundreds of pixels, which half precision spoils.
        """

    def parameters_of(self, raw: Tensor) -> tuple[Tensor, ...]:
        """The parameters of every pixel, ``(*batch, *shape)`` each, in float32 or better."""
        pixels, dim = full_precision(raw), -self.event_dims - 1
        # The gradient of unbind is a copy, that of squeeze a view.
        return (pixels.squeeze(dim),) if self.parameters_per_pixel == 1 else pixels.unbind(dim)


class BernoulliLikelihood(Likelihood):
    """Each pixel x ∈ [0, 1] a Bernoulli variable, the raw output its logit.

    On grey pixels x log p + (1 − x) log(1 − p) is the usual training target but no normalised
    density: compare such figures with each other only, never with those of binarised data.
    """

    def forward(self, raw: Tensor) -> Distribution:
        (logits,) = self.parameters_of(raw)
        return _BernoulliPixels(logits, self.event_dims)


class ContinuousBernoulliLikelihood(Likelihood):
    """Each pixel x ∈ [0, 1] a continuous Bernoulli variable, the raw output its logit.

    What `BernoulliLikelihood` lacks on grey pixels: the constant that makes it a density.
    """

    def forward(self, raw: Tensor) -> Distribution:
        (logits,) = self.parameters_of(raw)
        return _ContinuousBernoulliPixels(logits, self.event_dims)


class GaussianLikelihood(Likelihood):
    """Each pixel N(f(z), σ²) with f(z) in (0, 1), the sigmoid of the raw output, and σ fixed.

    Args:
        shape: Shape of one example.
        scale: σ > 0, in the unit of the pixels.

    Raises:
        UserError: If ``scale`` is not above 0.
    """

    log_variance: Tensor

    def __init__(self, shape: Sequence[int], scale: float = 0.1) -> None:
        super().__init__(shape)
        # A buffer, so that it lives where the model does; nothing to save.
        self.register_buffer("log_variance", _log_variance(scale), persistent=False)

    def forward(self, raw: Tensor) -> Distribution:
        (raw_mean,) = self.parameters_of(raw)
        return _gaussian(raw_mean, self.log_variance, self.event_dims)


class LearnedGaussianLikelihood(Likelihood):
    """Each pixel N(f(z), σ²) with f(z) in (0, 1) and one σ for all of them, learned.

    Args:
        shape: Shape of one example.
        scale: σ > 0 before training, in the unit of the pixels.

    Raises:
        UserError: If ``scale`` is not above 0.
    """

    def __init__(self, shape: Sequence[int], scale: float = 0.1) -> None:
        super().__init__(shape)
        self.log_variance = nn.Parameter(_log_variance(scale))

    def forward(self, raw: Tensor) -> Distribution:
        (raw_mean,) = self.parameters_of(raw)
        return _gaussian(raw_mean, self.log_variance, self.event_dims)


class PixelGaussianLikelihood(Likelihood):
    """Each pixel N(f(z), σ(z)²) with f(z) in (0, 1) and σ(z) the decoder's too.

    log σ is bounded smoothly between ``min_scale`` and its inverse: pixels that are always 0 would
    otherwise have an infinite density.

    Args:
        shape: Shape of one example.
        min_scale: The smallest σ, in (0, 1), in the unit of the pixels.

    Raises:
        UserError: If ``min_scale`` is not in (0, 1).
    """

    parameters_per_pixel = 2

    def __init__(self, shape: Sequence[int], min_scale: float = 0.01) -> None:
        super().__init__(shape)
        if not 0 < min_scale < 1:
            raise UserError(
                f"min_scale of a Gaussian likelihood must be in (0, 1), got {min_scale}."
            )
        self.bound = -2 * math.log(min_scale)

    def forward(self, raw: Tensor) -> Distribution:
        raw_mean, raw_log_variance = self.parameters_of(raw)
        return _gaussian(raw_mean, bounded(raw_log_variance, self.bound), self.event_dims)


def _log_variance(scale: float) -> Tensor:
    if not scale > 0:
        raise UserError(f"scale of a Gaussian likelihood must be above 0, got {scale}.")
    return torch.tensor(2 * math.log(scale))


def _gaussian(raw_mean: Tensor, log_variance: Tensor, event_dims: int) -> Distribution:
    mean = torch.sigmoid(raw_mean)
    pixels = LogVarianceNormal(mean, log_variance.expand_as(mean))
    return Independent(pixels, event_dims, validate_args=False)


class _BernoulliPixels(Independent):
    """Independent Bernoulli pixels whose log-probability is summed before its sign is changed.

    Otherwise every pixel's sign would be, a pass over the whole batch and another one backwards.
    """

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        # Validation would refuse grey targets.
        super().__init__(Bernoulli(logits=logits, validate_args=False), event_dims)

    def log_prob(self, value: Tensor) -> Tensor:
        logits, value = torch.broadcast_tensors(self.base_dist.logits, value)
        nats = F.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -nats.flatten(-self.reinterpreted_batch_ndims).sum(-1)


class _ContinuousBernoulliPixels(Distribution):
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
        return continuous_bernoulli.mean(self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        nats = continuous_bernoulli.log_density(value, self.logits)
        return nats.flatten(-len(self.event_shape)).sum(-1)
