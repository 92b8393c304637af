"""How noisy each estimator of the bound's gradient is, on the model as it trains."""

from collections.abc import Callable, Mapping

import torch
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Generator, Tensor

from callbacks.contracts import require
from callbacks.pictures.epoch_picture import ValidationPicture
from elbolab.checks import check_in
from elbolab.errors import UserError
from elbolab.pictures import new_figure
from lightning_modules.functional.baselines import LeaveOneOut, RunningMean
from lightning_modules.functional.bounds import Bound, Elbo, ImportanceWeighted
from lightning_modules.functional.estimators import (
    DoublyReparameterized,
    GradientEstimator,
    Reparameterized,
    ScoreFunction,
    StickingTheLanding,
)
from lightning_modules.functional.gradient_noise import GradientNoise, gradient_noise
from lightning_modules.functional.noise import noise_from
from lightning_modules.vae import VAE

__all__ = ["GradientNoiseMonitor"]

ESTIMATORS: tuple[Callable[[], GradientEstimator], ...] = (
    StickingTheLanding,
    DoublyReparameterized,
    Reparameterized,
    lambda: ScoreFunction(LeaveOneOut),
    lambda: ScoreFunction(RunningMean),
    ScoreFunction,
)
UNITS = {"variance": "total variance [nats²]", "snr": "signal-to-noise ratio"}

Parts = dict[str, GradientNoise]
"""Noise of one estimator, for each part of the model."""

WARM_UP = 10
"""Draws that are not counted, for baselines that learn from the draws before."""


class GradientNoiseMonitor(ValidationPicture):
    """Variance and signal-to-noise ratio of every estimator that fits, on one fixed batch.

    The ELBO and the importance-weighted bound of K draws are differentiated again and again on the
    same validation images; nothing but the draws of z differs. Logged are
    ``gradient/variance/BOUND/PART/ESTIMATOR`` and ``gradient/snr/…`` for the parts ``encoder`` and
    ``decoder``; drawn is ``gradient_noise``, which compares them. Training is not disturbed.

    Args:
        samples: K, at least 1; a leave-one-out baseline needs 2.
        num_images: Images in the batch.
        draws: Gradients of each estimator, at least 2.
        seed: Of the draws.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.

    Raises:
        UserError: If ``draws`` is below 2.
    """

    def __init__(
        self,
        samples: int = 8,
        num_images: int = 64,
        draws: int = 50,
        seed: int = 0,
        every_n_epochs: int = 10,
    ) -> None:
        super().__init__(num_images, every_n_epochs)
        check_in("[2, inf)", draws=draws)  # fewer have no variance
        self.bounds: tuple[Bound, ...] = (Elbo(samples), ImportanceWeighted(samples))
        self.draws, self.seed = draws, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, VAE, self)

    def draw_from(
        self, trainer: Trainer, pl_module: LightningModule, examples: tuple[Tensor, ...]
    ) -> dict[str, Figure]:
        model = require(pl_module, VAE, self)
        # Validation's tensors are inference tensors, which no gradient can be taken through.
        images = examples[0].clone()
        noise = {
            (type(bound).__name__, estimator.label): self._measure(model, bound, estimator, images)
            for bound in self.bounds
            for estimator in _fitting(model, bound)
        }
        values = {
            f"gradient/{quantity}/{bound}/{part}/{label}": getattr(one, quantity)
            for (bound, label), parts in noise.items()
            for part, one in parts.items()
            for quantity in UNITS
        }
        for logger in trainer.loggers:
            logger.log_metrics(values, trainer.global_step)
        title = f"K = {self.bounds[0].samples}, after epoch {trainer.current_epoch + 1}"
        return {"gradient_noise": _bars(noise, f"Noise of gradient estimators, {title}")}

    def _measure(
        self, model: VAE, bound: Bound, estimator: GradientEstimator, images: Tensor
    ) -> Parts:
        parts = {"encoder": model.encoder, "decoder": model.decoder}
        parameters = {name: list(part.parameters()) for name, part in parts.items()}

        def loss() -> Tensor:
            return -model.estimate(images, bound, estimator).objective.mean()

        with noise_from(Generator().manual_seed(self.seed)), torch.enable_grad():
            for _ in range(WARM_UP):
                loss()
            return gradient_noise(loss, parameters, self.draws)


def _fitting(model: VAE, bound: Bound) -> list[GradientEstimator]:
    """The estimators that the bound and the model allow."""
    fitting = []
    for build in ESTIMATORS:
        estimator = build().to(model.device)
        try:
            model.check_combination(bound, estimator)
        except UserError:
            continue
        fitting.append(estimator)
    return fitting


def _bars(noise: Mapping[tuple[str, str], Parts], title: str) -> Figure:
    figure = new_figure(10.0, 1.6 + 0.5 * len(noise))
    panels = figure.subplots(2, 2, sharey=True, sharex="row")
    labels = [f"{label}\n{bound}" for bound, label in noise]
    bounds = list(dict.fromkeys(bound for bound, _ in noise))
    colors = [f"C{bounds.index(bound)}" for bound, _ in noise]
    for row, (quantity, unit) in zip(panels, UNITS.items(), strict=True):
        for axes, part in zip(row, ("encoder", "decoder"), strict=True):
            values = [getattr(parts[part], quantity) for parts in noise.values()]
            axes.barh(labels, values, color=colors)
            axes.set(xscale="log", xlabel=f"{part}: {unit}")
            axes.tick_params(axis="y", labelsize=7)
            axes.grid(axis="x", alpha=0.3)
    panels[0, 0].invert_yaxis()
    figure.suptitle(title)
    return figure
