"""Seeds derived from where they are used, so that no stream of noise depends on another."""

from hashlib import blake2b

__all__ = ["derive_seed"]


def derive_seed(*parts: int | str) -> int:
    """Maps a place in a run to a seed in [0, 2**63).

    Noise that is a function of (seed, purpose, epoch, step, rank) alone needs no generator state
    in a checkpoint: a resumed run, on any rank, draws what the uninterrupted one would have drawn.

    Args:
        parts: The run's seed followed by what the noise is for, for example
            ``derive_seed(0, "permutation", epoch)``. Order and type both count.
    """
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1
