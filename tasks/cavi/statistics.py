"""What one pass over the events says: sums over n of what the responsibilities r_nk weigh."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tasks.arrays import Floats
from tasks.cavi.events import Events
from tasks.cavi.kernel import accumulate
from tasks.cavi.model import EpicentreModel
from tasks.cavi.posterior import VariationalPosterior

__all__ = ["Statistics", "gather", "natural_terms"]

PIECES = 64
"""Most parts of a chunk; their sums are added in order, the same numbers for any threads."""

PIECE = 8192
"""Events of a part, more or less, unless that would make too many."""

ENOUGH = 2
"""Parts that are worth a thread."""


@dataclass(frozen=True)
class Statistics:
    """Sufficient statistics of q(Z) for R posteriors.

    Deviations are from a ``centre`` near the epicentres, so that nothing cancels far from 0.

    Attributes:
        n: Σ_n r_nk ``(R, K)``.
        strength: Σ_n r_nk S_n ``(R, K)``.
        square: Σ_n r_nk ‖x_n − c_k‖² ``(R, K)``.
        shift: Σ_n r_nk (x_n − c_k) ``(R, K, D)``.
        centre: c ``(R, K, D)``.
        entropy: −Σ r log r, in nats ``(R,)``.
    """

    n: Floats
    strength: Floats
    square: Floats
    shift: Floats
    centre: Floats
    entropy: Floats

    def scaled(self, factor: float) -> "Statistics":
        """As if each event had been seen ``factor`` times."""
        return Statistics(
            factor * self.n,
            factor * self.strength,
            factor * self.square,
            factor * self.shift,
            self.centre,
            factor * self.entropy,
        )

    def expected_square(self, m: Floats) -> Floats:
        """Σ_n r_nk ‖x_n − m_k‖² ``(R, K)`` for any means ``(R, K, D)``."""
        move = m - self.centre
        return self.square - 2 * (move * self.shift).sum(-1) + self.n * (move**2).sum(-1)


def natural_terms(model: EpicentreModel, q: VariationalPosterior) -> tuple[Floats, Floats]:
    """What multiplies S_n in log r_nk, E[log λ_k], and what depends on k alone, both ``(R, K)``.

    The latter: E[log π_k] − E[λ_k] − (τ/2) D/ρ_k.
    """
    spread = q.mu.mean.shape[-1] / q.mu.precision
    constant = q.pi.expected_log - q.lam.mean - model.constants.tau / 2 * spread
    return q.lam.expected_log, constant


def gather(model: EpicentreModel, q: VariationalPosterior, chunks: Iterable[Events]) -> Statistics:
    """Updates q(Z) and returns its statistics; responsibilities are never kept.

    Time O(N K D) and memory O(K D), whatever the number of events in a chunk.

    Args:
        model: Its constants.
        q: R posteriors.
        chunks: The events.
    """
    a, c = (np.ascontiguousarray(x) for x in natural_terms(model, q))
    m = np.ascontiguousarray(q.mu.mean)
    r, k, d = m.shape
    sums, entropy = np.zeros((r, k, 3 + d)), np.zeros(r)
    for chunk in chunks:
        for piece_sums, piece_entropy in _pieces(chunk, m, a, c, model.constants.tau / 2):
            sums += piece_sums
            entropy += piece_entropy
    n, strength, square = (sums[..., i] for i in range(3))
    return Statistics(n, strength, square, sums[..., 3:], m, entropy)


def _pieces(
    events: Events, m: Floats, a: Floats, c: Floats, half_tau: float
) -> Iterable[tuple[Floats, Floats]]:
    """The sums of each part of the events, in order, by several threads."""
    x, s, count = events.x.T, events.strengths, len(events)
    parts = min(PIECES, -(-count // PIECE))
    ends = [count * i // parts for i in range(parts + 1)]

    def work(i: int) -> tuple[Floats, Floats]:
        sums, entropy = np.zeros((*m.shape[:2], 3 + m.shape[2])), np.zeros(len(m))
        accumulate(x, s, ends[i], ends[i + 1], m, a, c, half_tau, sums, entropy)
        return sums, entropy

    threads = min(_threads(), parts // ENOUGH)
    if threads <= 1:
        return map(work, range(parts))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(parts)))


def _threads() -> int:
    """As many as NUMBA_NUM_THREADS says, or the machine has processors."""
    return int(os.environ.get("NUMBA_NUM_THREADS") or os.cpu_count() or 1)
