"""NICE: a normalising flow of additive couplings, whose likelihood is exact."""

import math
from collections.abc import Callable, Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Generator, Tensor, nn
from torch.optim import Adam

from elbolab.checks import check_at_least_one
from elbolab.errors import UserError
from elbolab.whole_run import WholeRun
from lightning_modules.checkpoints import keep_plain_hyperparameters
from lightning_modules.functional.noise import ContentNoise
from lightning_modules.functional.normalising_flow import (
    couple,
    dequantize,
    log_mean_exp,
    logistic_log_prob,
    logistic_quantile,
    quantize,
    uncouple,
)
from lightning_modules.functional.precision import uncast
from lightning_modules.nets.mlp import mlp
from lightning_modules.trainable import TrainableModule

__all__ = ["NICE"]

SCALE_GAIN = 50.0
"""s is this times a parameter: Adam moves a parameter by about the learning rate per step, and
where weights have some hundredths to go, log-scales have seven."""


class NICE(TrainableModule):
    """Density of images by change of variables: z = exp(s) ⊙ couplings(y) is standard logistic.

    Dinh, Krueger & Bengio, *NICE: Non-linear Independent Components Estimation*, 2015. Images with
    values in [0, 1] are dequantised to y in [0, 1)^D first, with torch's own noise in training and
    in evaluation with noise that depends on the image alone. Steps return ``log_likelihood``
    ``(B,)`` in nats; the likelihood monitor logs it.

    Shifts are given in units of exp(−s), in which latents have scale 1: where a pixel is nearly
    always black its shift has to be right to a thousandth, and Adam's steps are alike for all.

    Args:
        shape: Shape of one image, an even number of pixels; the command line takes it from the
            data.
        couplings: Additive couplings, at least 1; with at least 2 every pixel is moved.
        hidden: Widths of the hidden layers of each coupling's perceptron.
        activation: Between the layers.
        draws: Draws of dequantisation noise per image in evaluation, averaged by log-mean-exp.
        optimizer: Builds the optimiser from the parameters.
        lr_scheduler: Builds a schedule from the optimiser, stepped once per epoch.

    Raises:
        UserError: If a size is below 1, or the number of pixels is odd.
    """

    whole_run = WholeRun(
        figures=("callbacks.monitors.likelihood.LikelihoodMonitor",),
        monitor="val/log_likelihood",
        mode="max",
        pictures=("callbacks.pictures.images.SampleGrid",),
    )

    def __init__(
        self,
        shape: Sequence[int],
        couplings: int = 4,
        hidden: Sequence[int] = (1000, 1000, 1000, 1000, 1000),
        activation: Callable[[], nn.Module] = nn.ReLU,
        draws: int = 1,
        optimizer: OptimizerCallable = lambda p: Adam(p, lr=1e-3, fused=True),
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.save_hyperparameters()
        keep_plain_hyperparameters(self)
        dimensions = math.prod(shape)
        check_at_least_one(shape=shape, couplings=couplings, hidden=hidden, draws=draws)
        if dimensions % 2:
            raise UserError(
                f"couplings split the pixels into two halves, but shape {tuple(shape)} has "
                f"{dimensions}, an odd number: crop or pad the images."
            )
        self.shape, self.draws = torch.Size(shape), draws
        half = dimensions // 2
        self.shifts = nn.ModuleList(
            mlp([half, *hidden, half], activation) for _ in range(couplings)
        )
        self.scale = nn.Parameter(torch.zeros(dimensions))

    @property
    def log_scale(self) -> Tensor:
        """s, ``(D,)``."""
        return SCALE_GAIN * self.scale

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Returns latents z ``(B, D)`` of y ``(B, *shape)``, and log|det ∂z/∂y| ``()``."""
        s = self.log_scale
        return couple(y.flatten(1), list(self.shifts), (-s).exp()) * s.exp(), s.sum()

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Returns y ``(B, *shape)`` of latents z ``(B, D)``, and log|det ∂y/∂z| ``()``."""
        s = self.log_scale
        y = uncouple(z * (-s).exp(), list(self.shifts), (-s).exp())
        return y.view(-1, *self.shape), -s.sum()

    @uncast
    def log_prob(self, y: Tensor) -> Tensor:
        """Exact log p(y) in nats, ``(B,)``, for y ``(B, *shape)``; never in half precision."""
        return self._density(y)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """Estimates log (1/K) Σ_k p(y_k) in nats, ``(B,)``, for images x ``(B, *shape)`` in [0, 1].

        The noise of the K = ``draws`` dequantised images y_k is a function of each image: the same
        image has the same likelihood whatever stands beside it in the batch.

        Raises:
            UserError: If a value is outside [0, 1] or not a number.
        """
        self.check_pixels(x)
        noise = ContentNoise.of_images(x)
        draws = (noise.uniform(x.shape[1:], draw) for draw in range(self.draws))
        return log_mean_exp(torch.stack([self.log_prob(dequantize(x, u)) for u in draws]))

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` images ``(n, *shape)`` in [0, 1], each value one of the 256 of a byte."""
        device = generator.device if generator is not None else self.device
        u = torch.rand(n, self.shape.numel(), generator=generator, device=device)
        y, _ = self.inverse(logistic_quantile(u).to(self.scale))
        return quantize(y)

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        x = batch[0]
        if batch_idx == 0:
            self.check_pixels(x)
        log_likelihood = self._density(dequantize(x, torch.rand_like(x)))
        return {"loss": -log_likelihood.mean(), "log_likelihood": log_likelihood.detach()}

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        return {"log_likelihood": self.log_likelihood(batch[0])}

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        return self.validation_step(batch, batch_idx)

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        return self.validation_step(batch, batch_idx)

    def _density(self, y: Tensor) -> Tensor:
        """Computes log p(y), perceptrons in whatever precision is on, all else in that of y."""
        z, _ = self(y)
        # Summed pixel by pixel: Σ log p(z_i) and Σ s_i are thousands, and their rounding shows.
        return (logistic_log_prob(z) + self.log_scale).sum(1)
