"""How good samples and densities of the learned spiral are, beside the true score's."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Generator, Tensor
from torchmetrics import MeanMetric

from callbacks.contracts import SpiralData, TrueScore, require, spiral_data
from elbolab.errors import UserError
from elbolab.seeding import derive_seed
from lightning_modules.functional.point_clouds import distance_to_path, sliced_wasserstein

__all__ = ["SpiralQuality"]

NEAR = 3.0
"""Points within this many σ_0 of the curve lie on the spiral: 99.7 % of the data and more."""


class SpiralQuality(Callback):
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
        if num_samples < 2:
            raise UserError(f"num_samples must be at least 2, got {num_samples}.")
        self.num_samples, self.projections, self.seed = num_samples, projections, seed
        self._log_prob: dict[str, MeanMetric] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, TrueScore, self)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_prob = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for name in ("log_prob", "log_prob_true"):
            mean = self._log_prob.setdefault(name, MeanMetric().to(pl_module.device))
            mean.update(outputs[name])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = self._judge(require(pl_module, TrueScore, self), spiral_data(trainer))
        found |= {name: mean.compute() for name, mean in self._log_prob.items()}
        # The same on every process; sync_dist only tells Lightning not to warn.
        pl_module.log_dict({f"test/{n}": v for n, v in found.items()}, sync_dist=True)

    @torch.no_grad()
    def _judge(self, module: TrueScore, data: SpiralData) -> dict[str, Tensor]:
        fresh = data.draw(self.num_samples, self._generator("fresh"))
        sets = {
            "": self._sample(module, module.score),
            "_true": self._sample(module, module.truth),
            "_data": data.draw(self.num_samples, self._generator("again")),
        }
        found = {}
        for suffix, points in sets.items():
            gap = distance_to_path(points.cpu(), data.centres)
            directions = self._generator("directions")
            found[f"on_spiral{suffix}"] = (gap < NEAR * data.sigma_0).float().mean()
            found[f"sliced_w2{suffix}"] = sliced_wasserstein(
                points.cpu(), fresh, self.projections, directions
            )
        return found

    def _sample(self, module: TrueScore, score: Any) -> Tensor:
        generator = self._generator("noise")
        x = module.noise(self.num_samples, generator)
        return module.sampler(score, x, module.schedule, generator)

    def _generator(self, purpose: str) -> Generator:
        # On the CPU whatever the model's device, so that every machine draws the same.
        return Generator().manual_seed(derive_seed(self.seed, purpose))
