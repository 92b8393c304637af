"""The probability simplex."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["project", "to_plane"]

Array = NDArray[np.float64]

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
"""Of the equilateral triangle in which three probabilities are drawn."""


def project(z: Array) -> Array:
    """The closest distribution, max(z − τ, 0) with τ such that it sums to 1.

    Args:
        z: Any numbers ``(n,)``.
    """
    falling = np.sort(z)[::-1]
    excess = np.cumsum(falling) - 1
    support = int((falling * np.arange(1, len(z) + 1) > excess).sum())
    return np.maximum(z - excess[support - 1] / support, 0.0)


def to_plane(p: Array) -> Array:
    """Points ``(…, 2)`` of distributions over three actions ``(…, 3)``."""
    return p @ CORNERS
