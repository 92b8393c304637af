"""Learning-rate schedules that know how long the run is."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from elbolab.checks import check_in
from elbolab.errors import UserError

__all__ = ["CosineDecay", "RunSchedule", "StagedDecay", "build_optimizers"]


class RunSchedule(LambdaLR, ABC):
    """A learning rate that is a function of how much of the run is over.

    A run that goes on with more epochs than before has another length: the rate is then that of
    the longer run from the start, at the epoch where it goes on.

    Args:
        optimizer: The optimiser.
        epochs: Length of the run; 0 for the trainer's ``max_epochs``.

    Raises:
        UserError: If it is below 0.
    """

    def __init__(self, optimizer: Optimizer, epochs: int = 0) -> None:
        check_in("[0, inf)", epochs=epochs)
        self.epochs = epochs
        super().__init__(optimizer, lambda epoch: self.factor(epoch))

    @abstractmethod
    def factor(self, epoch: int) -> float:
        """What the learning rate is multiplied by after so many epochs."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        epochs = self.epochs
        super().load_state_dict(state_dict)
        self.epochs = epochs
        factor = self.factor(self.last_epoch)
        self._last_lr = [rate * factor for rate in self.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate


class CosineDecay(RunSchedule):
    """A learning rate that falls along half a cosine to zero over the run.

    Args:
        optimizer: The optimiser.
        epochs: Length of the run; 0 for the trainer's ``max_epochs``.
    """

    def factor(self, epoch: int) -> float:
        return (1 + math.cos(math.pi * min(epoch / max(self.epochs, 1), 1))) / 2


class StagedDecay(RunSchedule):
    """The learning rate of the importance-weighted auto-encoder, over as many epochs as there are.

    Stage i = 0 … 7 lasts 3^i parts of the 3,280 parts of the run and has the factor 10^(−i/7), so
    that the rate ends at a tenth. Source: Burda, Grosse & Salakhutdinov, 2016, section 5.

    Args:
        optimizer: The optimiser.
        epochs: Length of the run; 0 for the trainer's ``max_epochs``.

    Raises:
        UserError: If it is below 0.
    """

    def factor(self, epoch: int) -> float:
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
        UserError: If it needs that and the trainer has none; if an argument of the optimiser or the
            schedule is out of range; if the optimiser was given in Python and is gone.
    """
    _check_given(optimizer=optimizer, lr_scheduler=lr_scheduler)
    try:
        built = optimizer(parameters)
        schedule = None if lr_scheduler is None else lr_scheduler(built)
    except (ValueError, TypeError, ZeroDivisionError) as error:  # torch's own checks
        raise UserError(f"model.optimizer or model.lr_scheduler: {error}.") from error
    check_in("[0, inf)", **{"optimizer.lr": [group["lr"] for group in built.param_groups]})
    if schedule is None:
        return built
    if isinstance(schedule, RunSchedule) and schedule.epochs == 0:
        epochs = module.trainer.max_epochs
        if epochs is None or epochs < 1:
            raise UserError(
                f"{type(schedule).__name__} needs the length of the run: give trainer.max_epochs, "
                f"got {epochs}, or its own epochs."
            )
        schedule.epochs = epochs
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
