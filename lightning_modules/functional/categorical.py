"""Categorical latents, and their relaxation that a gradient can pass through."""

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import OneHotCategorical

__all__ = ["GumbelSoftmax", "gumbel"]


def gumbel(like: Tensor) -> Tensor:
    """Standard Gumbel noise g = −log(−log u), u ~ U(0, 1), of the shape of ``like``."""
    # −log u is exponentially distributed, and torch draws that without ever reaching 0 or 1.
    return -torch.empty_like(like).exponential_().log()


class GumbelSoftmax(OneHotCategorical):
    """A categorical over C classes as one-hot vectors; ``rsample`` is its relaxation.

    ``sample`` and ``log_prob`` are the categorical's own. ``rsample`` draws
    y = softmax((log π + g)/τ), which tends to ``sample`` as τ → 0 and has gradients.
    Source: Jang, Gu & Poole, *Categorical Reparameterization with Gumbel-Softmax*, 2017.

    Args:
        logits: Log-probabilities up to a constant, ``(…, C)``.
        temperature: τ > 0.
        straight_through: Whether ``rsample`` gives the one-hot vector of y's largest entry, with
            y's gradient.
    """

    has_rsample = True

    def __init__(
        self, logits: Tensor, temperature: float = 1.0, straight_through: bool = False
    ) -> None:
        self.temperature, self.straight_through = temperature, straight_through
        super().__init__(logits=logits, validate_args=False)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        logits = self.logits.expand(*sample_shape, *self.logits.shape)
        relaxed = torch.softmax((logits + gumbel(logits)) / self.temperature, -1)
        if not self.straight_through:
            return relaxed
        hard = F.one_hot(relaxed.argmax(-1), relaxed.shape[-1]).to(relaxed)
        return hard + relaxed - relaxed.detach()
