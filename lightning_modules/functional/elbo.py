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
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_modules.functional.bounds import Bound

__all__ = [
    "BoundTerms",
    "LatentVariableModel",
    "LogDensities",
    "VariationalProblem",
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

    def exact(self, z: Tensor, /) -> Tensor:
        """The exact draws behind draws of ``rsample``: these themselves unless it relaxes them."""
        ...

    def draw(self, x: Tensor, raw: Tensor, draws: range, /) -> Tensor:
        """Those draws of q(z|x), ``(K, B, *latent_shape)``; evaluation takes its noise here.

        Draw k of an example may depend on the example and k alone, so that figures depend neither
        on the batch nor on how many draws are taken at once.
        """
        ...


@dataclass(frozen=True)
class VariationalProblem:
    """What is maximised: a bound on log p(x) of a model, at B examples."""

    x: Tensor
    """Data, ``(B, *shape)``."""
    raw: Tensor
    """The encoder's outputs for x, ``(B, …)``."""
    model: LatentVariableModel
    """Posterior, prior and likelihood."""
    bound: Bound
    """A function of log-weights ``(K, B)``."""
    kl_weight: float = 1.0
    """β, the weight of the KL term in the objective."""

    def posterior(self) -> Distribution:
        """q(z|x), batch shape ``(B,)``."""
        return self.model.posterior(self.raw)

    def fixed_posterior(self) -> Distribution:
        """The same, through which no gradient reaches the encoder."""
        return self.model.posterior(self.raw.detach())

    def rsample(self, posterior: Distribution) -> Tensor:
        """As many draws as the bound takes, with gradients, ``(K, B, *latent_shape)``."""
        return posterior.rsample(Size([self.bound.samples]))

    def evaluated(self) -> "BoundTerms":
        """The bound at the model's own draws, whose noise belongs to each example."""
        z = self.model.draw(self.x, self.raw, range(self.bound.samples))
        return bound_terms(self, z, self.posterior())

    def part(self, rows: Tensor) -> "VariationalProblem":
        """The problem of some of the examples."""
        return replace(self, x=self.x[rows], raw=self.raw[rows])


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


def log_densities(problem: VariationalProblem, z: Tensor, posterior: Distribution) -> LogDensities:
    """Evaluates log p(x|z), log p(z) and log q(z|x) at draws z ``(K, B, *latent_shape)``."""
    model = problem.model
    likelihood = model.decode(z).log_prob(problem.x)
    return LogDensities(likelihood, model.latent_prior().log_prob(z), posterior.log_prob(z))


def bound_terms(problem: VariationalProblem, z: Tensor, posterior: Distribution) -> BoundTerms:
    """The bound at draws z; the objective has its gradient where z carries one.

    A linear bound takes KL(q‖p) in closed form where there is one, which is free of noise.

    Args:
        problem: What is bounded.
        z: Draws from ``posterior``, ``(K, B, *latent_shape)``.
        posterior: q(z|x), batch shape ``(B,)``.
    """
    bound, model = problem.bound, problem.model
    kl = closed_form_kl(posterior, model.latent_prior())
    if bound.linear and kl is not None:
        reconstruction, total = model.decode(z).log_prob(problem.x).mean(0), kl.sum(-1)
        objective = reconstruction.sub(total, alpha=problem.kl_weight)
        return BoundTerms(objective, (reconstruction - total).detach(), reconstruction, kl)
    densities = log_densities(problem, z, posterior)
    objective = bound(densities.log_weights(problem.kl_weight))
    terms = BoundTerms.from_draws(objective, bound, densities)
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
def log_evidence(problem: VariationalProblem, samples: int, memory: float) -> Tensor:
    """VLB^(K) = log (1/K) Σ_k w_k for each example, ``(B,)``, in pieces.

    The draws do not depend on the pieces; the result does to rounding alone.

    Args:
        problem: Examples and model; the bound is not asked.
        samples: K.
        memory: MiB for the pairs of an example and a draw that are decoded at once; at least one
            example and `DRAWS_AT_ONCE` draws are, whatever they take.
    """
    x, raw, model = problem.x, problem.raw, problem.model
    rows = memory * 2**20 // bytes_per_draw(problem.part(torch.arange(1, device=x.device)))
    total = torch.full((len(x),), -math.inf, device=x.device)
    indices = torch.arange(len(x), device=x.device)
    parts = [problem.part(p) for p in indices.split(max(1, int(rows) // DRAWS_AT_ONCE))]
    for start in range(0, samples, DRAWS_AT_ONCE):
        z = model.draw(x, raw, range(start, min(start + DRAWS_AT_ONCE, samples)))
        each = zip(parts, z.split([len(part.x) for part in parts], 1), strict=True)
        sums = [_log_sum_weights(part, draws) for part, draws in each]
        total = torch.logaddexp(total, torch.cat(sums).to(total))
    return total - math.log(samples)


def _log_sum_weights(problem: VariationalProblem, z: Tensor) -> Tensor:
    """log Σ_k w_k, ``(B,)``, in the precision of the densities."""
    return log_densities(problem, z, problem.posterior()).log_weights().logsumexp(0)


def bytes_per_draw(problem: VariationalProblem) -> int:
    """What log w takes for one more draw of one example, all intermediate results counted.

    Args:
        problem: That example.
    """
    taken = []
    for draws in (1, 2):
        z = problem.model.draw(problem.x, problem.raw, range(draws))
        with _Counting() as counting:
            _log_sum_weights(problem, z)
        taken.append(counting.bytes)
    return max(1, taken[1] - taken[0])


class _Counting(TorchDispatchMode):
    """Adds up the bytes of all results, within it."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not func.is_view:
            self.bytes += result.nbytes
        return result
