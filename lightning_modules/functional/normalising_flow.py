r"""Normalising flows of images: dequantisation, additive couplings and the logistic prior of NICE.

.. math:: y = (255 x + u) / 256, \quad
          \log P(x) \approx \log \frac{1}{K} \sum_k p(y_k) - D \log 256

.. math:: v_{I_1} = y_{I_1}, \quad v_{I_2} = y_{I_2} + c_{I_2} \odot m(y_{I_1}), \quad
          z = \exp(s) \odot v, \quad \log p(y) = \sum_i \log p(z_i) + \sum_i s_i

Symbols of the first: x images with values b/255 of bytes b, ``(B, *shape)``, in [0, 1]; D pixels in
each; u ~ U[0, 1) noise, ``(B, *shape)``, K draws of it; y continuous data in [0, 1); p a density of
y; P the probability of the bytes. The figure that is published for a flow is log p(y), in nats.

Of the second: y data and z latents, ``(*batch, D)`` with D even; I_1 and I_2 their even and odd
components, ``(*batch, D/2)``; m a shift, any function from one half to the other; c the units in
which it is given, ``(D,)``; s log-scales, ``(D,)``. A coupling's Jacobian is triangular with ones
on its diagonal: only s changes volume. In the source c = 1; any other c is a factor of the last
layer's weights, and changes how fast they are learned, but no function that can be learned.

Sources: Theis, van den Oord & Bethge, *A note on the evaluation of generative models*, 2016,
section 3.1; Dinh, Krueger & Bengio, *NICE: Non-linear Independent Components Estimation*, 2015,
sections 3.2, 3.3 and 3.4.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.functional.noise import BYTE_VALUES

__all__ = [
    "Shift",
    "bits_per_dim",
    "couple",
    "dequantize",
    "log_mean_exp",
    "logistic_log_prob",
    "logistic_quantile",
    "quantize",
    "uncouple",
]

Shift = Callable[[Tensor], Tensor]
"""m: one half ``(*batch, D/2)`` to what the other is moved by, ``(*batch, D/2)``."""


def dequantize(x: Tensor, u: Tensor) -> Tensor:
    """Maps images x in [0, 1] and noise u in [0, 1), ``(B, *shape)`` both, to y in [0, 1)."""
    return ((BYTE_VALUES - 1) * x + u) / BYTE_VALUES


def quantize(y: Tensor) -> Tensor:
    """Images x in [0, 1]: the byte in whose bin y lies, or the nearest byte, divided by 255."""
    return (BYTE_VALUES * y).floor().clamp(0, BYTE_VALUES - 1) / (BYTE_VALUES - 1)


def log_mean_exp(log_densities: Tensor) -> Tensor:
    """Averages K densities l ``(K, *batch)``: log (1/K) Σ_k exp(l_k), ``(*batch,)``."""
    return log_densities.logsumexp(0) - math.log(len(log_densities))


def bits_per_dim(log_likelihood: Tensor, dimensions: int) -> Tensor:
    """(D ln 256 − L)/(D ln 2): bits that a code takes per pixel byte; L nats per image."""
    return (math.log(BYTE_VALUES) - log_likelihood / dimensions) / math.log(2)


def couple(x: Tensor, shifts: Sequence[Shift], units: Tensor) -> Tensor:
    """Moves x by couplings with m_0, m_1, … to y ``(*batch, D)``; log|det ∂y/∂x| = 0.

    Coupling i leaves one half alone, the even components when i is even, and moves the other.
    """
    return _move(x, enumerate(shifts), units)


def uncouple(y: Tensor, shifts: Sequence[Shift], units: Tensor) -> Tensor:
    """Inverse of `couple`, ``(*batch, D)``: the same shifts, last one first, subtracted."""
    return _move(y, reversed([*enumerate(shifts)]), -units)


def _move(x: Tensor, numbered: Iterable[tuple[int, Shift]], units: Tensor) -> Tensor:
    halves, unit = [x[..., 0::2], x[..., 1::2]], [units[0::2], units[1::2]]
    for i, m in numbered:
        kept, moved = i % 2, 1 - i % 2
        halves[moved] = halves[moved] + unit[moved] * m(halves[kept])
    return torch.stack(halves, -1).flatten(-2)


def logistic_log_prob(z: Tensor) -> Tensor:
    """Standard logistic log-density, elementwise: log p(z) = −softplus(z) − softplus(−z)."""
    return F.logsigmoid(z) + F.logsigmoid(-z)


def logistic_quantile(u: Tensor) -> Tensor:
    """Standard logistic z = log u − log(1 − u) of u uniform in [0, 1); finite at 0 as well."""
    return torch.logit(u, eps=torch.finfo(u.dtype).eps / 2)
