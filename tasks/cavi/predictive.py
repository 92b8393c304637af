"""What the posterior says of single events, those it was fitted to and those to come.

Of the latter exactly under q, whose factors integrate in closed form:

p(x, S) = Σ_k E[π_k] N(x; m_k, (1/τ + 1/ρ_k) I) NB(S; α_k, β_k/(β_k + 1))
"""

import numpy as np
from scipy.special import gammaln, logsumexp, xlogy

from tasks.arrays import Floats
from tasks.cavi.events import Events
from tasks.cavi.model import EpicentreModel
from tasks.cavi.posterior import LOG_2PI, VariationalPosterior
from tasks.cavi.statistics import natural_terms

__all__ = ["assign", "log_position", "log_predictive", "log_strength", "responsibilities"]


def responsibilities(model: EpicentreModel, q: VariationalPosterior, events: Events) -> Floats:
    """q(Z_n = k) ``(R, N, K)``, for few events: a fit never holds this.

    Log r_nk = E[log π_k] + S_n E[log λ_k] − E[λ_k] − (τ/2)(‖x_n − m_k‖² + D/ρ_k) + constant.
    """
    slope, constant = natural_terms(model, q)
    square = ((events.x[None, :, None] - q.mu.mean[:, None]) ** 2).sum(-1)
    score = constant[:, None] + events.strengths[:, None] * slope[:, None]
    score = score - model.constants.tau / 2 * square
    return _softmax(score)


def _softmax(logs: Floats) -> Floats:
    """Probabilities over the last axis."""
    total: Floats = np.asarray(logsumexp(logs, axis=-1, keepdims=True))
    return np.exp(logs - total)


def log_position(model: EpicentreModel, q: VariationalPosterior, x: Floats) -> Floats:
    """Log density of positions ``(N, D)`` under each component ``(N, K)``, in nats."""
    variance = 1 / model.constants.tau + 1 / q.mu.precision[0]
    square = ((x[:, None] - q.mu.mean[0]) ** 2).sum(-1)
    return -x.shape[-1] / 2 * (LOG_2PI + np.log(variance)) - square / (2 * variance)


def log_strength(q: VariationalPosterior, strengths: Floats) -> Floats:
    """log probability of counts ``(N,)`` under each component ``(N, K)``, in nats."""
    a, b, s = q.lam.shape[0], q.lam.rate[0], strengths[:, None]
    counts = gammaln(a + s) - gammaln(a) - gammaln(s + 1)
    return counts + xlogy(a, b / (b + 1)) - s * np.log1p(b)


def _joint(model: EpicentreModel, q: VariationalPosterior, events: Events) -> Floats:
    parts = log_position(model, q, events.x) + log_strength(q, events.strengths)
    return np.log(q.pi.mean[0]) + parts


def log_predictive(
    model: EpicentreModel, q: VariationalPosterior, events: Events, log: bool = False
) -> Floats:
    """log p(x, S) of new events ``(N,)``, in nats.

    Args:
        model: The priors.
        q: One posterior.
        events: In the coordinates of the model.
        log: They are logarithms of distances R, and the density of R is wanted: − log R.
    """
    density = np.logaddexp.reduce(_joint(model, q, events), axis=-1)
    return density - events.x.sum(-1) if log else density


def assign(model: EpicentreModel, q: VariationalPosterior, events: Events) -> Floats:
    """p(Z = k | x, S) of new events ``(N, K)``, with what is unknown of μ and λ integrated out."""
    return _softmax(_joint(model, q, events))
