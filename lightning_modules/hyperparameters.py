"""Hyperparameters that a checkpoint may carry."""

from collections.abc import Mapping, Sequence

from pytorch_lightning import LightningModule

__all__ = ["keep_plain_hyperparameters"]


def keep_plain_hyperparameters(module: LightningModule) -> None:
    """Drops hyperparameters that are no plain values, after ``save_hyperparameters()``.

    The command line records class paths and their arguments, all plain. Objects and functions
    given in Python would make the checkpoint impossible to load without running its code; those
    have to be given again to ``load_from_checkpoint``.
    """
    for name, value in list(module.hparams.items()):
        if not _plain(value):
            del module.hparams[name]


def _plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_plain(v) for v in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))
