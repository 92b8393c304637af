"""Events whose epicentres are known, to see how well they are found again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from elbolab.errors import UserError

if TYPE_CHECKING:
    from numpy.random import Generator

    from tasks.cavi.events import Events
    from tasks.cavi.model import Model
    from tasks.cavi.posterior import Array, Indices

__all__ = ["Simulation", "Truth", "simulate"]


@dataclass(frozen=True)
class Simulation:
    """What is drawn from the model where no file is given.

    Args:
        events: How many.
        components: Super-epicentres, of equal weight unless weights are given or drawn.
        dimensions: Of a position; 1 for log-normal distances.

    Raises:
        UserError: If one is not positive.
    """

    events: int = 1000
    components: int = 4
    dimensions: int = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise UserError(f"simulation.{name} must be at least 1, got {value}.")


@dataclass(frozen=True)
class Truth:
    """What generated simulated events.

    Attributes:
        mu: Epicentres ``(K, D)``.
        lam: Rates of strengths ``(K,)``.
        z: Each event's epicentre ``(N,)``.
    """

    mu: "Array"
    lam: "Array"
    z: "Indices"


def simulate(wanted: Simulation, model: "Model", generator: "Generator") -> tuple["Events", Truth]:
    """Draws epicentres and rates from the prior, and events from those.

    Args:
        wanted: How much.
        model: The priors; ν has as many numbers as there are dimensions.
        generator: Source of all noise.
    """
    import numpy as np

    from tasks.cavi.events import Events

    k, d, given = wanted.components, wanted.dimensions, model.constants
    mu = model.nu + generator.standard_normal((k, d)) / np.sqrt(given.rho)
    lam = generator.gamma(given.alpha, 1 / given.beta, k)
    pi = model.weights.posterior(np.zeros((1, k))).mean[0]
    z = generator.choice(k, size=wanted.events, p=pi)
    x = mu[z] + generator.standard_normal((wanted.events, d)) / np.sqrt(given.tau)
    return Events(x, generator.poisson(lam[z]).astype(float)), Truth(mu, lam, z)
