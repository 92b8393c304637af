"""A fit never ends unvalidated."""

from pytorch_lightning import Callback, LightningModule, Trainer

__all__ = ["LastValidation"]


class LastValidation(Callback):
    """Validates after the last epoch too, where that is none of every ``check_val_every_n_epoch``.

    Otherwise the best checkpoint and every figure of validation would leave the last epochs out.
    """

    def __init__(self) -> None:
        self._asked_for: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._ask(trainer)  # a fit that goes on in the midst of an epoch does not start one

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._ask(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._restore(trainer)

    def _ask(self, trainer: Trainer) -> None:
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if last and self._asked_for is None and trainer.check_val_every_n_epoch is not None:
            self._asked_for = trainer.check_val_every_n_epoch
            trainer.check_val_every_n_epoch = 1

    def _restore(self, trainer: Trainer) -> None:
        if self._asked_for is not None:
            trainer.check_val_every_n_epoch, self._asked_for = self._asked_for, None
