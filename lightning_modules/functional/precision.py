"""Numbers that half precision would spoil: likelihoods, and the truths that others are measured by.

A log-likelihood is a sum over hundreds of pixels: with 8 bits of mantissa it is off by nats.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

__all__ = ["full_precision", "uncast"]

M = TypeVar("M", bound=Callable[..., Any])


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32 where it is half precision, as it is otherwise."""
    return x.float() if x.element_size() < 4 else x


def uncast(method: M) -> M:
    """A method ``(self, x, …)`` that is computed in float32 or better whatever autocast says."""

    @wraps(method)
    def exact(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(x.device.type, enabled=False):
            return method(self, full_precision(x), *args, **kwargs)

    return cast(M, exact)
