"""What a perceptron sees of a point x at noise level k, with derivatives carried forward."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from elbolab.checks import check_at_least_one, check_in, check_seed
from lightning_modules.functional.schedule import Schedule, along

__all__ = ["DampedFourier", "Identity", "InputFeatures"]


class InputFeatures(nn.Module, ABC):
    """φ(x, k); built with the dimension d of x and the schedule, as its subclasses are.

    Args:
        size: The number of features.
    """

    is_identity: ClassVar[bool] = False
    """Whether φ(x, k) = x, which makes some derivatives cheap."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    @abstractmethod
    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        """φ(x, k), ``(B, size)``, of x ``(B, d)`` and k ``()`` or ``(B,)``."""

    @abstractmethod
    def dual(self, x: Tensor, k: Tensor, tangents: Tensor) -> Tensor:
        """φ(x, k), then ∂φ/∂x v for each tangent v, ``(n, B, d)`` or ``(n, 1, d)``.

        Returns:
            ``(1 + n, B, size)``.
        """


class Identity(InputFeatures):
    """φ(x, k) = x.

    Args:
        dim: d.
        schedule: Not needed here.
    """

    is_identity = True

    def __init__(self, dim: int, schedule: Schedule) -> None:
        super().__init__(dim)

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        return x

    def dual(self, x: Tensor, k: Tensor, tangents: Tensor) -> Tensor:
        return torch.cat([x[None], tangents.expand(-1, *x.shape)])


class DampedFourier(InputFeatures):
    """φ(x, k) = [x, e^(−½|ω|²(1−ᾱ_k)) sin ωᵀx, … cos ωᵀx] with random ω: resolves fine detail.

    A perceptron in x alone learns high frequencies last (Tancik et al., *Fourier Features Let
    Networks Learn High Frequency Functions in Low Dimensional Domains*, 2020, equation 5). Noise of
    variance 1 − ᾱ_k wipes frequency ω out of the density by exactly this factor, so that a feature
    is there just where it can matter.

    Args:
        dim: d.
        schedule: The forward process.
        count: How many ω, at least 1.
        bandwidth: Standard deviation of ω's entries in radians per unit of x, above 0.
        seed: Of ω.

    Raises:
        UserError: If a value is out of range.
    """

    omega: Tensor

    def __init__(
        self,
        dim: int,
        schedule: Schedule,
        count: int = 64,
        bandwidth: float = 10.0,
        seed: int = 0,
    ) -> None:
        super().__init__(dim + 2 * count)
        check_at_least_one(count=count)
        check_in("(0, inf)", bandwidth=bandwidth)
        check_seed(seed=seed)
        self.schedule = schedule
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("omega", bandwidth * torch.randn(count, dim, generator=generator))

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        return torch.cat([x, *self._waves(x, k)], 1)

    def dual(self, x: Tensor, k: Tensor, tangents: Tensor) -> Tensor:
        sine, cosine = self._waves(x, k)
        turn = tangents @ self.omega.T
        z = x.new_empty(1 + len(tangents), len(x), self.size)
        first, last = x.shape[1], x.shape[1] + len(self.omega)
        z[0, :, :first], z[0, :, first:last], z[0, :, last:] = x, sine, cosine
        z[1:, :, :first], z[1:, :, first:last] = tangents, turn * cosine
        z[1:, :, last:] = -turn * sine
        return z

    def _waves(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        phase = x @ self.omega.T
        decay = 0.5 * self.omega.square().sum(1)
        damping = torch.exp(-along(self.schedule.noise_variance[k], x) * decay)
        return damping * phase.sin(), damping * phase.cos()
