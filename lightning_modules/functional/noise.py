"""Noise of torch's distributions, which take no generator, from a generator all the same."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator

__all__ = ["noise_from"]


@contextmanager
def noise_from(generator: Generator | None) -> Iterator[None]:
    """Within it, global noise on every device depends on ``generator`` alone.

    Afterwards the global state is what it was. With None, global noise is used as it is.
    """
    if generator is None:
        yield
        return
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    with torch.random.fork_rng():
        torch.manual_seed(int(seed))
        yield
