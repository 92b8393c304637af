"""Priors p(z) over the latents."""

from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution, Independent

from lightning_modules.functional.gaussian import StandardNormal

__all__ = ["Prior", "StandardNormalPrior"]


class Prior(nn.Module, ABC):
    """p(z) for z ∈ R^d; built with the number of latent dimensions d."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    @abstractmethod
    def forward(self) -> Distribution:
        """p(z), event shape ``(d,)``."""

    @abstractmethod
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` draws z ~ p(z), ``(n, d)``, on the prior's device."""


class StandardNormalPrior(Prior):
    """p(z) = N(0, I)."""

    zero: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        # A buffer, so that the distribution lives where the model does; nothing to save.
        self.register_buffer("zero", torch.zeros(latent_dim), persistent=False)

    def forward(self) -> Distribution:
        return Independent(StandardNormal(self.zero), 1, validate_args=False)

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        shape = (n, self.latent_dim)
        device = generator.device if generator is not None else self.zero.device
        return torch.randn(shape, generator=generator, device=device).to(self.zero)
