"""One pass over events, compiled: responsibilities are used and forgotten, block by block.

A block of events is small enough for the first cache, and every loop over it is free of branches,
so that the compiler turns it into vector instructions; that is why the exponential is written out.
Sums stand for themselves in the order of the blocks: the same numbers whatever the threads.
"""

from typing import Any

import numpy as np
from numba import njit

__all__ = ["accumulate", "exponentials"]

# Every array is contiguous, down to the rows that are handed on: a row of unknown stride is not
# turned into vector instructions.

BLOCK = 512
"""Events at a time: K = 8 components take 64 KiB of working space."""

LANES = 32
"""Normalisers are multiplied down to this many before their logarithm is taken."""

LOWEST = -708.0
"""Arguments of exp are raised to this: e^−708 is the last power of e that is a normal number."""

LOG2E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
"""ln 2 in two parts, the first with 20 zero bits, so that its multiples are exact (Cody & Waite)"""

ROUND = 6755399441055744.0
"""1.5 · 2⁵²: added to a small number it leaves that number, rounded, in the lowest bits."""

BIAS, MANTISSA = 1023, 52
"""IEEE 754 doubles: what is added to an exponent, and where it begins."""


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def exponentials(values: Any, power: Any, bits: Any) -> None:
    """Replaces each of ``values`` ≤ 709 by its exponential, within 1 unit in the last place or so.

    e^v = 2^n e^r with n = round(v/ln 2) and |r| ≤ ln(2)/2; e^r by its Taylor polynomial of degree
    13, whose remainder is below 1e-17 there. Not compiled with free reassociation: it would undo
    the rounding.

    Args:
        values: What to raise e to.
        power: Room for as many doubles.
        bits: The same memory as 64-bit integers.
    """
    for i in range(values.size):
        power[i] = max(values[i], LOWEST) * LOG2E + ROUND
    for i in range(values.size):
        n = power[i] - ROUND
        r = (max(values[i], LOWEST) - n * LN2_HIGH) - n * LN2_LOW
        p = 1 / 6227020800.0
        p = p * r + 1 / 479001600.0
        p = p * r + 1 / 39916800.0
        p = p * r + 1 / 3628800.0
        p = p * r + 1 / 362880.0
        p = p * r + 1 / 40320.0
        p = p * r + 1 / 5040.0
        p = p * r + 1 / 720.0
        p = p * r + 1 / 120.0
        p = p * r + 1 / 24.0
        p = p * r + 1 / 6.0
        p = p * r + 0.5
        values[i] = p * r * r + r + 1.0
    for i in range(values.size):
        bits[i] = (bits[i] + BIAS) << MANTISSA
    for i in range(values.size):
        values[i] *= power[i]


FREE = {"contract", "reassoc", "nsz"}
"""The compiler may fuse and reorder: a sum depends on the machine, and on nothing else."""


@njit(cache=True, nogil=True, fastmath=FREE, error_model="numpy", forceinline=True)
def _scores(
    x: Any, begin: int, s: Any, m: Any, a: Any, c: Any, h: float, square: Any, score: Any, top: Any
) -> None:
    """Squared distances and unnormalised log-responsibilities ``(K, B)``; the latter's maxima."""
    top[:] = -np.inf
    for k in range(len(m)):
        q, e, slope, constant = square[k][: s.size], score[k][: s.size], a[k], c[k]
        q[:] = 0.0
        for d in range(x.shape[0]):
            row, centre = x[d][begin : begin + s.size], m[k, d]
            for i in range(s.size):
                q[i] += (row[i] - centre) ** 2
        for i in range(s.size):
            e[i] = constant + s[i] * slope - h * q[i]
        for i in range(s.size):
            top[i] = max(top[i], e[i])


