"""Arrays that a person gives a model in Python: checked, so that no figure is silently wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbolab.errors import UserError

__all__ = ["checked_images", "checked_points", "scaled"]

BYTE = 255


def checked_images(
    images: Any, shape: Sequence[int], low: float = 0.0, high: float = 1.0
) -> NDArray[Any]:
    """Images as they were given, laid out as ``(N, *shape)``: bytes, or floats in [low, high].

    Args:
        images: ``(N, *shape)`` or one image; the channel may be left out where there is one.
        shape: Of one image.
        low: Least value of a pixel.
        high: Greatest value of a pixel.

    Raises:
        UserError: Naming shape, type or values that are not what they should be.
    """
    array = _batched(_array(images), tuple(shape), "images")
    if array.dtype == np.uint8:
        if array.max() == 1:
            raise UserError(
                "images of bytes hold only 0 and 1, which would be nearly black: give binary "
                "images as floats, x.astype('float32')."
            )
        return array
    if array.dtype.kind != "f":
        raise UserError(
            f"images must be bytes (uint8, 0 to 255) or floats in [{low:g}, {high:g}], got "
            f"{array.dtype}."
        )
    _check_numbers(array, "images")
    smallest, largest = array.min(), array.max()
    if smallest < low or largest > high:
        raise UserError(
            f"images of floats must be in [{low:g}, {high:g}], got values from {smallest:g} to "
            f"{largest:g}: divide bytes by 255."
        )
    return array


def scaled(images: NDArray[Any]) -> NDArray[np.float32]:
    """Checked images in float32, bytes divided by 255."""
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(BYTE)
    return images.astype(np.float32)


def checked_points(points: Any, shape: Sequence[int]) -> NDArray[np.float32]:
    """Points ``(N, d)`` in float32, of such or of one.

    Raises:
        UserError: Naming shape, type or values that are not what they should be.
    """
    array = _batched(_array(points), tuple(shape), "points")
    if array.dtype.kind not in "fiu":
        raise UserError(f"points must be real numbers, got {array.dtype}.")
    _check_numbers(array, "points")
    return array.astype(np.float32)


def _array(given: Any) -> NDArray[Any]:
    detached = given.detach().cpu() if hasattr(given, "detach") else given
    try:
        return np.asarray(detached)
    except (ValueError, TypeError) as error:
        raise UserError(f"no array: {' '.join(str(error).split())}.") from error


def _batched(array: NDArray[Any], shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """The array as ``(N, *shape)``, its values untouched."""
    layouts = [shape, shape[1:]] if len(shape) > 1 and shape[0] == 1 else [shape]
    for layout in layouts:
        one = array.shape == layout
        if one or (array.ndim == len(layout) + 1 and array.shape[1:] == layout):
            if array.size == 0:
                raise UserError(f"no {what}: the array is {array.shape}.")
            return array.reshape(-1, *shape)
    wanted = " or ".join(f"(N, {', '.join(map(str, layout))})" for layout in layouts)
    last = len(shape) == 3 and array.shape[-3:] == (*shape[1:], shape[0])
    hint = " Move the channels forward, np.moveaxis(x, -1, -3)." if last else ""
    raise UserError(f"{what} must be {wanted} or one of them, got {array.shape}.{hint}")


def _check_numbers(array: NDArray[Any], what: str) -> None:
    if wrong := int(np.count_nonzero(~np.isfinite(array))):
        noun = "value that is" if wrong == 1 else "values that are"
        raise UserError(f"{what} hold {wrong} {noun} no finite number (NaN or infinite).")
