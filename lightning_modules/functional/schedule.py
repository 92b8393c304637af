r"""The variance-preserving forward process and its noise schedules.

.. math:: q(x_k | x_j) = N\big(\sqrt{\bar\alpha_k / \bar\alpha_j}\, x_j,\;
          (1 - \bar\alpha_k / \bar\alpha_j) I\big), \qquad
          \bar\alpha_k = \prod_{j \le k} (1 - \beta_j), \quad \bar\alpha_0 = 1

Symbols: k noise level, an integer in {0, …, K}, 0 the data; β_k ``beta``; ᾱ_k ``alpha_bar``;
1 − ᾱ_k ``noise_variance``; x data, ``(B, *shape)``.

Sources: Ho, Jain & Abbeel, *Denoising Diffusion Probabilistic Models*, 2020, equation 4; Nichol &
Dhariwal, *Improved Denoising Diffusion Probabilistic Models*, 2021, equation 17 (cosine).
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elbolab.checks import check_at_least_one, check_in

__all__ = ["CosineSchedule", "Jump", "LinearSchedule", "Schedule", "along", "diffuse"]

FAR_FROM_NOISE = 0.1
"""ᾱ_K above which N(0, I) is no good start for the reverse process."""

LARGEST_BETA = 0.999
"""Nichol & Dhariwal's bound: the cosine schedule's last β is 1."""


@dataclass(frozen=True)
class Jump:
    """From level k to level j < k: what one step of a sampler has to know, on the device."""

    k: Tensor
    """The level one is at, ``()``."""
    j: Tensor
    """The level one goes to, ``()``."""
    beta: Tensor
    """β = 1 − ᾱ_k/ᾱ_j, that of the one step that leads from j to k; β_k where j = k − 1."""
    length: Tensor
    """h = log ᾱ_j/ᾱ_k = −log(1 − β), the integral of β over the jump."""
    noise_variance_k: Tensor
    """1 − ᾱ_k."""
    noise_variance_j: Tensor
    """1 − ᾱ_j."""
    to_data: bool
    """Whether j = 0, where no loss teaches a score."""


class Schedule(nn.Module):
    """β_1 … β_K and all that follows from them, on the module's device.

    Args:
        betas: β_1, …, β_K, each in (0, 1).

    Raises:
        UserError: If there is no step, or a β is not in (0, 1).
    """

    beta: Tensor
    log_alpha_bar: Tensor
    alpha_bar: Tensor
    noise_variance: Tensor

    def __init__(self, betas: Sequence[float]) -> None:
        super().__init__()
        check_in("(0, 1)", **{f"β_{k}": value for k, value in enumerate(betas, 1)})
        beta = torch.tensor([0.0, *betas], dtype=torch.float64)
        log_alpha_bar = torch.log1p(-beta).cumsum(0)
        # In float64 until here: in float32 the difference 1 − ᾱ_1 has three digits.
        values = {
            "beta": beta,
            "log_alpha_bar": log_alpha_bar,
            "alpha_bar": log_alpha_bar.exp(),
            "noise_variance": -torch.expm1(log_alpha_bar),
        }
        for name, value in values.items():
            self.register_buffer(name, value.to(torch.get_default_dtype()), persistent=False)
        if float(self.alpha_bar[-1]) > FAR_FROM_NOISE:
            warnings.warn(
                f"the schedule ends at ᾱ_K = {float(self.alpha_bar[-1]):.2g}, above "
                f"{FAR_FROM_NOISE}: x_K still remembers the data, so that samples, which start "
                "from N(0, I), will be blurred and biased; take more steps or larger β.",
                stacklevel=3,
            )

    @property
    def steps(self) -> int:
        """K, the number of noise levels above the data."""
        return len(self.beta) - 1

    def variance(self, k: Tensor, resolution: float) -> Tensor:
        """v_k = ᾱ_k σ² + 1 − ᾱ_k: the variance at level k of what had σ² = ``resolution``²."""
        return self.alpha_bar[k] * resolution**2 + self.noise_variance[k]

    def length(self, k: int, j: int) -> Tensor:
        """H = log ᾱ_j/ᾱ_k for j < k: ∫β dt between the levels."""
        return self.log_alpha_bar[j] - self.log_alpha_bar[k]

    def transition(self, k: int, j: int) -> Tensor:
        """1 − ᾱ_k/ᾱ_j for j < k: the β of the one step that leads from level j to level k."""
        return -torch.expm1(-self.length(k, j))

    def jump(self, k: int, j: int) -> Jump:
        """What a step from level k to level j < k needs."""
        level_k, level_j = torch.tensor([k, j], device=self.beta.device)
        beta, length = self.transition(k, j), self.length(k, j)
        at_k, at_j = self.noise_variance[k], self.noise_variance[j]
        return Jump(level_k, level_j, beta, length, at_k, at_j, to_data=j == 0)


class LinearSchedule(Schedule):
    """β_k grows linearly.

    Args:
        steps: K, at least 1.
        beta_min: β_1.
        beta_max: β_K. The defaults leave ᾱ_300 = 0.0022.

    Raises:
        UserError: If K is below 1 or a β is not in (0, 1).
    """

    def __init__(self, steps: int = 300, beta_min: float = 1e-4, beta_max: float = 0.04) -> None:
        check_at_least_one(steps=steps)
        check_in("(0, 1)", beta_min=beta_min, beta_max=beta_max)
        super().__init__(torch.linspace(beta_min, beta_max, steps, dtype=torch.float64).tolist())


class CosineSchedule(Schedule):
    """ᾱ_k follows cos²: slower at both ends than the linear schedule.

    Args:
        steps: K, at least 1.
        offset: s, which keeps the first β from vanishing; above 0.

    Raises:
        UserError: If K is below 1 or the offset is not above 0.
    """

    def __init__(self, steps: int = 300, offset: float = 0.008) -> None:
        check_at_least_one(steps=steps)
        check_in("(0, inf)", offset=offset)
        f = [
            math.cos((k / steps + offset) / (1 + offset) * math.pi / 2) ** 2
            for k in range(steps + 1)
        ]
        super().__init__([min(1 - f[k] / f[k - 1], LARGEST_BETA) for k in range(1, steps + 1)])


def along(values: Tensor, x: Tensor) -> Tensor:
    """Reshapes ``()`` or ``(B,)`` values so that they multiply x ``(B, *shape)`` row by row."""
    return values.view(*values.shape, *[1] * (x.dim() - 1)) if values.dim() else values


def diffuse(x: Tensor, k: Tensor, schedule: Schedule, noise: Tensor) -> Tensor:
    """x_k = √ᾱ_k x + √(1−ᾱ_k) ε for data x ``(B, *shape)``, levels k ``(B,)``, ε → noise."""
    signal, spread = schedule.alpha_bar[k].sqrt(), schedule.noise_variance[k].sqrt()
    return along(signal, x) * x + along(spread, x) * noise
