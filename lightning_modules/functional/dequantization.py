r"""Uniform dequantisation: bytes as a density on the unit interval, and the units of its logarithm.

.. math:: y = (255 x + u) / 256, \quad
          \log P(x) \approx \log \frac{1}{K} \sum_k p(y_k) - D \log 256

Symbols: x images with values v/255 of bytes v, ``(B, *shape)``, in [0, 1]; D pixels in each;
u ~ U[0, 1) noise, ``(B, *shape)``, K draws of it; y continuous data in [0, 1); p a density of
y; P the probability of the bytes. The figure that is published for a flow is log p(y), in nats.

Source: Theis, van den Oord & Bethge, *A note on the evaluation of generative models*, 2016,
section 3.1; Steele, Lea & Flood, *Fast splittable pseudorandom number generators*, 2014 (SplitMix).
"""

import math

import torch
from torch import Tensor

__all__ = ["LEVELS", "bits_per_dim", "content_noise", "dequantize", "log_mean_exp", "quantize"]

LEVELS = 256
"""Values of a byte."""

GAMMA = 0x9E3779B97F4A7C15 - 2**64
"""SplitMix64's increment, 2⁶⁴ divided by the golden ratio, as a signed number."""

MULTIPLIERS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
"""Of SplitMix64's output function, as signed numbers."""


def dequantize(x: Tensor, u: Tensor) -> Tensor:
    """Maps images x in [0, 1] and noise u in [0, 1), ``(B, *shape)`` both, to y in [0, 1)."""
    return ((LEVELS - 1) * x + u) / LEVELS


def quantize(y: Tensor) -> Tensor:
    """Images x in [0, 1]: the byte in whose bin y lies, or the nearest byte, divided by 255."""
    return (LEVELS * y).floor().clamp(0, LEVELS - 1) / (LEVELS - 1)


def log_mean_exp(log_densities: Tensor) -> Tensor:
    """Averages K densities l ``(K, *batch)``: log (1/K) Σ_k exp(l_k), ``(*batch,)``."""
    return log_densities.logsumexp(0) - math.log(len(log_densities))


def bits_per_dim(log_likelihood: Tensor, dimensions: int) -> Tensor:
    """(D ln 256 − L)/(D ln 2): bits that a code takes per pixel byte; L nats per image."""
    return (math.log(LEVELS) - log_likelihood / dimensions) / math.log(2)


def content_noise(x: Tensor, draw: int) -> Tensor:
    """Noise u ``(B, *shape)``, float32 in [0, 1), a function of each image and the draw alone.

    An image gets the same noise in every batch, order, process, stage and on every device, so that
    its likelihood is one number. A hash of its bytes seeds a SplitMix64 stream for it, of which
    draw k = 0, 1, … takes the k-th D numbers. x holds values in [0, 1], ``(B, *shape)``.
    """
    levels = ((LEVELS - 1) * x.flatten(1)).round().long()
    place = torch.arange(1, levels.shape[1] + 1, device=x.device)
    seeds = _mix((levels * (_mix(place * GAMMA) | 1)).sum(1))
    counter = draw * len(place) + place
    top24 = _shift_right(_mix(seeds[:, None] + counter * GAMMA), 40)  # as many as float32 holds
    return (top24.float() / 2**24).view(x.shape)


def _mix(state: Tensor) -> Tensor:
    """SplitMix64's output function on int64, whose products wrap."""
    first, second = MULTIPLIERS
    state = (state ^ _shift_right(state, 30)) * first
    state = (state ^ _shift_right(state, 27)) * second
    return state ^ _shift_right(state, 31)


def _shift_right(state: Tensor, bits: int) -> Tensor:
    """As if the numbers had no sign: zeros come in from the left."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)
