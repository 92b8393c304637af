"""The base of callbacks that look at what a module says about every batch it is evaluated on."""

from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule, Trainer

__all__ = ["EvaluationListener", "EvaluationStage"]

EvaluationStage = Literal["val", "test", "predict"]


class EvaluationListener(Callback):
    """Hears of every batch of validation, test and prediction through one method.

    Lightning has three hooks for each of these stages, of up to seven arguments. A listener writes
    those of ``evaluation_starts``, ``batch_evaluated`` and ``evaluation_ends`` that it needs, and
    looks at ``stage`` where not all concern it.
    """

    def evaluation_starts(self, stage: EvaluationStage) -> None:
        """Called before the first batch of a stage."""

    def batch_evaluated(
        self, stage: EvaluationStage, pl_module: LightningModule, outputs: Any, batch: Any
    ) -> None:
        """Called after each batch.

        Args:
            stage: Which evaluation this is part of.
            pl_module: The module.
            outputs: What its step returned.
            batch: The batch, on the module's device.
        """

    def evaluation_ends(
        self, stage: EvaluationStage, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Called after the last batch of a stage, where figures may still be logged."""

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluation_starts("val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluation_starts("test")

    def on_predict_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluation_starts("predict")

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.batch_evaluated("val", pl_module, outputs, batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.batch_evaluated("test", pl_module, outputs, batch)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.batch_evaluated("predict", pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluation_ends("val", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluation_ends("test", trainer, pl_module)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.evaluation_ends("predict", trainer, pl_module)
