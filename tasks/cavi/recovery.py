"""What was found beside what is true, up to the numbering of components."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import xlogy

from tasks.cavi.model import Model
from tasks.cavi.posterior import Indices, Posterior
from tasks.cavi.simulation import Truth

__all__ = ["accuracy", "match"]


def match(model: Model, q: Posterior, truth: Truth) -> tuple[Indices, Indices]:
    """Pairs of components, found and true, with the least divergence in all.

    What a pair costs is the divergence of an event's distribution under the found from that under
    the true one: τ/2 ‖m − μ‖² and that of two Poissons, λ log(λ/λ̂) − λ + λ̂.
    """
    square = ((q.mu.mean[0][:, None] - truth.mu) ** 2).sum(-1)
    found, lam = q.lam.mean[0][:, None], truth.lam
    poisson = xlogy(lam, lam) - lam * np.log(found) - lam + found
    return linear_sum_assignment(model.constants.tau / 2 * square + poisson)


def accuracy(pairs: tuple[Indices, Indices], label: Indices, z: Indices) -> float:
    """Share of events whose likeliest component is the one that generated them."""
    return sum(float(((label == k) & (z == j)).mean()) for k, j in zip(*pairs, strict=True))
