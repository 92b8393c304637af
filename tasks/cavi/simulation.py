"""Events whose epicentres are known, and how well a fit finds these again."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.optimize import linear_sum_assignment
from scipy.special import xlogy

from elbolab.errors import UserError
from tasks.arrays import Floats, Ints
from tasks.cavi.events import Events
from tasks.cavi.model import EpicentreModel
from tasks.cavi.options import Simulation
from tasks.cavi.posterior import VariationalPosterior

LARGEST_RATE = 2.0**53
"""Of strengths, which must be counts that doubles hold."""

__all__ = ["Truth", "accuracy", "match", "simulate_events"]


@dataclass(frozen=True)
class Truth:
    """What generated simulated events.

    Attributes:
        mu: Epicentres ``(K, D)``.
        lam: Rates of strengths ``(K,)``.
        z: Each event's epicentre ``(N,)``.
    """

    mu: Floats
    lam: Floats
    z: Ints


def simulate_events(
    wanted: Simulation, model: EpicentreModel, generator: Generator
) -> tuple[Events, Truth]:
    """Draws epicentres and rates from the prior, and events from those.

    Args:
        wanted: How much.
        model: The priors; ν has as many numbers as there are dimensions.
        generator: Source of all noise.

    Raises:
        UserError: If the prior yields rates that no count can have.
    """
    k, d, given = wanted.components, len(model.nu), model.constants
    mu = model.nu + generator.standard_normal((k, d)) / np.sqrt(given.rho)
    lam = generator.gamma(given.alpha, 1 / given.beta, k)
    if lam.max() > LARGEST_RATE:
        raise UserError(
            f"alpha / beta is the mean strength of simulated events, and one of {lam.max():.3g} is "
            f"too large: alpha {given.alpha:g} must be smaller, or beta {given.beta:g} larger."
        )
    pi = model.weights.posterior(np.zeros((1, k))).mean[0]
    z = generator.choice(k, size=wanted.events, p=pi)
    x = mu[z] + generator.standard_normal((wanted.events, d)) / np.sqrt(given.tau)
    return Events(x, generator.poisson(lam[z]).astype(float)), Truth(mu, lam, z)


def match(model: EpicentreModel, q: VariationalPosterior, truth: Truth) -> tuple[Ints, Ints]:
    """Pairs of components, fitted and true, with the least divergence in all.

    What a pair costs is the divergence of an event's distribution under the fit from that under
    the truth: τ/2 ‖m − μ‖² and that of two Poissons, λ log(λ/λ̂) − λ + λ̂.
    """
    square = ((q.mu.mean[0][:, None] - truth.mu) ** 2).sum(-1)
    fitted, lam = q.lam.mean[0][:, None], truth.lam
    poisson = xlogy(lam, lam) - lam * np.log(fitted) - lam + fitted
    return linear_sum_assignment(model.constants.tau / 2 * square + poisson)


def accuracy(pairs: tuple[Ints, Ints], label: Ints, z: Ints) -> float:
    """Share of events whose likeliest component is the one that generated them."""
    return sum(float(((label == k) & (z == j)).mean()) for k, j in zip(*pairs, strict=True))
