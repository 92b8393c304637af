r"""Additive couplings and the logistic prior of NICE.

.. math:: y_{I_1} = x_{I_1}, \quad y_{I_2} = x_{I_2} + u_{I_2} \odot m(x_{I_1}), \quad
          z = \exp(s) \odot y, \quad \log p(x) = \sum_i \log p(z_i) + \sum_i s_i

Symbols: x data and z latents, ``(*batch, D)`` with D even; I_1 and I_2 their even and odd
components, ``(*batch, D/2)``; m a shift, any function from one half to the other; u the units in
which it is given, ``(D,)``; s log-scales, ``(D,)``. A coupling's Jacobian is triangular with ones
on its diagonal: only s changes volume. In the source u = 1; any other u is a factor of the last
layer's weights, and changes how fast they are learned, but no function that can be learned.

Source: Dinh, Krueger & Bengio, *NICE: Non-linear Independent Components Estimation*, 2015,
sections 3.2, 3.3 and 3.4.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Shift", "couple", "logistic_log_prob", "logistic_quantile", "uncouple"]

Shift = Callable[[Tensor], Tensor]
"""m: one half ``(*batch, D/2)`` to what the other is moved by, ``(*batch, D/2)``."""


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
