"""The one place where numbers that a person gives are checked."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from elbolab.errors import UserError

__all__ = ["check_at_least_one", "check_in", "check_seed"]

LARGEST_SEED = 2**32 - 1
"""What NumPy and Lightning take as a seed."""


def check_in(interval: str, /, **values: float | Iterable[float] | None) -> None:
    """Refuses numbers outside an interval, and those that are none (NaN).

    Args:
        interval: In the notation of mathematics, ``"[0, 1)"`` or ``"(0, inf)"``. Infinity is
            refused unless a bracket includes it, ``"(0, inf]"``.
        **values: Name → number, or several; None stands for "not given" and passes.

    Raises:
        UserError: Naming the first that is outside, its value and the interval.
    """
    allowed = _Interval.parse(interval)
    for name, given in values.items():
        for value in _each(given):
            if not allowed.contains(value):
                finite = "finite and " if math.isinf(value) else ""
                raise UserError(f"{name} must be {finite}{allowed}, got {value}.")


def check_at_least_one(**sizes: int | Iterable[int] | None) -> None:
    """Refuses sizes below 1, each a number or several.

    Raises:
        UserError: Naming the first that is, and its value.
    """
    check_in("[1, inf)", **sizes)


def check_seed(**seeds: int) -> None:
    """Refuses seeds that some generator would not take.

    Raises:
        UserError: If one is below 0 or beyond 32 bits.
    """
    for name, seed in seeds.items():
        if not 0 <= seed <= LARGEST_SEED:
            raise UserError(f"{name} must be a whole number from 0 to {LARGEST_SEED}, got {seed}.")


def _each(given: float | Iterable[float] | None) -> Iterable[float]:
    if given is None:
        return ()
    return given if isinstance(given, Iterable) else (given,)


@dataclass(frozen=True)
class _Interval:
    low: float
    high: float
    with_low: bool
    with_high: bool

    @classmethod
    def parse(cls, text: str) -> "_Interval":
        low, high = text[1:-1].split(",")
        return cls(float(low), float(high), text[0] == "[", text[-1] == "]")

    def contains(self, value: float) -> bool:
        above = value >= self.low if self.with_low else value > self.low
        below = value <= self.high if self.with_high else value < self.high
        return above and below  # both are false for NaN

    def __str__(self) -> str:
        """The interval in words where one side is open to infinity: "at least 1"."""
        if math.isinf(self.low) and math.isinf(self.high):
            return "a number"
        if math.isinf(self.high):
            return f"{'at least' if self.with_low else 'above'} {self.low:g}"
        if math.isinf(self.low):
            return f"{'at most' if self.with_high else 'below'} {self.high:g}"
        left, right = "[" if self.with_low else "(", "]" if self.with_high else ")"
        return f"in {left}{self.low:g}, {self.high:g}{right}"
