"""Approximate posteriors q(z|x): what turns an encoder's raw outputs into a distribution."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from lightning_modules.functional.gaussian import LogVarianceNormal

__all__ = ["DiagonalGaussianPosterior", "Posterior"]


class Posterior(nn.Module, ABC):
    """Maps raw encoder outputs to q(z|x)."""

    parameters_per_latent: int
    """How many numbers the encoder has to give for each latent dimension."""

    @abstractmethod
    def forward(self, raw: Tensor) -> Distribution:
        """Builds q(z|x) from ``raw`` of shape ``(B, parameters_per_latent, d)``.

        Returns:
            A distribution of batch shape ``(B,)`` and event shape ``(d,)`` whose ``rsample``
            carries gradients, in float32 or better.
        """


class DiagonalGaussianPosterior(Posterior):
    """q(z|x) = N(μ, diag σ²); the raw outputs are μ and log σ²."""

    parameters_per_latent = 2

    def forward(self, raw: Tensor) -> Distribution:
        mean, log_variance = (raw.float() if raw.element_size() < 4 else raw).unbind(1)
        return Independent(LogVarianceNormal(mean, log_variance), 1, validate_args=False)