@njit(cache=True, nogil=True, fastmath=FREE, error_model="numpy", forceinline=True)
def _normalise(score: Any, top: Any, z: Any, inner: Any, power: Any, bits: Any) -> None:
    """Scores → e^(score − top); their sums to ``z``, and those of score · e^score to ``inner``.

    ``power`` and ``bits`` are as in `exponentials`, of twice the length.
    """
    size = top.size
    z[:], inner[:] = 0.0, 0.0
    logs = power[size : 2 * size]
    for k in range(len(score)):
        e = score[k][:size]
        for i in range(size):
            logs[i] = max(e[i] - top[i], LOWEST)
            e[i] = logs[i]
        exponentials(e, power[:size], bits[:size])
        for i in range(size):
            z[i] += e[i]
            inner[i] += e[i] * logs[i]


@njit(cache=True, nogil=True, fastmath=FREE, error_model="numpy", forceinline=True)
def _entropy(z: Any, inner: Any, lanes: Any) -> float:
    """Σ log z − inner/z over events with 1 ≤ z ≤ K; replaces ``z`` by 1/z.

    Logarithms are slow: one is taken of a product of 16 numbers, which cannot overflow.
    """
    lanes[:] = 1.0
    full = z.size // LANES * LANES
    for start in range(0, full, LANES):
        for i in range(LANES):
            lanes[i] *= z[start + i]
    total = 0.0
    for i in range(LANES):
        total += np.log(lanes[i])
    for i in range(full, z.size):
        total += np.log(z[i])
    for i in range(z.size):
        z[i] = 1.0 / z[i]
        total -= inner[i] * z[i]
    return total


@njit(cache=True, nogil=True, fastmath=FREE, error_model="numpy", forceinline=True)
def _add_sums(
    x: Any, begin: int, s: Any, m: Any, square: Any, score: Any, inverse: Any, sums: Any
) -> None:
    """Adds a block's Σr, Σr S, Σr‖x − m‖² and Σr(x − m) ``(K, 3 + D)``."""
    for k in range(len(m)):
        q, e = square[k][: s.size], score[k][: s.size]
        n = total = away = 0.0
        for i in range(s.size):
            r = e[i] * inverse[i]
            e[i] = r
            n += r
            total += r * s[i]
            away += r * q[i]
        sums[k, 0] += n
        sums[k, 1] += total
        sums[k, 2] += away
        for d in range(x.shape[0]):
            row = x[d][begin : begin + s.size]
            shift, centre = 0.0, m[k, d]
            for i in range(s.size):
                shift += e[i] * (row[i] - centre)
            sums[k, 3 + d] += shift


@njit(cache=True, nogil=True, fastmath=FREE, error_model="numpy")
def accumulate(
    x: Any, s: Any, begin: int, end: int, m: Any, a: Any, c: Any, h: float, sums: Any, entropy: Any
) -> None:
    """Adds what one pass over the events from ``begin`` to ``end`` says, for several posteriors.

    r_nk ∝ exp(c_k + S_n a_k − h‖x_n − m_k‖²).

    Args:
        x: Positions ``(D, N)``.
        s: Strengths S ``(N,)``.
        begin: The first event.
        end: The one after the last.
        m: Means ``(R, K, D)`` of R posteriors.
        a: E[log λ] ``(R, K)``.
        c: What does not depend on the event ``(R, K)``.
        h: τ/2.
        sums: ``(R, K, 3 + D)``: Σr, Σr S, Σr‖x − m‖² and Σr(x − m) are added here.
        entropy: ``(R,)``: −Σ r log r, in nats, is added here.
    """
    score, square = np.empty((m.shape[1], BLOCK)), np.empty((m.shape[1], BLOCK))
    tops, zs, inners = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    lanes, power = np.empty(LANES), np.empty(2 * BLOCK)
    bits = power.view(np.int64)
    for start in range(begin, end, BLOCK):
        strengths = s[start : min(start + BLOCK, end)]
        top, z, inner = tops[: strengths.size], zs[: strengths.size], inners[: strengths.size]
        for j in range(len(m)):
            _scores(x, start, strengths, m[j], a[j], c[j], h, square, score, top)
            _normalise(score, top, z, inner, power, bits)
            entropy[j] += _entropy(z, inner, lanes)
            _add_sums(x, start, strengths, m[j], square, score, z, sums[j])
