"""Where the images of an anomaly test come from: known to data modules and callbacks alike."""

from enum import IntEnum

__all__ = ["Origin"]


class Origin(IntEnum):
    """The part of an anomaly test that an image belongs to."""

    CALIBRATION = 0
    """In-distribution, sets the threshold."""
    INSIDE = 1
    """In-distribution, judged."""
    OUTSIDE = 2
    """Out-of-distribution, judged."""
