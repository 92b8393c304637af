"""The coordinate updates, each a pure function of what it depends on, and the bound they raise."""

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import gammaln

from tasks.arrays import Floats
from tasks.cavi.model import EpicentreModel
from tasks.cavi.posterior import LOG_2PI, Gamma, Gaussian, VariationalPosterior, WeightPosterior
from tasks.cavi.statistics import Statistics

__all__ = [
    "EvidenceTerms",
    "evidence_terms",
    "update_globals",
    "update_lambda",
    "update_mu",
    "update_pi",
]


def update_mu(model: EpicentreModel, z: Statistics) -> Gaussian:
    """ρ_k = ρ + τ Σ r_nk and m_k = (ρν + τ Σ r_nk x_n)/ρ_k."""
    tau, rho = model.constants.tau, model.constants.rho
    precision = rho + tau * z.n
    step = rho * (model.nu - z.centre) + tau * z.shift
    return Gaussian(z.centre + step / precision[..., None], precision)


def update_lambda(model: EpicentreModel, z: Statistics) -> Gamma:
    """α_k = α + Σ r_nk S_n and β_k = β + Σ r_nk."""
    return Gamma(model.constants.alpha + z.strength, model.constants.beta + z.n)


def update_pi(model: EpicentreModel, z: Statistics) -> WeightPosterior:
    """Concentrations grow by Σ r_nk; a fixed π stays."""
    return model.weights.posterior(z.n)


def update_globals(model: EpicentreModel, z: Statistics) -> VariationalPosterior:
    """All global factors; given q(Z) they do not depend on each other."""
    return VariationalPosterior(update_mu(model, z), update_lambda(model, z), update_pi(model, z))


@dataclass(frozen=True)
class EvidenceTerms:
    """The terms of the ELBO, each ``(R,)`` in nats.

    Attributes:
        assignments: E[log p(Z | π)].
        strengths: E[log p(S | Z, λ)], without −Σ log S_n!.
        positions: E[log p(x | Z, μ)].
        prior_mu: E[log p(μ)].
        prior_lambda: E[log p(λ)].
        prior_pi: E[log p(π)].
        entropy_z: −E[log q(Z)].
        entropy_mu: −E[log q(μ)].
        entropy_lambda: −E[log q(λ)].
        entropy_pi: −E[log q(π)].
        data: −Σ log S_n! and, for distances R = e^x, −Σ log R_n: no q changes them.
    """

    assignments: Floats
    strengths: Floats
    positions: Floats
    prior_mu: Floats
    prior_lambda: Floats
    prior_pi: Floats
    entropy_z: Floats
    entropy_mu: Floats
    entropy_lambda: Floats
    entropy_pi: Floats
    data: Floats

    @property
    def elbo(self) -> Floats:
        """E[log p(x, S, Z, μ, λ, π)] − E[log q], in nats ``(R,)``."""
        return np.sum([getattr(self, field.name) for field in fields(self)], axis=0)

    @property
    def magnitude(self) -> Floats:
        """Sum of absolute terms ``(R,)``, to which rounding errors are proportional."""
        return np.sum([abs(getattr(self, field.name)) for field in fields(self)], axis=0)


def evidence_terms(
    model: EpicentreModel, q: VariationalPosterior, z: Statistics, log_base: float
) -> EvidenceTerms:
    """The ELBO, term by term, for any q(Z), q(μ), q(λ) and q(π), optimal or not.

    Args:
        model: The priors.
        q: The global factors.
        z: Statistics of q(Z), whatever posterior it was computed from.
        log_base: −Σ log S_n!, and −Σ log R_n for distances.
    """
    return EvidenceTerms(
        (z.n * q.pi.expected_log).sum(-1),
        (z.strength * q.lam.expected_log - z.n * q.lam.mean).sum(-1),
        _positions(model, q, z),
        _prior_mu(model, q),
        _prior_lambda(model, q),
        model.weights.expected_log_prior(q.pi),
        z.entropy,
        q.mu.entropy(),
        q.lam.entropy(),
        q.pi.entropy(),
        np.full(len(z.n), log_base),
    )


def _positions(model: EpicentreModel, q: VariationalPosterior, z: Statistics) -> Floats:
    """Σ r_nk [(D/2) log(τ/2π) − (τ/2)(‖x_n − m_k‖² + D/ρ_k)]."""
    tau, d = model.constants.tau, q.mu.mean.shape[-1]
    square = z.expected_square(q.mu.mean) + z.n * d / q.mu.precision
    return (z.n * d / 2 * (np.log(tau) - LOG_2PI) - tau / 2 * square).sum(-1)


def _prior_mu(model: EpicentreModel, q: VariationalPosterior) -> Floats:
    """Σ_k (D/2) log(ρ/2π) − (ρ/2) E‖μ_k − ν‖²."""
    rho, d = model.constants.rho, q.mu.mean.shape[-1]
    square = q.mu.expected_square(model.nu)
    return (d / 2 * (np.log(rho) - LOG_2PI) - rho / 2 * square).sum(-1)


def _prior_lambda(model: EpicentreModel, q: VariationalPosterior) -> Floats:
    """Σ_k α log β − log Γ(α) + (α − 1) E[log λ_k] − β E[λ_k]."""
    a, b = model.constants.alpha, model.constants.beta
    constant = a * np.log(b) - gammaln(a)
    return (constant + (a - 1) * q.lam.expected_log - b * q.lam.mean).sum(-1)
