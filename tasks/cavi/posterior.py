"""Posterior objects: arrays of Gaussians, Gammas and Dirichlets, with what others expect of them.

R posteriors of K components are held side by side; R counts restarts. Entropies are in nats.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from scipy.special import digamma, gammaln

from tasks.arrays import Floats, Ints

__all__ = [
    "LOG_2PI",
    "Dirichlet",
    "Gamma",
    "Gaussian",
    "PointMass",
    "VariationalPosterior",
    "WeightPosterior",
]

LOG_2PI = float(np.log(2 * np.pi))


class _Columns:
    """Arrays whose first axis counts restarts."""

    def take(self, rows: Ints) -> Self:
        """The posteriors of some restarts."""
        return type(self)(*(value[rows] for value in vars(self).values()))

    def replaced(self, rows: Ints, other: Self) -> Self:
        """These, with ``other`` in place of some restarts."""
        values = [np.array(value) for value in vars(self).values()]
        for value, new in zip(values, vars(other).values(), strict=True):
            value[rows] = new
        return type(self)(*values)


class WeightPosterior(Protocol):
    """What is believed of π."""

    @property
    def mean(self) -> Floats:
        """E[π] ``(R, K)``."""
        ...

    @property
    def expected_log(self) -> Floats:
        """E[log π] ``(R, K)``."""
        ...

    def entropy(self) -> Floats:
        """``(R,)``; 0 where there is nothing to know."""
        ...

    def blend(self, other: Self, step: float) -> Self:
        """A step towards ``other`` in natural parameters."""
        ...

    def take(self, rows: Ints) -> Self:
        """The posteriors of some restarts."""
        ...

    def replaced(self, rows: Ints, other: Self) -> Self:
        """These, with ``other`` in place of some restarts."""
        ...


@dataclass(frozen=True)
class Gaussian(_Columns):
    """q(μ_k) = N(m_k, (ρ_k I)⁻¹).

    Attributes:
        mean: m ``(R, K, D)``, in units of the positions.
        precision: ρ_k ``(R, K)``, in 1/unit².
    """

    mean: Floats
    precision: Floats

    def entropy(self) -> Floats:
        """Sum over components ``(R,)``: (D/2)(1 + log 2π − log ρ_k)."""
        return self.mean.shape[-1] / 2 * (1 + LOG_2PI - np.log(self.precision)).sum(-1)

    def expected_square(self, centre: Floats) -> Floats:
        """E‖μ_k − centre‖² = ‖m_k − centre‖² + D/ρ_k, ``(R, K)``."""
        return ((self.mean - centre) ** 2).sum(-1) + self.mean.shape[-1] / self.precision

    def blend(self, other: Self, step: float) -> Self:
        """A step towards ``other`` in natural parameters, ρ_k m_k and ρ_k."""
        precision = (1 - step) * self.precision + step * other.precision
        share = (step * other.precision / precision)[..., None]
        return type(self)((1 - share) * self.mean + share * other.mean, precision)


@dataclass(frozen=True)
class Gamma(_Columns):
    """q(λ_k) = Gamma(shape α_k, rate β_k), both ``(R, K)``."""

    shape: Floats
    rate: Floats

    @property
    def mean(self) -> Floats:
        """E[λ] = α/β ``(R, K)``."""
        return self.shape / self.rate

    @property
    def expected_log(self) -> Floats:
        """E[log λ] = ψ(α) − log β ``(R, K)``."""
        return digamma(self.shape) - np.log(self.rate)

    def entropy(self) -> Floats:
        """Sum over components ``(R,)``: α − log β + log Γ(α) + (1 − α)ψ(α)."""
        a = self.shape
        return (a - np.log(self.rate) + gammaln(a) + (1 - a) * digamma(a)).sum(-1)

    def blend(self, other: Self, step: float) -> Self:
        """A step towards ``other`` in natural parameters."""
        shape, rate = ((1 - step) * a + step * b for a, b in _pairs(self, other))
        return type(self)(shape, rate)


@dataclass(frozen=True)
class Dirichlet(_Columns):
    """q(π) = Dirichlet(concentration ``(R, K)``)."""

    concentration: Floats

    @property
    def mean(self) -> Floats:
        """E[π] ``(R, K)``."""
        return self.concentration / self.concentration.sum(-1, keepdims=True)

    @property
    def expected_log(self) -> Floats:
        """E[log π] ``(R, K)``."""
        c = self.concentration
        return digamma(c) - digamma(c.sum(-1, keepdims=True))

    def entropy(self) -> Floats:
        """``(R,)``."""
        c = self.concentration
        log_beta = gammaln(c).sum(-1) - gammaln(c.sum(-1))
        return log_beta - ((c - 1) * self.expected_log).sum(-1)

    def blend(self, other: Self, step: float) -> Self:
        """A step towards ``other`` in natural parameters."""
        (mine, theirs), *_ = _pairs(self, other)
        return type(self)((1 - step) * mine + step * theirs)


@dataclass(frozen=True)
class PointMass(_Columns):
    """π known for certain, ``(R, K)``."""

    mean: Floats

    @property
    def expected_log(self) -> Floats:
        """log π ``(R, K)``."""
        return np.log(self.mean)

    def entropy(self) -> Floats:
        """0, the entropy of what is no random variable."""
        return np.zeros(len(self.mean))

    def blend(self, other: Self, step: float) -> Self:
        """Itself: what is known does not move."""
        return self


def _pairs(one: _Columns, two: _Columns) -> list[tuple[Floats, Floats]]:
    return list(zip(vars(one).values(), vars(two).values(), strict=True))


@dataclass(frozen=True)
class VariationalPosterior:
    """The global factors of q, R of them side by side; q(Z) follows from these.

    Attributes:
        mu: Epicentres.
        lam: Rates of strengths.
        pi: Weights.
    """

    mu: Gaussian
    lam: Gamma
    pi: WeightPosterior

    def take(self, rows: Ints) -> Self:
        """The posteriors of some restarts."""
        return type(self)(self.mu.take(rows), self.lam.take(rows), self.pi.take(rows))

    def replaced(self, rows: Ints, other: Self) -> Self:
        """These, with ``other`` in place of some restarts."""
        return type(self)(
            self.mu.replaced(rows, other.mu),
            self.lam.replaced(rows, other.lam),
            self.pi.replaced(rows, other.pi),
        )

    def blend(self, other: Self, step: float) -> Self:
        """A natural-gradient step: convex combination of natural parameters."""
        return type(self)(
            self.mu.blend(other.mu, step),
            self.lam.blend(other.lam, step),
            self.pi.blend(other.pi, step),
        )
