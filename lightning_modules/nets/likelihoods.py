"""Likelihoods p(x|z): what turns a decoder's raw outputs into a distribution over data."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from elbolab.checks import check_in
from lightning_modules.functional.distributions import (
    BernoulliPixels,
    ContinuousBernoulliPixels,
    LogVarianceNormal,
    bounded,
)
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
    density_of_grey: ClassVar[bool] = True
    """Whether grey pixels have a normalised density, so that −log p(x) means something."""
    pixel_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """The smallest and the largest pixel value that it takes."""

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

    density_of_grey = False

    def forward(self, raw: Tensor) -> Distribution:
        (logits,) = self.parameters_of(raw)
        return BernoulliPixels(logits, self.event_dims)


class ContinuousBernoulliLikelihood(Likelihood):
    """Each pixel x ∈ [0, 1] a continuous Bernoulli variable, the raw output its logit.

    What `BernoulliLikelihood` lacks on grey pixels: the constant that makes it a density.
    """

    def forward(self, raw: Tensor) -> Distribution:
        (logits,) = self.parameters_of(raw)
        return ContinuousBernoulliPixels(logits, self.event_dims)


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
        check_in("(0, 1)", min_scale=min_scale)
        self.bound = -2 * math.log(min_scale)

    def forward(self, raw: Tensor) -> Distribution:
        raw_mean, raw_log_variance = self.parameters_of(raw)
        return _gaussian(raw_mean, bounded(raw_log_variance, self.bound), self.event_dims)


def _log_variance(scale: float) -> Tensor:
    check_in("(0, inf)", scale=scale)
    return torch.tensor(2 * math.log(scale))


def _gaussian(raw_mean: Tensor, log_variance: Tensor, event_dims: int) -> Distribution:
    mean = torch.sigmoid(raw_mean)
    pixels = LogVarianceNormal(mean, log_variance.expand_as(mean))
    return Independent(pixels, event_dims, validate_args=False)
