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

import torch
from torch import Generator, Tensor, nn

from elbolab.errors import UserError

__all__ = ["CosineSchedule", "LinearSchedule", "Schedule", "along", "diffuse", "noise_like"]

FAR_FROM_NOISE = 0.1
"""ᾱ_K above which N(0, I) is no good start for the reverse process."""

LARGEST_BETA = 0.999
"""Nichol & Dhariwal's bound: the cosine schedule's last β is 1."""


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
        for k, value in enumerate(betas, 1):
            if not 0 < value < 1:
                raise UserError(f"β_{k} must be between 0 and 1 (both excluded), got {value:g}.")
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

    def grid(self, steps: int | None = None) -> list[int]:
        """Levels K = k_0 > k_1 > … > 0 of ``steps`` about equal jumps; all of them by default.

        Raises:
            UserError: If ``steps`` is not in {1, …, K}.
        """
        wanted = self.steps if steps is None else steps
        if not 1 <= wanted <= self.steps:
            raise UserError(
                f"sampling steps must be between 1 and the schedule's {self.steps}, got {wanted}."
            )
        return [round(self.steps * i / wanted) for i in range(wanted, -1, -1)]


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
        _check_steps(steps)
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
        _check_steps(steps)
        if not offset > 0:
            raise UserError(f"offset must be above 0, got {offset}.")
        f = [
            math.cos((k / steps + offset) / (1 + offset) * math.pi / 2) ** 2
            for k in range(steps + 1)
        ]
        super().__init__([min(1 - f[k] / f[k - 1], LARGEST_BETA) for k in range(1, steps + 1)])


def along(values: Tensor, x: Tensor) -> Tensor:
    """Reshapes ``()`` or ``(B,)`` values so that they multiply x ``(B, *shape)`` row by row."""
    return values.view(*values.shape, *[1] * (x.dim() - 1)) if values.dim() else values


def noise_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """ε ~ N(0, I) of x's shape, type and device, drawn where the generator lives."""
    device = x.device if generator is None else generator.device
    return torch.randn(x.shape, generator=generator, device=device, dtype=x.dtype).to(x.device)


def diffuse(x: Tensor, k: Tensor, schedule: Schedule, noise: Tensor) -> Tensor:
    """x_k = √ᾱ_k x + √(1−ᾱ_k) ε for data x ``(B, *shape)``, levels k ``(B,)``, ε → noise."""
    signal, spread = schedule.alpha_bar[k].sqrt(), schedule.noise_variance[k].sqrt()
    return along(signal, x) * x + along(spread, x) * noise


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise UserError(f"K, the number of noise levels (steps), must be at least 1, got {steps}.")
