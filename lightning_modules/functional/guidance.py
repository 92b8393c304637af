r"""Classifier-free guidance: how strongly a sample keeps to its label.

.. math:: s_w(x, k) = (1 + w)\, s(x, k, y) - w\, s(x, k, \varnothing)

Symbols: w ``weight``, at least −1; s(x, k, y) ``labelled``; s(x, k, ∅) ``unlabelled``. w = −1 drops
the label, w = 0 is plain conditional sampling, w > 0 sharpens: s_w is the score of
p_k(x|y) p_k(y|x)^w up to a factor, if the networks are exact.

Source: Ho & Salimans, *Classifier-Free Diffusion Guidance*, 2022, equation 6.
"""

import math

from torch import Tensor

from elbolab.errors import UserError
from lightning_modules.functional.samplers import ScoreFunction

__all__ = ["check_guidance", "guided"]


def check_guidance(weight: float) -> None:
    """Refuses a weight that is no number or below −1.

    Raises:
        UserError: Naming it.
    """
    if not (math.isfinite(weight) and weight >= -1):
        raise UserError(f"guidance must be a finite number of at least -1, got {weight}.")


def guided(labelled: ScoreFunction, unlabelled: ScoreFunction, weight: float) -> ScoreFunction:
    """s_w; with w = 0 the labelled score itself, which then costs one evaluation instead of two."""
    check_guidance(weight)
    if weight == 0:
        return labelled

    def score(x: Tensor, k: Tensor) -> Tensor:
        return (1 + weight) * labelled(x, k) - weight * unlabelled(x, k)

    return score
