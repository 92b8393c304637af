"""How alike two sets of points are, and how near points lie to a curve."""

import torch
from torch import Generator, Tensor

__all__ = ["distance_to_path", "sliced_wasserstein"]


def sliced_wasserstein(
    x: Tensor, y: Tensor, projections: int = 256, generator: Generator | None = None
) -> Tensor:
    r"""Sliced Wasserstein-2 distance between two equally large sets of points.

    .. math:: \Big(E_\theta\, \tfrac1n \sum_i (x^\theta_{(i)} - y^\theta_{(i)})^2\Big)^{1/2}

    over directions θ uniform on the sphere, with x^θ_(i) the i-th smallest of θᵀx. Source: Bonneel,
    Rabin, Peyré & Pfister, *Sliced and Radon Wasserstein Barycenters of Measures*, 2015.

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
