"""Likelihoods p(x|z): what turns a decoder's raw outputs into a distribution over data."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent

__all__ = ["BernoulliLikelihood", "Likelihood"]


class Likelihood(nn.Module, ABC):
    """Maps raw decoder outputs to p(x|z).

    A new likelihood sets ``parameters_per_pixel`` and writes ``forward``; parameters of its own,
    such as one learned variance, are ordinary ``nn.Parameter`` s.
    """

    parameters_per_pixel: int
    """How many numbers the decoder has to give for each pixel."""

    @abstractmethod
    def forward(self, raw: Tensor) -> Distribution:
        """Builds p(x|z) from ``raw`` of shape ``(B, parameters_per_pixel, *shape)``.

        Returns:
            A distribution of batch shape ``(B,)`` and event shape ``shape``, in float32 or better:
            a log-likelihood is a sum over hundreds of pixels, which half precision spoils.
        """


class BernoulliLikelihood(Likelihood):
    """Each pixel x ∈ [0, 1] a Bernoulli variable, the raw output its logit.

    On grey pixels x log p + (1 − x) log(1 − p) is the usual training target but no normalised
    density: compare such figures with each other only, never with those of binarised data.
    """

    parameters_per_pixel = 1

    def forward(self, raw: Tensor) -> Distribution:
        logits = raw.squeeze(1).float() if raw.element_size() < 4 else raw.squeeze(1)
        return _BernoulliPixels(logits, event_dims=logits.dim() - 1)


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
