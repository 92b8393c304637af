"""The score model of the spiral, where everything learned stands beside the truth."""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from elbolab.errors import UserError
from elbolab.whole_run import WholeRun
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.score import DifferentiableScore, squared_norm
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

    whole_run = WholeRun(
        figures=(
            "callbacks.monitors.hyvarinen.HyvarinenMonitor",
            "callbacks.monitors.spiral_quality.SpiralQuality",
        ),
        monitor="val/hyvarinen",
        mode="min",
        pictures=(
            "callbacks.pictures.score_field.ScoreFieldPicture",
            "callbacks.pictures.trajectory.ScoreTrajectories",
        ),
    )

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
            raise UserError(
                f"{type(self).__name__} needs data whose density is known, such as "
                "SpiralDataModule; use ScoreModel for other points."
            )
        return self._truth

    def setup(self, stage: str) -> None:
        data = getattr(self._trainer, "datamodule", None)
        if isinstance(data, MixtureSource):
            self.compare_with(data.centres, data.sigma_0)
        self.truth  # noqa: B018  says what is missing before anything is trained

    def compare_with(self, centres: Tensor, sigma_0: float) -> None:
        """Takes the mixture of centres ``(M, d)`` and standard deviation σ_0 as the truth."""
        self._truth = MixtureScore(centres.to(self.device), sigma_0, self.schedule)

    def judge(self, score: DifferentiableScore, x_k: Tensor, k: Tensor) -> dict[str, Tensor]:
        s, trace = score.with_trace(x_k, k)
        true, true_trace = self.truth.with_trace(x_k, k)
        return {
            "hyvarinen": hyvarinen(s, trace),
            "hyvarinen_true": hyvarinen(true, true_trace),
            "fisher_divergence": squared_norm(s - true),
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
            self.compare_with(**checkpoint[TRUTH])
