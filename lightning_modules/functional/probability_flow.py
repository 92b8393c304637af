r"""Log-densities of a score field by its probability-flow ordinary differential equation.

.. math:: \frac{dx}{du} = -\tfrac12 (x + s(x)), \qquad \frac{d}{du} \log p_u(x(u)) =
          \tfrac12 (d + \mathrm{tr}\, \nabla_x s)

with u = −log ᾱ, so that du = β dt. Followed from the data up to N(0, I) at level K:
log p_0(x) = log N(x_K; 0, I) − ∫ ½ (d + tr ∇s) du, in nats.

A score field is known at whole levels only, so that no step can be shorter than one of them. What
makes the integral exact in spite of that is its order: Adams's predictor–corrector of order 4 on
the grid as it is. For the true score of the spiral and the default schedule the mean of log p_0 is
off by 0.0002 nats, with 100 steps as with all 300; by the trapezoidal rule it would be 0.013.

Sources: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, *Score-Based Generative Modeling
through Stochastic Differential Equations*, 2021, equation 39; Hairer, Nørsett & Wanner, *Solving
Ordinary Differential Equations I*, 1993, section III.5 (variable step sizes).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from lightning_modules.functional.precision import full_precision
from lightning_modules.functional.schedule import Schedule
from lightning_modules.functional.score import DifferentiableScore

__all__ = ["flow_log_prob"]

ORDER = 4
"""Slopes that the corrector interpolates."""

Slope = tuple[Tensor, Tensor]
"""dx/du ``(B, *shape)`` and its divergence ``(B,)``."""


def flow_log_prob(
    score: DifferentiableScore, x: Tensor, schedule: Schedule, levels: Sequence[int]
) -> Tensor:
    """log p_0(x), ``(B,)``, in nats and never in half precision.

    The slope at the data is that at the first level reached: no loss teaches a score at level 0.

    Args:
        score: s, with the trace of its Jacobian.
        x: Points, ``(B, *shape)``.
        schedule: The forward process.
        levels: Those of the integration, from K down to 0, such as a `FineGrid` gives.
    """
    with torch.autocast(x.device.type, enabled=False):
        x, upwards = full_precision(x), levels[::-1]
        u = (-schedule.log_alpha_bar).double().tolist()
        change, slopes = x.new_zeros(len(x)), [_slope(score, x, upwards[1])]
        for i, (j, k) in enumerate(pairwise(upwards), 1):
            h = u[k] - u[j]
            times = [(u[level] - u[j]) / h for level in upwards[i - len(slopes) : i]]
            ahead = x + h * _mean(times, slopes)[0]
            slope, growth = _mean([*times, 1.0], [*slopes, _slope(score, ahead, k)])
            x, change = x + h * slope, change + h * growth
            slopes = [*slopes[2 - ORDER :], _slope(score, x, k)]
        return change - 0.5 * (x.square() + math.log(2 * math.pi)).flatten(1).sum(1)


def _slope(score: DifferentiableScore, x: Tensor, k: int) -> Slope:
    s, trace = score.with_trace(x, torch.tensor(k, device=x.device))
    return -0.5 * (x + s), -0.5 * (x[0].numel() + trace)


def _mean(times: Sequence[float], slopes: Sequence[Slope]) -> Slope:
    """Mean over [0, 1] of the polynomial that has these slopes at these times."""
    powers = torch.arange(len(times), dtype=torch.float64)
    moments = torch.tensor(times, dtype=torch.float64) ** powers[:, None]
    weights = torch.linalg.solve(moments, 1 / (powers + 1)).tolist()
    first, second = zip(*slopes, strict=True)
    return _weighted(weights, first), _weighted(weights, second)


def _weighted(weights: Sequence[float], values: Sequence[Tensor]) -> Tensor:
    total = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total = total + weight * value
    return total
