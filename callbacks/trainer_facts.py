"""Facts about a trainer that callbacks share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from elbolab.run_directory import RunDirectory

__all__ = [
    "formats_of",
    "in_trial",
    "log_interval",
    "publishing_step",
    "run_of",
    "tensorboard_of",
    "writes_files",
]


def run_of(trainer: Trainer) -> RunDirectory:
    """The run directory: the trainer's ``default_root_dir``."""
    return RunDirectory(Path(trainer.default_root_dir))


def formats_of(trainer: Trainer) -> Sequence[str]:
    """Formats in which pictures are written beside PNG, which the command's `RunRecord` knows."""
    callbacks: Any = trainer  # Lightning sets these where type checkers do not see them
    kept = (getattr(each, "figure_formats", None) for each in callbacks.callbacks)
    return next((formats for formats in kept if formats), ())


def writes_files(trainer: Trainer) -> bool:
    """Whether this process writes results: the first one, and none in a ``fast_dev_run``."""
    return trainer.is_global_zero and not in_trial(trainer)


def in_trial(trainer: Trainer) -> bool:
    """Whether this is a ``fast_dev_run``, which leaves nothing behind."""
    options: Any = trainer  # Lightning sets this one where type checkers do not see it
    return bool(options.fast_dev_run)


def log_interval(trainer: Trainer) -> int:
    """Steps between two points of a training curve: ``log_every_n_steps``."""
    options: Any = trainer  # likewise
    return int(options.log_every_n_steps)


def publishing_step(trainer: Trainer) -> int:
    """The step at which figures and pictures stand: in an evaluation, the checkpoint's."""
    return getattr(trainer.logger, "checkpoint_step", None) or trainer.global_step


def tensorboard_of(trainer: Trainer) -> SummaryWriter | None:
    """The writer of the trainer's TensorBoard logger, if it has one."""
    loggers = (logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger))
    return next((logger.experiment for logger in loggers), None)
