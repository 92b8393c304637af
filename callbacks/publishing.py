"""How callbacks publish figures and pictures."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from callbacks.trainer_facts import (
    formats_of,
    publishing_step,
    run_of,
    tensorboard_of,
    writes_files,
)
from elbolab.pictures import write_picture

__all__ = ["log_figures", "publish_pictures"]


def log_figures(pl_module: LightningModule, figures: Mapping[str, Tensor]) -> None:
    """Logs figures that are the same on every process, such as ``test/coverage``."""
    on_device = {name: value.float().to(pl_module.device) for name, value in figures.items()}
    # sync_dist only tells Lightning not to warn.
    pl_module.log_dict(on_device, sync_dist=True)


def publish_pictures(trainer: Trainer, pictures: Mapping[str, Figure]) -> None:
    """Writes pictures to the run's ``images`` and to TensorBoard, on the process that writes."""
    if not writes_files(trainer):
        return
    run, writer, step = run_of(trainer), tensorboard_of(trainer), publishing_step(trainer)
    for name, picture in pictures.items():
        write_picture(picture, name, run, writer, step, formats_of(trainer))
