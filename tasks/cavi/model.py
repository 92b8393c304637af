"""The model: its constants, and the two priors of its weights π."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.cavi.options import Constants, check_positive, check_probabilities
from tasks.cavi.posterior import Dirichlet, PointMass, WeightPosterior

__all__ = ["DirichletWeights", "EpicentreModel", "FixedWeights", "WeightPrior"]


class WeightPrior(Protocol):
    """The prior of π."""

    learned: ClassVar[bool]
    """Whether data change what is believed of it."""

    def posterior(self, n: Floats) -> WeightPosterior:
        """The optimal q(π), given expected counts ``n`` of events ``(R, K)``."""
        ...

    def expected_log_prior(self, q: WeightPosterior) -> Floats:
        """E[log p(π)] under q, in nats ``(R,)``."""
        ...


@dataclass(frozen=True)
class FixedWeights:
    """π known.

    Args:
        probabilities: π, positive and adding up to one; None is uniform over any K.

    Raises:
        UserError: If they are no probabilities.
    """

    probabilities: tuple[float, ...] | None = None
    learned: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.probabilities is not None:
            check_probabilities(self.probabilities)

    def posterior(self, n: Floats) -> WeightPosterior:
        k = n.shape[-1]
        pi = np.full(k, 1 / k) if self.probabilities is None else np.array(self.probabilities)
        return PointMass(np.broadcast_to(pi / pi.sum(), n.shape))

    def expected_log_prior(self, q: WeightPosterior) -> Floats:
        """0: there is nothing to know."""
        return 0 * q.entropy()


@dataclass(frozen=True)
class DirichletWeights:
    """π ~ Dirichlet(concentration, …, concentration).

    Args:
        concentration: Positive; below 1 it favours few components, at 1 all π are alike.

    Raises:
        UserError: If it is not positive.
    """

    concentration: float = 1.0
    learned: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(concentration=self.concentration)

    def posterior(self, n: Floats) -> WeightPosterior:
        return Dirichlet(self.concentration + n)

    def expected_log_prior(self, q: WeightPosterior) -> Floats:
        """log Γ(Kc) − K log Γ(c) + (c − 1) Σ_k E[log π_k]."""
        c, logs = self.concentration, q.expected_log
        k = logs.shape[-1]
        return math.lgamma(k * c) - k * math.lgamma(c) + (c - 1) * logs.sum(-1)


@dataclass(frozen=True)
class EpicentreModel:
    """Everything that is known before the data.

    Attributes:
        constants: τ, ρ, α and β.
        nu: ν, prior mean of the epicentres ``(D,)``.
        weights: The prior of π.
    """

    constants: Constants
    nu: Floats
    weights: WeightPrior = field(default_factory=FixedWeights)

    def check_finite(self, values: Floats) -> None:
        """Refuses constants under which figures of the events overflow.

        Raises:
            UserError: If a value is not finite; it names the constants.
        """
        if not np.isfinite(values).all():
            given = ", ".join(f"{name} {value:g}" for name, value in vars(self.constants).items())
            raise UserError(f"the ELBO of these events overflows: choose less extreme {given}.")
