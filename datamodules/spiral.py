"""The spiral: a mixture of Gaussians whose density, score and samples are all known."""

import math

import torch
from torch import Generator, Tensor

from datamodules.points import PointDataModule
from datamodules.tensor_batches import Batch
from elbolab.batches import PointBatch
from elbolab.checks import check_in
from elbolab.seeding import derive_seed

__all__ = ["SpiralDataModule", "spiral_centres"]

MOST_POINTS, MOST_CENTRES = 10**8, 10**5
"""In memory at once: a gigabyte, and as much for each batch of points and all centres."""


def spiral_centres(components: int, turns: float, scale: float) -> Tensor:
    """Points μ(τ) = scale · τ (cos 2π turns τ, sin 2π turns τ), ``(M, 2)``, from the inside out.

    An Archimedean spiral with τ_m = (m − ½)/M: equal steps of the angle, so that the inner turns
    are the dense ones.
    """
    tau = (torch.arange(components, dtype=torch.float64) + 0.5) / components
    angle = 2 * math.pi * turns * tau
    return (scale * tau * torch.stack([angle.cos(), angle.sin()])).T.float().contiguous()


class SpiralDataModule(PointDataModule):
    """p_0 = (1/M) Σ_m N(μ_m, σ_0² I) with centres on an Archimedean spiral in the plane.

    Training points are drawn anew in each epoch, as a function of (seed, epoch, batch, process);
    the components take turns, so that each has its share. Validation and test points are drawn
    once, independently.

    Args:
        components: M, at least 1.
        turns: Turns of the spiral, above 0.
        scale: Its outer radius, above 0.
        sigma_0: Standard deviation of each component, above 0. The turns are scale/turns apart;
            with 0.05 that is 13 σ_0, so that they are separate, and neighbouring components
            overlap into one line.
        train_size: Training points per epoch.
        val_size: Validation points.
        test_size: Test points.
        eval_seed: Of the validation and test points.
        batch_size: Points per training batch and process.
        eval_batch_size: Points per batch in validation, test and prediction.
        seed: Of the training points; the command line links it to ``seed_everything``.

    Raises:
        UserError: If a value is out of range.
    """

    def __init__(
        self,
        components: int = 500,
        turns: float = 3.0,
        scale: float = 2.0,
        sigma_0: float = 0.05,
        train_size: int = 100_000,
        val_size: int = 10_000,
        test_size: int = 10_000,
        eval_seed: int = 0,
        batch_size: int = 500,
        eval_batch_size: int = 2000,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed)
        check_in(f"[1, {MOST_CENTRES}]", components=components)
        check_in(
            f"[1, {MOST_POINTS}]", train_size=train_size, val_size=val_size, test_size=test_size
        )
        check_in("(0, inf)", turns=turns, scale=scale, sigma_0=sigma_0)
        self.sizes = {"train": train_size, "val": val_size, "test": test_size}
        self.centres, self.sigma_0 = spiral_centres(components, turns, scale), sigma_0
        self.eval_seed = eval_seed

    def draw(self, n: int, generator: Generator) -> Tensor:
        """``n`` independent points of p_0, ``(n, 2)``, from a generator on the CPU."""
        chosen = torch.randint(len(self.centres), (n,), generator=generator)
        return self.centres[chosen] + self.sigma_0 * torch.randn(n, 2, generator=generator)

    def points(self, split: str) -> Tensor:
        """Points of ``val`` or ``test``; for ``train`` their centres, around which batches draw."""
        size = self.sizes[split]
        if split == "train":
            return self.centres[torch.arange(size) % len(self.centres)]
        return self.draw(size, Generator().manual_seed(derive_seed(self.eval_seed, split)))

    def transform(self, batch: Batch, generator: Generator) -> Batch:
        """Moves each centre of a batch by noise of standard deviation σ_0."""
        (centres,) = batch
        noise = torch.randn(
            centres.shape, generator=generator, device=centres.device, dtype=centres.dtype
        )
        return PointBatch(centres + self.sigma_0 * noise)
