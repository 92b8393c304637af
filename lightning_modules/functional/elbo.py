r"""The evidence lower bound of a latent-variable model.

.. math:: \log p(x) \ge E_{q(z|x)}[\log p(x|z)] - \mathrm{KL}(q(z|x) \| p(z))

Symbols: x data, ``(B, *shape)``; z latents, ``(B, d)``; q(z|x) posterior; p(z) prior; p(x|z)
likelihood. All log-values are in nats, summed over pixels and latents, one number per example.

Source: Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014, equations 3 and 10.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

__all__ = ["ElboTerms", "elbo_terms", "kl_per_dimension"]


class ElboTerms(NamedTuple):
    """The two terms of the bound for each of B examples, in nats."""

    reconstruction: Tensor
    """(B,): log p(x|z) at one draw of z, an unbiased estimate of E_q[log p(x|z)]."""
    kl: Tensor
    """(B, d): KL(q‖p) of each latent dimension, free of noise."""

    @property
    def elbo(self) -> Tensor:
        """(B,): reconstruction − Σ_d kl, a lower bound of log p(x) in expectation."""
        return self.reconstruction - self.kl.sum(-1)


def elbo_terms(
    x: Tensor,
    posterior: Distribution,
    prior: Distribution,
    decode: Callable[[Tensor], Distribution],
) -> ElboTerms:
    """Estimates the bound with one reparameterised draw z ~ q(z|x) and the closed-form KL.

    Args:
        x: Data, ``(B, *shape)``.
        posterior: q(z|x), batch shape ``(B,)`` and event shape ``(d,)``, with ``rsample``.
        prior: p(z), event shape ``(d,)``.
        decode: Maps z ``(B, d)`` to p(x|z), batch shape ``(B,)`` and event shape ``shape``.
    """
    z = posterior.rsample()
    return ElboTerms(decode(z).log_prob(x), kl_per_dimension(posterior, prior))


def kl_per_dimension(posterior: Distribution, prior: Distribution) -> Tensor:
    """KL(q‖p) of each independent latent dimension in nats, ``(B, d)``, in closed form.

    For q = N(μ, σ²) and p = N(0, 1) it is ½ (μ² + σ² − 1 − log σ²).

    Raises:
        NotImplementedError: If torch knows no closed form for this pair of distributions.
    """
    return kl_divergence(_per_dimension(posterior), _per_dimension(prior))


def _per_dimension(distribution: Distribution) -> Distribution:
    """The factors of a distribution over vectors, as a batch of distributions over numbers."""
    if isinstance(distribution, Independent) and distribution.reinterpreted_batch_ndims == 1:
        return distribution.base_dist
    raise NotImplementedError(
        f"{type(distribution).__name__} has no independent latent dimensions: "
        "wrap it as Independent(base, 1)."
    )
