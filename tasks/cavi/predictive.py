"""What the posterior says of events to come, exactly under q: its factors integrate in closed form.

p(x, S) = Σ_k E[π_k] N(x; m_k, (1/τ + 1/ρ_k) I) NB(S; α_k, β_k/(β_k + 1))
"""

import numpy as np
from scipy.special import gammaln, logsumexp, xlogy

from tasks.cavi.events import Events
from tasks.cavi.model import Model
from tasks.cavi.posterior import LOG_2PI, Array, Posterior

__all__ = ["assign", "log_density", "log_position", "log_strength"]


def log_position(model: Model, q: Posterior, x: Array) -> Array:
    """Log density of positions ``(N, D)`` under each component ``(N, K)``, in nats."""
    variance = 1 / model.constants.tau + 1 / q.mu.precision[0]
    square = ((x[:, None] - q.mu.mean[0]) ** 2).sum(-1)
    return -x.shape[-1] / 2 * (LOG_2PI + np.log(variance)) - square / (2 * variance)


def log_strength(q: Posterior, strengths: Array) -> Array:
    """log probability of counts ``(N,)`` under each component ``(N, K)``, in nats."""
    a, b, s = q.lam.shape[0], q.lam.rate[0], strengths[:, None]
    counts = gammaln(a + s) - gammaln(a) - gammaln(s + 1)
    return counts + xlogy(a, b / (b + 1)) - s * np.log1p(b)


def _joint(model: Model, q: Posterior, events: Events) -> Array:
    parts = log_position(model, q, events.x) + log_strength(q, events.strengths)
    return np.log(q.pi.mean[0]) + parts


def log_density(model: Model, q: Posterior, events: Events, log: bool = False) -> Array:
    """log p(x, S) of new events ``(N,)``, in nats.

    Args:
        model: The priors.
        q: One posterior.
        events: In the coordinates of the model.
        log: They are logarithms of distances R, and the density of R is wanted: − log R.
    """
    density = np.logaddexp.reduce(_joint(model, q, events), axis=-1)
    return density - events.x.sum(-1) if log else density


def assign(model: Model, q: Posterior, events: Events) -> Array:
    """p(Z = k | x, S) of new events ``(N, K)``, with what is unknown of μ and λ integrated out."""
    joint = _joint(model, q, events)
    return np.exp(joint - logsumexp(joint, axis=-1, keepdims=True))
