"""Multi-layer perceptrons, which VAE and NICE share."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

__all__ = ["mlp"]


def mlp(sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers ``sizes[0] → sizes[1] → …`` with ``activation`` between them, none at the end.

    PyTorch's default initialisation. ``mlp([784, 256, 256, 40])`` maps ``(B, 784)`` to ``(B, 40)``.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])
