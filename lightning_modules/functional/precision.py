"""Numbers that half precision would spoil."""

from torch import Tensor

__all__ = ["full_precision"]


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32 where it is half precision, as it is otherwise.

    A log-likelihood is a sum over hundreds of pixels: with 8 bits of mantissa it is off by nats.
    """
    return x.float() if x.element_size() < 4 else x
