r"""Log-densities of a score field by its probability-flow ordinary differential equation.

.. math:: \frac{dx}{du} = -\tfrac12 (x + s(x)), \qquad \frac{d}{du} \log p_u(x(u)) =
          \tfrac12 (d + \mathrm{tr}\, \nabla_x s)

with u = −log ᾱ, so that du = β dt. Followed from the data up to N(0, I) at level K:
log p_0(x) = log N(x_K; 0, I) − ∫ ½ (d + tr ∇s) du, in nats.

Source: Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, 2021, equation 39.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from lightning_modules.functional.schedule import Schedule
from lightning_modules.functional.score import Score

__all__ = ["flow_log_prob"]


def flow_log_prob(score: Score, x: Tensor, schedule: Schedule, steps: int | None = None) -> Tensor:
    """log p_0(x), ``(B,)``, in nats, by Heun's method.

    The slope at the data is that at the first level reached: no loss teaches a score at level 0.

    Args:
        score: s, with the trace of its Jacobian.
        x: Points, ``(B, d)``.
        schedule: The forward process.
        steps: Steps of the integration; all K levels by default.

    Raises:
        UserError: If there are more steps than levels.
    """
    levels = schedule.grid(steps)[::-1]
    divergence = torch.zeros_like(x[:, 0])
    slope = _slope(score, x, levels[1])
    for j, k in pairwise(levels):
        h = schedule.length(k, j)
        ahead = _slope(score, x + h * slope[0], k)
        x = x + 0.5 * h * (slope[0] + ahead[0])
        divergence = divergence + 0.5 * h * (slope[1] + ahead[1])
        slope = _slope(score, x, k)
    normal = -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)
    return normal + divergence


def _slope(score: Score, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """dx/du ``(B, d)`` and its divergence ``(B,)`` at level k."""
    s, trace = score.with_trace(x, torch.tensor(k, device=x.device))
    return -0.5 * (x + s), -0.5 * (x.shape[1] + trace)
