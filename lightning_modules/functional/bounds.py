r"""Lower bounds on log p(x) as functions of K log-weights.

.. math:: \log w_k = \log p(x|z_k) + \log p(z_k) - \log q(z_k|x), \qquad z_k \sim q(z|x)

Log-weights have shape ``(K, B)``: K draws for each of B examples. All values in nats.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from elbolab.checks import check_at_least_one

__all__ = ["Bound", "Elbo", "ImportanceWeighted"]


class Bound(ABC):
    """A function of K log-weights whose expectation is at most log p(x).

    Args:
        samples: K, how many draws of z it takes for each example.

    Raises:
        UserError: If K is below 1.
    """

    counted: ClassVar[str] = "samples"
    """What K is called where it is given."""
    linear: ClassVar[bool]
    """Whether it is linear in the log-weights, so that E[log q − log p] may be replaced by KL."""

    def __init__(self, samples: int) -> None:
        check_at_least_one(**{self.counted: samples})
        self.samples = samples

    @abstractmethod
    def __call__(self, log_weights: Tensor) -> Tensor:
        """Its value for each example, ``(B,)``, from log-weights ``(K, B)``."""

    @abstractmethod
    def signal(self, log_weights: Tensor) -> Tensor:
        """The part of the value that depends on draw k, ``(K, B)``: what z_k is credited with."""

    @abstractmethod
    def leave_one_out(self, log_weights: Tensor) -> Tensor:
        """An estimate of each signal from the other K − 1 draws, ``(K, B)``."""


class Elbo(Bound):
    """The evidence lower bound (1/K) Σ_k log w_k; more draws make it less noisy, not tighter.

    Args:
        draws: K ≥ 1. Not named as in `ImportanceWeighted`: the command line keeps arguments of the
            same name when a class is exchanged for another, and K = 50 is not meant for both.
    """

    counted = "draws"
    linear = True

    def __init__(self, draws: int = 1) -> None:
        super().__init__(draws)

    def __call__(self, log_weights: Tensor) -> Tensor:
        return log_weights.mean(0)

    def signal(self, log_weights: Tensor) -> Tensor:
        return log_weights / len(log_weights)

    def leave_one_out(self, log_weights: Tensor) -> Tensor:
        return _mean_of_others(log_weights) / len(log_weights)


class ImportanceWeighted(Bound):
    """VLB^(K) = log (1/K) Σ_k w_k, which grows with K towards log p(x).

    Source: Burda, Grosse & Salakhutdinov, *Importance Weighted Autoencoders*, 2016, equation 8.

    Args:
        samples: K ≥ 1; with 1 it is the ELBO.
    """

    linear = False

    def __init__(self, samples: int = 50) -> None:
        super().__init__(samples)

    def __call__(self, log_weights: Tensor) -> Tensor:
        return log_weights.logsumexp(0) - math.log(len(log_weights))

    def signal(self, log_weights: Tensor) -> Tensor:
        return self(log_weights).expand_as(log_weights)

    def leave_one_out(self, log_weights: Tensor) -> Tensor:
        """The bound with w_k replaced by the geometric mean of the other weights.

        Source: Mnih & Rezende, *Variational inference for Monte Carlo objectives*, 2016,
        equation 9.
        """
        one = torch.eye(len(log_weights), dtype=torch.bool, device=log_weights.device)
        others = _mean_of_others(log_weights)
        replaced = torch.where(one.unsqueeze(-1), others.unsqueeze(1), log_weights.unsqueeze(0))
        return replaced.logsumexp(1) - math.log(len(log_weights))


def _mean_of_others(values: Tensor) -> Tensor:
    return (values.sum(0) - values) / (len(values) - 1)
