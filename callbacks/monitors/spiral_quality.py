"""How good samples and densities of the learned spiral are, beside the true score's."""

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Generator, Tensor
from torchmetrics import MeanMetric

from callbacks.contracts import KnownDensity, TrueScore, require, require_data
from callbacks.listener import EvaluationListener, EvaluationStage
from callbacks.publishing import log_figures
from elbolab.checks import check_in
from elbolab.seeding import derive_seed
from lightning_modules.functional.sample_quality import distance_to_path, sliced_wasserstein

__all__ = ["SpiralQuality"]

NEAR = 3.0
"""Points within this many σ_0 of the curve lie on the spiral: 99.7 % of the data and more."""


class SpiralQuality(EvaluationListener):
    """Logs, after a test, what ``num_samples`` samples are worth; yardsticks beside each figure.

    ``test/on_spiral``: share of samples within 3 σ_0 of the curve through the centres;
    ``test/sliced_w2``: sliced Wasserstein-2 distance to fresh data. With the suffix ``_true`` the
    same sampler, noise and data with the true score; with ``_data`` a second fresh data set.
    ``test/log_prob`` and ``_true``: mean log-density of the test points in nats.

    Args:
        num_samples: Samples and fresh points, at least 2.
        projections: Directions of the sliced distance.
        seed: Of noise, fresh data and directions.

    Raises:
        UserError: If there are fewer than 2 samples.
    """

    def __init__(self, num_samples: int = 10_000, projections: int = 256, seed: int = 0) -> None:
        check_in("[2, inf)", num_samples=num_samples)
        self.num_samples, self.projections, self.seed = num_samples, projections, seed
        self._log_prob: dict[str, MeanMetric] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, TrueScore, self)

    def evaluation_starts(self, stage: EvaluationStage) -> None:
        self._log_prob = {}

    def batch_evaluated(
        self, stage: EvaluationStage, pl_module: LightningModule, outputs: Any, batch: Any
    ) -> None:
        for name in ("log_prob", "log_prob_true") if stage == "test" else ():
            mean = self._log_prob.setdefault(name, MeanMetric().to(pl_module.device))
            mean.update(outputs[name])

    def evaluation_ends(
        self, stage: EvaluationStage, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        if stage == "test":
            data = require_data(trainer, KnownDensity, self)
            figures = self._judge(require(pl_module, TrueScore, self), data)
            figures |= {name: mean.compute() for name, mean in self._log_prob.items()}
            log_figures(pl_module, {f"test/{name}": value for name, value in figures.items()})

    @torch.no_grad()
    def _judge(self, module: TrueScore, data: KnownDensity) -> dict[str, Tensor]:
        fresh = data.draw(self.num_samples, self._generator("fresh"))
        sets = {
            "": self._sample(module, module.score),
            "_true": self._sample(module, module.truth),
            "_data": data.draw(self.num_samples, self._generator("again")),
        }
        figures = {}
        for suffix, points in sets.items():
            gap = distance_to_path(points.cpu(), data.centres)
            directions = self._generator("directions")
            figures[f"on_spiral{suffix}"] = (gap < NEAR * data.sigma_0).float().mean()
            figures[f"sliced_w2{suffix}"] = sliced_wasserstein(
                points.cpu(), fresh, self.projections, directions
            )
        return figures

    def _sample(self, module: TrueScore, score: Any) -> Tensor:
        generator = self._generator("noise")
        x = module.noise(self.num_samples, generator)
        return module.sampler(score, x, module.schedule, generator)

    def _generator(self, purpose: str) -> Generator:
        # On the CPU whatever the model's device, so that every machine draws the same.
        return Generator().manual_seed(derive_seed(self.seed, purpose))
