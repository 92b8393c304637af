"""Checks that many constructors make."""

from collections.abc import Sequence

from elbolab.errors import UserError

__all__ = ["check_at_least_one"]


def check_at_least_one(**sizes: int | Sequence[int]) -> None:
    """Refuses sizes below 1, each a number or several.

    Raises:
        UserError: Naming the first that is, and its value.
    """
    for name, values in sizes.items():
        for value in [values] if isinstance(values, int) else values:
            if value < 1:
                raise UserError(f"{name} must be at least 1, got {value}.")
