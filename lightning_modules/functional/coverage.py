r"""How much of a set of real examples generated ones reach, by nearest neighbours.

Symbols: r real and g generated feature vectors, ``(R, d)`` and ``(G, d)``; ρ_k(a, A) distance from
a to its k-th nearest neighbour in the set A it belongs to, itself not counted.

.. math:: \text{recall} = \tfrac1R \sum_i \big[\exists j: |r_i - g_j| \le \rho_k(g_j, G)\big], \quad
          \text{coverage} = \tfrac1R \sum_i \big[\exists j: |r_i - g_j| \le \rho_k(r_i, R)\big]

Recall asks whether a real example lies among the generated, coverage whether its own neighbourhood
has a generated one; a single outlier among the generated blows recall up, not coverage.

Sources: Kynkäänniemi, Karras, Laine, Lehtinen & Aila, *Improved Precision and Recall Metric for
Assessing Generative Models*, 2019, equation 2 (k = 3); Naeem, Oh, Uh, Choi & Yoo, *Reliable
Fidelity and Diversity Metrics for Generative Models*, 2020, equation 4 (k = 5).
"""

import torch
from torch import Tensor

from elbolab.errors import UserError

__all__ = ["coverage", "neighbour_distance", "recall"]


def recall(real: Tensor, generated: Tensor, k: int = 3, rows: int = 1000) -> Tensor:
    """Share of the real examples that lie within a generated one's k-neighbour ball, a scalar.

    Args:
        real: ``(R, d)``.
        generated: ``(G, d)``, more than k.
        k: Neighbours that make a ball.
        rows: Examples taken at a time, which bounds the memory.
    """
    radius = neighbour_distance(generated, k, rows)
    hit = [(torch.cdist(part, generated) <= radius).any(1) for part in real.split(rows)]
    return torch.cat(hit).double().mean()


def coverage(real: Tensor, generated: Tensor, k: int = 5, rows: int = 1000) -> Tensor:
    """Share of the real examples whose k-neighbour ball holds a generated one, a scalar.

    Args:
        real: ``(R, d)``, more than k.
        generated: ``(G, d)``.
        k: Neighbours that make a ball.
        rows: Examples taken at a time, which bounds the memory.
    """
    nearest = torch.cat([torch.cdist(part, generated).amin(1) for part in real.split(rows)])
    return (nearest <= neighbour_distance(real, k, rows)).double().mean()


def neighbour_distance(x: Tensor, k: int, rows: int = 1000) -> Tensor:
    """ρ_k(x_i, X), ``(n,)``, for x ``(n, d)``.

    Raises:
        UserError: If there are not more than k examples.
    """
    if len(x) <= k:
        raise UserError(f"{k} neighbours need more than {k} examples, got {len(x)}.")
    # The nearest of all is the example itself, or an equal one at the same distance 0.
    return torch.cat([torch.cdist(part, x).kthvalue(k + 1, dim=1).values for part in x.split(rows)])
