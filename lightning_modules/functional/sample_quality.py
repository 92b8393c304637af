r"""How good generated examples are, as sets of vectors beside sets of real ones.

Symbols: r real and g generated feature vectors, ``(R, d)`` and ``(G, d)``; ρ_k(a, A) distance from
a to its k-th nearest neighbour in the set A it belongs to, itself not counted.

.. math:: \text{recall} = \tfrac1R \sum_i \big[\exists j: |r_i - g_j| \le \rho_k(g_j, G)\big], \quad
          \text{coverage} = \tfrac1R \sum_i \big[\exists j: |r_i - g_j| \le \rho_k(r_i, R)\big]

Recall asks whether a real example lies among the generated, coverage whether its own neighbourhood
has a generated one; a single outlier among the generated blows recall up, not coverage.

Sources: Kynkäänniemi, Karras, Laine, Lehtinen & Aila, *Improved Precision and Recall Metric for
Assessing Generative Models*, 2019, equation 2 (k = 3); Naeem, Oh, Uh, Choi & Yoo, *Reliable
Fidelity and Diversity Metrics for Generative Models*, 2020, equation 4 (k = 5); Bonneel, Rabin,
Peyré & Pfister, *Sliced and Radon Wasserstein Barycenters of Measures*, 2015.
"""

import torch
from torch import Generator, Tensor

from elbolab.errors import UserError

__all__ = ["coverage", "distance_to_path", "neighbour_distance", "recall", "sliced_wasserstein"]


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


def sliced_wasserstein(
    x: Tensor, y: Tensor, projections: int = 256, generator: Generator | None = None
) -> Tensor:
    r"""Sliced Wasserstein-2 distance between two equally large sets of points.

    .. math:: \Big(E_\theta\, \tfrac1n \sum_i (x^\theta_{(i)} - y^\theta_{(i)})^2\Big)^{1/2}

    over directions θ uniform on the sphere, with x^θ_(i) the i-th smallest of θᵀx.

    Args:
        x: ``(n, d)``.
        y: ``(n, d)``.
        projections: How many directions.
        generator: Of the directions, on the CPU.

    Returns:
        A scalar in the data's unit.
    """
    theta = torch.randn(x.shape[1], projections, generator=generator)
    theta = (theta / theta.norm(dim=0)).to(x)
    gaps = (x @ theta).sort(0).values - (y @ theta).sort(0).values
    return gaps.square().mean().sqrt()


def distance_to_path(x: Tensor, path: Tensor, rows: int = 1000) -> Tensor:
    """Distance of each x ``(n, d)`` to the polygon through ``path`` ``(M, d)``, ``(n,)``.

    Args:
        x: Points.
        path: Its corners in order; a single one is a point.
        rows: Points taken at a time, which bounds the memory.
    """
    start, edge = path[:-1], path.diff(dim=0)
    if len(path) == 1:
        start, edge = path, torch.zeros_like(path)
    lengths = edge.square().sum(1).clamp_min(torch.finfo(x.dtype).tiny)

    def nearest(part: Tensor) -> Tensor:
        offset = part.unsqueeze(1) - start
        share = ((offset * edge).sum(2) / lengths).clamp(0, 1)
        return (offset - share.unsqueeze(2) * edge).square().sum(2).amin(1).sqrt()

    return torch.cat([nearest(part) for part in x.split(rows)])
