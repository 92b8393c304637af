r"""Where noise comes from: a generator, or the example that it is for.

Training takes noise as it comes. A figure of a trained model must not change with the size of a
batch, the order of examples or the number of processes: there every example brings its own noise,
a hash of its content seeding a SplitMix64 stream.

Source: Steele, Lea & Flood, *Fast splittable pseudorandom number generators*, 2014 (SplitMix).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Generator, Tensor

__all__ = ["BYTE_VALUES", "SMALLEST", "ContentNoise", "Noise", "noise_from", "noise_like"]

Noise = Callable[[Tensor], Tensor]
"""Draws ε ~ N(0, I) of the shape, type and device of what it is given."""

BYTE_VALUES = 256
"""Values of a byte."""

GAMMA = 0x9E3779B97F4A7C15 - 2**64
"""SplitMix64's increment, 2⁶⁴ divided by the golden ratio, as a signed number."""

MULTIPLIERS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
"""Of SplitMix64's output function, as signed numbers."""

SMALLEST = 2.0**-25
"""What stands for 0 where noise has to be above it; the next number is 2^−24."""


def noise_like(x: Tensor, generator: Generator | None = None) -> Tensor:
    """ε ~ N(0, I) of x's shape, type and device, drawn where the generator lives."""
    device = x.device if generator is None else generator.device
    return torch.randn(x.shape, generator=generator, device=device, dtype=x.dtype).to(x.device)


@contextmanager
def noise_from(generator: Generator | None) -> Iterator[None]:
    """Torch's distributions, which take no generator, draw from this one all the same.

    Within it, global noise on every device depends on ``generator`` alone. Afterwards the global
    state is what it was. With None, global noise is used as it is.
    """
    if generator is None:
        yield
        return
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    with torch.random.fork_rng():
        torch.manual_seed(int(seed))
        yield


class ContentNoise:
    """Noise that is a function of each example alone, whatever stands beside it in the batch.

    It is the same in every order, process, stage and on every device. Equal examples have equal
    noise, so make it of what tells examples apart.

    Args:
        words: Each example as whole numbers, int64 ``(B, n)``.
    """

    def __init__(self, words: Tensor) -> None:
        place = torch.arange(1, words.shape[1] + 1, device=words.device)
        self.seeds = _mix((words * (_mix(place * GAMMA) | 1)).sum(1))
        """One for each example, int64 ``(B,)``."""

    @classmethod
    def of_images(cls, x: Tensor) -> "ContentNoise":
        """That of the bytes of images x ``(B, *shape)`` in [0, 1]."""
        return cls(((BYTE_VALUES - 1) * x.flatten(1)).round().long())

    @classmethod
    def of_points(cls, x: Tensor) -> "ContentNoise":
        """That of the digits of points x ``(B, *shape)``, as float32 has them."""
        return cls(x.flatten(1).float().contiguous().view(torch.int32).long())

    def uniform(self, shape: Sequence[int], draw: int = 0) -> Tensor:
        """``(B, *shape)``, float32 in [0, 1): draw k = 0, 1, … takes the k-th numbers."""
        return self.uniforms(shape, range(draw, draw + 1))[0]

    def uniforms(self, shape: Sequence[int], draws: range) -> Tensor:
        """Several draws at once, ``(K, B, *shape)``."""
        size = torch.Size(shape).numel()
        place = torch.arange(1, size + 1, device=self.seeds.device)
        which = torch.tensor(draws, device=self.seeds.device)
        counter = (which[:, None] * size + place)[:, None]
        top24 = _shift_right(_mix(self.seeds[:, None] + counter * GAMMA), 40)
        uniform = top24.float() / 2**24  # as many bits as float32 holds
        return uniform.view(len(draws), len(self.seeds), *shape)

    def normal(self, shape: Sequence[int], draw: int = 0) -> Tensor:
        """Standard normal noise, ``(B, *shape)``, float32."""
        return torch.special.ndtri(self.uniform(shape, draw).clamp_min(SMALLEST))


def _mix(state: Tensor) -> Tensor:
    """SplitMix64's output function on int64, whose products wrap."""
    first, second = MULTIPLIERS
    state = (state ^ _shift_right(state, 30)) * first
    state = (state ^ _shift_right(state, 27)) * second
    return state ^ _shift_right(state, 31)


def _shift_right(state: Tensor, bits: int) -> Tensor:
    """As if the numbers had no sign: zeros come in from the left."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)
