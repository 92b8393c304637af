"""What batches are called by their parts: known to data modules, models and callbacks alike."""

from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["LabelledBatch", "MarkedBatch", "Origin", "PointBatch", "in_distribution"]


class Origin(IntEnum):
    """The part of an anomaly test that an image belongs to."""

    CALIBRATION = 0
    """In-distribution, sets the threshold."""
    INSIDE = 1
    """In-distribution, judged."""
    OUTSIDE = 2
    """Out-of-distribution, judged."""


class PointBatch(NamedTuple):
    """Points x, float32 ``(B, d)``."""

    x: Tensor


class LabelledBatch(NamedTuple):
    """Examples x, float32 ``(B, *shape)``, and their labels y, int64 ``(B,)``."""

    x: Tensor
    y: Tensor


class MarkedBatch(NamedTuple):
    """Images of an anomaly test.

    Attributes:
        x: Images in [0, 1], ``(B, c, h, w)``.
        y: Their labels, int64 ``(B,)``.
        origin: The `Origin` of each, int64 ``(B,)``.
        place: Its number in the test set that it comes from, int64 ``(B,)``.
    """

    x: Tensor
    y: Tensor
    origin: Tensor
    place: Tensor


def in_distribution(batch: tuple[Tensor, ...]) -> Tensor:
    """Which examples of a test batch are in-distribution, ``(B,)``: all, where none is marked."""
    if isinstance(batch, MarkedBatch):
        return batch.origin != Origin.OUTSIDE
    return torch.ones(len(batch[0]), dtype=torch.bool, device=batch[0].device)
