"""Learning-rate schedules that know how long the run is."""

import math
from collections.abc import Iterable, Mapping

from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from elbolab.checks import check_in
from elbolab.errors import UserError

__all__ = ["CosineDecay", "StagedDecay", "build_optimizers"]


class CosineDecay(LambdaLR):
    """A learning rate that falls along half a cosine to zero over the run.

    Args:
        optimizer: The optimiser.
        epochs: Length of the run; 0 for the trainer's ``max_epochs``.

    Raises:
        UserError: If it is below 0.
    """

    def __init__(self, optimizer: Optimizer, epochs: int = 0) -> None:
        check_in("[0, inf)", epochs=epochs)
        self.epochs = epochs
        super().__init__(optimizer, self._factor)

    def _factor(self, epoch: int) -> float:
        return (1 + math.cos(math.pi * min(epoch / max(self.epochs, 1), 1))) / 2


class StagedDecay(LambdaLR):
    """The learning rate of the importance-weighted auto-encoder, over as many epochs as there are.

    Stage i = 0 … 7 lasts 3^i parts of the 3,280 parts of the run and has the factor 10^(−i/7), so
    that the rate ends at a tenth. Source: Burda, Grosse & Salakhutdinov, 2016, section 5.

    Args:
        optimizer: The optimiser.
        epochs: Length of the run; 0 for the trainer's ``max_epochs``.

    Raises:
        UserError: If it is below 0.
    """

    def __init__(self, optimizer: Optimizer, epochs: int = 0) -> None:
        check_in("[0, inf)", epochs=epochs)
        self.epochs = epochs
        super().__init__(optimizer, self._factor)

    def _factor(self, epoch: int) -> float:
        part = 3280 * epoch / max(self.epochs, 1)
        stage = 0
        while stage < 7 and part >= (3 ** (stage + 1) - 1) / 2:
            stage += 1
        return 10 ** (-stage / 7)


def build_optimizers(
    module: LightningModule,
    parameters: Iterable[Parameter],
    optimizer: OptimizerCallable,
    lr_scheduler: LRSchedulerCallable | None,
) -> OptimizerLRScheduler:
    """What ``configure_optimizers`` returns: the schedule is stepped once per epoch.

    A schedule whose ``epochs`` is 0 gets the trainer's ``max_epochs``.

    Raises:
        UserError: If it needs that and the trainer has none; if a learning rate is no finite number
            or below 0; if the optimiser was given in Python and is not there any more.
    """
    _check_given(optimizer=optimizer, lr_scheduler=lr_scheduler)
    built = optimizer(parameters)
    check_in("[0, inf)", **{"optimizer.lr": [group["lr"] for group in built.param_groups]})
    if lr_scheduler is None:
        return built
    schedule = lr_scheduler(built)
    if getattr(schedule, "epochs", None) == 0:
        epochs = module.trainer.max_epochs
        if epochs is None or epochs < 1:
            raise UserError(
                f"{type(schedule).__name__} needs the length of the run: give trainer.max_epochs, "
                f"got {epochs}, or its own epochs."
            )
        schedule.epochs = epochs  # pyright: ignore
    return {
        "optimizer": built,
        "lr_scheduler": {"scheduler": schedule, "name": "train/learning_rate"},
    }


def _check_given(**builders: object) -> None:
    """A checkpoint holds a mapping in the place of what was given in Python."""
    for name, builder in builders.items():
        if isinstance(builder, Mapping):
            raise UserError(
                f"the module was loaded from a checkpoint without its {name}, which was given in "
                f"Python: give it again, load_from_checkpoint(path, {name}=…)."
            )
