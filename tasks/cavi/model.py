"""Constants of the model and the two priors of its weights π.

Imports NumPy only where numbers are computed: the command's help waits for this module.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from elbolab.errors import UserError

if TYPE_CHECKING:
    from tasks.cavi.posterior import Array, WeightPosterior

__all__ = ["Constants", "DirichletWeights", "FixedWeights", "Model", "Weights"]


@dataclass(frozen=True)
class Constants:
    """The scalars of the model; all positive.

    Args:
        tau: τ, precision of positions around their epicentre, in 1/unit² of the positions.
        rho: ρ, prior precision of the epicentres, in 1/unit².
        alpha: α, prior shape of the strengths' rates.
        beta: β, prior rate of the strengths' rates.

    Raises:
        UserError: If one is not positive and finite.
    """

    tau: float = 1.0
    rho: float = 0.01
    alpha: float = 1.0
    beta: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"{name} must be positive and finite, got {value}.")


class Weights(Protocol):
    """The prior of π."""

    learned: ClassVar[bool]
    """Whether data change what is believed of it."""

    def posterior(self, n: "Array") -> "WeightPosterior":
        """The optimal q(π), given expected counts ``n`` of events ``(R, K)``."""
        ...

    def expected_log_prior(self, q: "WeightPosterior") -> "Array":
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
        given = self.probabilities or (1.0,)
        if not all(p > 0 for p in given) or abs(math.fsum(given) - 1) > 1e-6:
            raise UserError(f"weights must be positive and add up to 1, got {list(given)}.")

    def posterior(self, n: "Array") -> "WeightPosterior":
        import numpy as np

        from tasks.cavi.posterior import PointMass

        k = n.shape[-1]
        pi = np.full(k, 1 / k) if self.probabilities is None else np.array(self.probabilities)
        return PointMass(np.broadcast_to(pi / pi.sum(), n.shape))

    def expected_log_prior(self, q: "WeightPosterior") -> "Array":
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
        if not (math.isfinite(self.concentration) and self.concentration > 0):
            raise UserError(f"concentration must be positive, got {self.concentration}.")

    def posterior(self, n: "Array") -> "WeightPosterior":
        from tasks.cavi.posterior import Dirichlet

        return Dirichlet(self.concentration + n)

    def expected_log_prior(self, q: "WeightPosterior") -> "Array":
        """log Γ(Kc) − K log Γ(c) + (c − 1) Σ_k E[log π_k]."""
        c, logs = self.concentration, q.expected_log
        k = logs.shape[-1]
        return math.lgamma(k * c) - k * math.lgamma(c) + (c - 1) * logs.sum(-1)


@dataclass(frozen=True)
class Model:
    """Everything that is known before the data.

    Attributes:
        constants: τ, ρ, α and β.
        nu: ν, prior mean of the epicentres ``(D,)``.
        weights: The prior of π.
    """

    constants: Constants
    nu: "Array"
    weights: Weights = field(default_factory=FixedWeights)
