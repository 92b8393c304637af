r"""A lower bound on log-densities that asks a score field only where it was trained.

.. math:: \log p(x) \ge C(x) - \sum_k \beta_k E_\epsilon\, \tfrac12 \Big\| s(x_k, k) +
          \frac{\epsilon}{\sqrt{1 - \bar\alpha_k}} \Big\|^2, \qquad
          x_k = \sqrt{\bar\alpha_k}\, x + \sqrt{1 - \bar\alpha_k}\, \epsilon

C does not depend on s: with the same noise for both, the bounds of two fields compare. The
probability-flow ODE has the density itself, but leads through places where a field was never
trained, if x is none of its data.

Source: Song, Durkan, Murray & Ermon, *Maximum Likelihood Training of Score-Based Diffusion Models*,
2021, theorem 3, with one step of the sum for each level.
"""

import torch
from torch import Generator, Tensor

from lightning_modules.functional.schedule import Schedule
from lightning_modules.functional.score import Score
from lightning_modules.functional.score_matching import Denoising

__all__ = ["diffusion_bound"]


def diffusion_bound(
    score: Score, x: Tensor, schedule: Schedule, generator: Generator | None = None
) -> Tensor:
    """What of the bound depends on s, ``(B,)``, in nats, for x ``(B, d)``, one ε for each level.

    Args:
        score: s.
        x: Points.
        schedule: The forward process.
        generator: Of the noise; seeded alike, it is the same for several fields.
    """
    bound, loss = torch.zeros_like(x[:, 0]), Denoising()
    for level in range(1, schedule.steps + 1):
        k = torch.full((len(x),), level, device=x.device)
        bound -= schedule.beta[level] * loss(score, x, k, schedule, generator)
    return bound
