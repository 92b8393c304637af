r"""The two Gaussians of a VAE, and the closed form of the divergence between them.

.. math:: \mathrm{KL}(N(\mu, \sigma^2) \| N(0, 1)) = \tfrac12(\mu^2 + \sigma^2 - 1 - \log\sigma^2)

Source: Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014, appendix B.
"""

import torch
from torch import Size, Tensor
from torch.distributions import Normal, register_kl

__all__ = ["LogVarianceNormal", "StandardNormal", "kl_to_standard_normal"]


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
        super().__init__(mean, (0.5 * log_variance).exp(), validate_args=False)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Z = μ + σ ε with ε ~ N(0, 1), ``(*sample_shape, *shape)``."""
        shape = (*sample_shape, *self.loc.shape)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.scale * noise


class StandardNormal(Normal):
    """N(0, 1).

    Args:
        zero: Zeros of the wanted shape, on the wanted device.
    """

    def __init__(self, zero: Tensor) -> None:
        super().__init__(zero, torch.ones_like(zero), validate_args=False)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) in nats, elementwise: μ → mean, log σ² → log_variance."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


@register_kl(LogVarianceNormal, StandardNormal)
def _kl(q: LogVarianceNormal, _: StandardNormal) -> Tensor:
    return kl_to_standard_normal(q.loc, q.log_variance)
