"""The score model of the spiral, where everything learned stands beside the truth."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from elbolab.errors import UserError
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.score import Score
from lightning_modules.functional.score_matching import hyvarinen
from lightning_modules.score import ScoreModel

__all__ = ["MixtureSource", "SpiralScore"]

DATA = torch.tensor(0)
"""The level k of the data."""

TRUTH = "truth"
"""Where a checkpoint keeps the mixture."""


@runtime_checkable
class MixtureSource(Protocol):
    """A data module whose examples are draws of (1/M) Σ_m N(μ_m, σ_0² I)."""

    centres: Tensor
    """μ, ``(M, d)``."""
    sigma_0: float


class SpiralScore(ScoreModel):
    """`ScoreModel` of data that are an exact mixture of Gaussians.

    The mixture comes with the data, which are a `MixtureSource`; a checkpoint carries it.
    Evaluation adds the true score's Hyvärinen loss and the Fisher divergence ‖s − s*‖².

    Args:
        kwargs: Those of `ScoreModel`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._truth: MixtureScore | None = None

    @property
    def truth(self) -> MixtureScore:
        """The exact score and log-density at every level.

        Raises:
            UserError: If the data have none.
        """
        if self._truth is None:
            raise UserError(self._without_truth())
        return self._truth

    def setup(self, stage: str) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, MixtureSource):
            raise UserError(self._without_truth())
        self._set_truth(data.centres, data.sigma_0)

    def judge(self, score: Score, x_k: Tensor, k: Tensor) -> dict[str, Tensor]:
        s, trace = score.with_trace(x_k, k)
        true, true_trace = self.truth.with_trace(x_k, k)
        return {
            "hyvarinen": hyvarinen(s, trace),
            "hyvarinen_true": hyvarinen(true, true_trace),
            "fisher_divergence": (s - true).square().sum(1),
        }

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        x = batch[0]
        true = self.truth.log_prob(x, DATA)
        return {"log_prob": self.log_prob(x), "log_prob_true": true}

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Any]:
        return {**self.validation_step(batch, batch_idx), **self.predict_step(batch, batch_idx)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[TRUTH] = {"centres": self.truth.centres.cpu(), "sigma_0": self.truth.sigma_0}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._truth is None and TRUTH in checkpoint:
            self._set_truth(**checkpoint[TRUTH])

    def _set_truth(self, centres: Tensor, sigma_0: float) -> None:
        self._truth = MixtureScore(centres.to(self.device), sigma_0, self.schedule)

    def _without_truth(self) -> str:
        return (
            f"{type(self).__name__} needs data whose density is known, such as SpiralDataModule; "
            "use ScoreModel for other points."
        )
