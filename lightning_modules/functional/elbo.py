r"""The evidence of a latent-variable model, bounded and estimated.

.. math:: \log p(x) \ge E_{q(z|x)}[\log p(x|z)] - \mathrm{KL}(q(z|x) \| p(z))

Symbols: x data, ``(B, *shape)``; z latents, K draws for each example, ``(K, B, *latent_shape)``;
q(z|x) posterior; p(z) prior; p(x|z) likelihood. All log-values are in nats, summed over pixels
and latents.

Source: Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014, equations 3 and 10; Burda,
Grosse & Salakhutdinov, *Importance Weighted Autoencoders*, 2016.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from lightning_modules.functional.bounds import Bound

__all__ = [
    "BoundTerms",
    "LatentVariableModel",
    "LogDensities",
    "bound_terms",
    "closed_form_kl",
    "log_densities",
    "log_evidence",
]

DRAWS_AT_ONCE = 50
"""Draws per block of `log_evidence`; fixed, so that its noise does not depend on any limit."""


class LatentVariableModel(Protocol):
    """What a bound has to know of a model."""

    @property
    def posterior(self) -> Callable[[Tensor], Distribution]:
        """Maps the encoder's outputs to q(z|x): batch shape ``(B,)``, event ``latent_shape``."""
        ...

    def latent_prior(self) -> Distribution:
        """p(z), event shape ``latent_shape``."""
        ...

    def decode(self, z: Tensor, /) -> Distribution:
        """p(x|z) for z ``(*batch, *latent_shape)``: batch shape ``batch``, event ``shape``."""
        ...


class LogDensities(NamedTuple):
    """The three log-densities at K draws for each of B examples, ``(K, B)``, in nats."""

    likelihood: Tensor
    """log p(x|z)"""
    prior: Tensor
    """log p(z)"""
    posterior: Tensor
    """log q(z|x)"""

    def log_weights(self, kl_weight: float = 1.0) -> Tensor:
        """Log-weights log w = log p(x|z) + β (log p(z) − log q(z|x)), ``(K, B)``."""
        return self.likelihood + kl_weight * (self.prior - self.posterior)


class BoundTerms(NamedTuple):
    """A bound on log p(x) for each of B examples, in nats, and what to follow upwards."""

    objective: Tensor
    """(B,): its gradient is the estimate of the bound's; its value need not be the bound."""
    bound: Tensor
    """(B,): the bound itself at β = 1, without gradient."""
    reconstruction: Tensor
    """(B,): the mean of log p(x|z) over the draws, which estimates E_q[log p(x|z)]."""
    kl: Tensor
    """KL(q‖p): ``(B, d)``, one a dimension, in closed form; else ``(B, 1)``, from the draws."""

    @classmethod
    def from_draws(cls, objective: Tensor, bound: Bound, densities: LogDensities) -> "BoundTerms":
        """All terms by Monte Carlo."""
        likelihood, prior, posterior = (term.detach() for term in densities)
        weights = likelihood + prior - posterior
        kl = (posterior - prior).mean(0).unsqueeze(-1)
        return cls(objective, bound(weights), likelihood.mean(0), kl)


def log_densities(
    x: Tensor, z: Tensor, posterior: Distribution, model: LatentVariableModel
) -> LogDensities:
    """Evaluates log p(x|z), log p(z) and log q(z|x) at draws z ``(K, B, *latent_shape)``."""
    likelihood = model.decode(z).log_prob(x)
    return LogDensities(likelihood, model.latent_prior().log_prob(z), posterior.log_prob(z))


def bound_terms(
    x: Tensor,
    z: Tensor,
    posterior: Distribution,
    model: LatentVariableModel,
    bound: Bound,
    kl_weight: float = 1.0,
) -> BoundTerms:
    """The bound at draws z; the objective has its gradient where z carries one.

    A linear bound takes KL(q‖p) in closed form where there is one, which is free of noise.

    Args:
        x: Data, ``(B, *shape)``.
        z: Draws from ``posterior``, ``(K, B, *latent_shape)``.
        posterior: q(z|x), batch shape ``(B,)``.
        model: Prior and likelihood.
        bound: A function of log-weights ``(K, B)``.
        kl_weight: β, the weight of the KL term in the objective.
    """
    kl = closed_form_kl(posterior, model.latent_prior())
    if bound.linear and kl is not None:
        reconstruction, total = model.decode(z).log_prob(x).mean(0), kl.sum(-1)
        objective = reconstruction.sub(total, alpha=kl_weight)
        return BoundTerms(objective, (reconstruction - total).detach(), reconstruction, kl)
    densities = log_densities(x, z, posterior, model)
    terms = BoundTerms.from_draws(bound(densities.log_weights(kl_weight)), bound, densities)
    return terms if kl is None else terms._replace(kl=kl.detach())


def closed_form_kl(posterior: Distribution, prior: Distribution) -> Tensor | None:
    """KL(q‖p) of each independent latent dimension in nats, ``(B, d)``.

    None if a distribution has no independent dimensions, or torch knows no closed form.
    """
    pair = posterior, prior
    if not all(isinstance(p, Independent) and p.reinterpreted_batch_ndims == 1 for p in pair):
        return None
    try:
        return kl_divergence(*(p.base_dist for p in pair))  # pyright: ignore
    except NotImplementedError:
        return None


@torch.no_grad()
def log_evidence(
    x: Tensor, raw: Tensor, model: LatentVariableModel, samples: int, rows: int
) -> Tensor:
    """VLB^(K) = log (1/K) Σ_k w_k for each example, ``(B,)``, in pieces.

    The draws do not depend on ``rows``; the result does to rounding alone.

    Args:
        x: Data, ``(B, *shape)``.
        raw: The encoder's outputs for x, ``(B, …)``.
        model: What the evidence is of.
        samples: K.
        rows: How many pairs of an example and a draw are decoded at once; at least one example
            and `DRAWS_AT_ONCE` draws are.
    """
    total = torch.full((len(x),), -math.inf, device=x.device)
    parts = torch.arange(len(x), device=x.device).split(max(1, rows // DRAWS_AT_ONCE))
    for start in range(0, samples, DRAWS_AT_ONCE):
        z = model.posterior(raw).sample(torch.Size([min(DRAWS_AT_ONCE, samples - start)]))
        for part in parts:
            q = model.posterior(raw[part])
            log_weights = log_densities(x[part], z[:, part], q, model).log_weights()
            total[part] = torch.logaddexp(total[part], log_weights.logsumexp(0).to(total))
    return total - math.log(samples)
