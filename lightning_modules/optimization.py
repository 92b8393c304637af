"""Learning-rate schedules that know how long the run is."""

from collections.abc import Iterable

from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

__all__ = ["StagedDecay", "build_optimizers"]


class StagedDecay(LambdaLR):
    """The learning rate of the importance-weighted auto-encoder, over as many epochs as there are.

    Stage i = 0 … 7 lasts 3^i parts of the 3,280 parts of the run and has the factor 10^(−i/7), so
    that the rate ends at a tenth. Source: Burda, Grosse & Salakhutdinov, 2016, section 5.

    Args:
        optimizer: The optimiser.
        epochs: Length of the run; 0 for the trainer's ``max_epochs``.
    """

    def __init__(self, optimizer: Optimizer, epochs: int = 0) -> None:
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
    """
    built = optimizer(parameters)
    if lr_scheduler is None:
        return built
    schedule = lr_scheduler(built)
    if getattr(schedule, "epochs", None) == 0:
        schedule.epochs = module.trainer.max_epochs  # pyright: ignore
    return {
        "optimizer": built,
        "lr_scheduler": {"scheduler": schedule, "name": "train/learning_rate"},
    }
