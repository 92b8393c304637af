"""What all trained modules have in common."""

from collections.abc import Iterable

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import Parameter

from elbolab.errors import UserError
from lightning_modules.optimization import build_optimizers
from lightning_modules.stored_options import StoredModule

__all__ = ["TrainableModule"]

HALF_WEIGHTS = {"bf16-true": "bf16-mixed", "16-true": "16-mixed"}
"""Precisions that keep the weights themselves in half precision, and what to take instead."""


class TrainableModule(StoredModule):
    """A module that is given its optimiser, and whose figures are never in half precision.

    Args:
        optimizer: Builds the optimiser from the parameters.
        lr_scheduler: Builds a schedule from the optimiser, stepped once per epoch.
    """

    def __init__(
        self, optimizer: OptimizerCallable, lr_scheduler: LRSchedulerCallable | None
    ) -> None:
        super().__init__()
        self._optimizer, self._lr_scheduler = optimizer, lr_scheduler

    def trained_parameters(self) -> Iterable[Parameter]:
        """What the optimiser moves; all parameters unless a subclass says otherwise."""
        return self.parameters()

    def configure_model(self) -> None:
        """Called by Lightning before every stage.

        Raises:
            UserError: If the weights themselves are to be kept in half precision.
        """
        precision = str(self._trainer.precision) if self._trainer else ""
        if precision in HALF_WEIGHTS:
            raise UserError(
                f"precision {precision} keeps the weights in half precision, where likelihoods "
                f"are off by nats: take --trainer.precision {HALF_WEIGHTS[precision]}, which "
                "computes in half precision and keeps weights and figures in float32."
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return build_optimizers(
            self, self.trained_parameters(), self._optimizer, self._lr_scheduler
        )

    def check_pixels(self, x: Tensor, low: float = 0.0, high: float = 1.0) -> None:
        """Refuses images x with a value outside [low, high], or one that is no number.

        Raises:
            UserError: Naming the smallest and the largest value.
        """
        smallest, largest = x.amin().item(), x.amax().item()
        if not (smallest >= low and largest <= high):  # not a number fails both
            raise UserError(
                f"{type(self).__name__} needs images in [{low:g}, {high:g}], got values from "
                f"{smallest:g} to {largest:g}: divide bytes by 255; a likelihood means nothing "
                "elsewhere."
            )
