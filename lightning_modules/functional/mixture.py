r"""The forward process of a mixture of equal round Gaussians, in closed form at every level.

.. math:: p_k(x) = \frac1M \sum_m N(x; \sqrt{\bar\alpha_k}\, \mu_m, v_k I), \qquad
          v_k = \bar\alpha_k \sigma_0^2 + 1 - \bar\alpha_k

Symbols: μ_m centres, ``(M, d)``; σ_0 ``sigma_0``; w_m(x) = softmax_m of the components'
log-densities; k noise level. Log-densities are in nats.
"""

import math

import torch
from torch import Tensor

from lightning_modules.functional.schedule import Schedule, along
from lightning_modules.functional.score import Score

__all__ = ["MixtureScore"]


class MixtureScore(Score):
    """The exact score of (1/M) Σ_m N(μ_m, σ_0² I) at every noise level.

    Args:
        centres: μ, ``(M, d)``.
        sigma_0: σ_0, above 0.
        schedule: The forward process.
    """

    centres: Tensor

    def __init__(self, centres: Tensor, sigma_0: float, schedule: Schedule) -> None:
        super().__init__()
        self.register_buffer("centres", centres, persistent=False)
        self.sigma_0, self.schedule = sigma_0, schedule

    def log_prob(self, x: Tensor, k: Tensor) -> Tensor:
        """log p_k(x), ``(B,)``, for x ``(B, d)`` and k ``()`` or ``(B,)``."""
        v, logits = self._components(x, k)
        d = x.shape[1]
        peak = 0.5 * d * torch.log(2 * math.pi * v) + math.log(len(self.centres))
        return torch.logsumexp(logits, 1) - 0.5 * x.square().sum(1) / v - peak

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        """s*_k(x) = (√ᾱ_k Σ_m w_m μ_m − x)/v_k."""
        v, logits = self._components(x, k)
        return self._pull(x, k, v, logits.softmax(1) @ self.centres)

    def with_trace(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """The score, and tr ∇s* = −d/v_k + ᾱ_k Var_w(μ)/v_k² with Var_w = E_w|μ|² − |E_w μ|²."""
        v, logits = self._components(x, k)
        w = logits.softmax(1)
        mean = w @ self.centres
        spread = w @ self.centres.square().sum(1) - mean.square().sum(1)
        trace = self.schedule.alpha_bar[k] * spread / v.square() - x.shape[1] / v
        return self._pull(x, k, v, mean), trace

    def _components(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """v_k and, but for what all components share, their log-densities ``(B, M)``.

        −|x − √ᾱ μ|²/2v without −|x|²/2v: one matrix product, and no overflow far away.
        """
        v = self.schedule.variance(k, self.sigma_0)
        signal = self.schedule.alpha_bar[k].sqrt()
        lengths = 0.5 * along(signal.square(), x) * self.centres.square().sum(1)
        products = (along(signal, x) * x) @ self.centres.T
        return v, (products - lengths) / along(v, x)

    def _pull(self, x: Tensor, k: Tensor, v: Tensor, mean: Tensor) -> Tensor:
        return (along(self.schedule.alpha_bar[k].sqrt(), x) * mean - x) / along(v, x)
