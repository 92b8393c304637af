r"""The forward process of a mixture of equal round Gaussians, in closed form at every level.

.. math:: p_k(x) = \frac1M \sum_m N(x; \sqrt{\bar\alpha_k}\, \mu_m, v_k I), \qquad
          v_k = \bar\alpha_k \sigma_0^2 + 1 - \bar\alpha_k

Symbols: μ_m centres, ``(M, *shape)``, of d numbers each; σ_0 ``sigma_0``; w_m(x) = softmax_m of the
components' log-densities; k noise level. Log-densities are in nats. All of it is computed in the
precision of x and of the centres, autocast or not: this is the truth that others are measured by.
"""

import math

import torch
from torch import Tensor

from elbolab.checks import check_in
from lightning_modules.functional.precision import uncast
from lightning_modules.functional.schedule import Schedule, along
from lightning_modules.functional.score import DifferentiableScore

__all__ = ["MixtureScore"]


class MixtureScore(DifferentiableScore):
    """The exact score of (1/M) Σ_m N(μ_m, σ_0² I) at every noise level.

    Args:
        centres: μ, ``(M, *shape)``.
        sigma_0: σ_0, above 0.
        schedule: The forward process.

    Raises:
        UserError: If σ_0 is not above 0.
    """

    centres: Tensor

    def __init__(self, centres: Tensor, sigma_0: float, schedule: Schedule) -> None:
        super().__init__()
        check_in("(0, inf)", sigma_0=sigma_0)
        self.register_buffer("centres", centres, persistent=False)
        self.sigma_0, self.schedule = sigma_0, schedule

    @uncast
    def log_prob(self, x: Tensor, k: Tensor) -> Tensor:
        """log p_k(x), ``(B,)``, for x ``(B, *shape)`` and k ``()`` or ``(B,)``."""
        rows = x.flatten(1)
        v, logits = self._components(rows, k)
        d = rows.shape[1]
        peak = 0.5 * d * torch.log(2 * math.pi * v) + math.log(len(self.centres))
        return torch.logsumexp(logits, 1) - 0.5 * rows.square().sum(1) / v - peak

    @uncast
    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        """s*_k(x) = (√ᾱ_k Σ_m w_m μ_m − x)/v_k."""
        rows = x.flatten(1)
        v, logits = self._components(rows, k)
        return self._pull(rows, k, v, logits.softmax(1) @ self.centres.flatten(1)).view_as(x)

    @uncast
    def with_trace(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """The score, and tr ∇s* = −d/v_k + ᾱ_k Var_w(μ)/v_k² with Var_w = E_w|μ|² − |E_w μ|²."""
        rows, centres = x.flatten(1), self.centres.flatten(1)
        v, logits = self._components(rows, k)
        w = logits.softmax(1)
        mean = w @ centres
        spread = w @ centres.square().sum(1) - mean.square().sum(1)
        trace = self.schedule.alpha_bar[k] * spread / v.square() - rows.shape[1] / v
        return self._pull(rows, k, v, mean).view_as(x), trace

    def _components(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """v_k and, but for what all components share, their log-densities ``(B, M)``.

        −|x − √ᾱ μ|²/2v without −|x|²/2v: one matrix product, and no overflow far away.
        """
        centres = self.centres.flatten(1)
        v = self.schedule.variance(k, self.sigma_0)
        signal = self.schedule.alpha_bar[k].sqrt()
        lengths = 0.5 * along(signal.square(), x) * centres.square().sum(1)
        products = (along(signal, x) * x) @ centres.T
        return v, (products - lengths) / along(v, x)

    def _pull(self, x: Tensor, k: Tensor, v: Tensor, mean: Tensor) -> Tensor:
        return (along(self.schedule.alpha_bar[k].sqrt(), x) * mean - x) / along(v, x)
