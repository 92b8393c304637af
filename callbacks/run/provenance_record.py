"""Keeps what made a run, command by command, in its ``provenance.json``."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from callbacks.contracts import FromFiles
from callbacks.run.training_loop import training_loop_of
from callbacks.trainer_facts import run_of, tensorboard_of, writes_files
from elbolab.provenance import Provenance, facts_table, file_facts

__all__ = ["ProvenanceRecord"]


class ProvenanceRecord(Callback):
    """Writes an entry when a command begins its work and again when it ends, on one process.

    ``examples_per_second`` counts the fit with its validations and pictures, and the smaller last
    batch of an epoch as a whole one.

    Args:
        words: What was typed.
        seed: Of all noise.
    """

    def __init__(self, words: Sequence[str], seed: int) -> None:
        self._words, self._seed = words, seed
        self._entry: Provenance | None = None
        self._begun_at, self._clock = 0, 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer, pl_module)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begun_at = trainer.global_step  # that of the checkpoint, where the fit goes on
        if self._entry is not None:
            self._entry.add(began_at_step=self._begun_at)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._begin(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end("finished", trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._end("finished", trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end("finished", trainer)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end("finished", trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        stopped = isinstance(exception, KeyboardInterrupt | SystemExit)
        self._end("stopped" if stopped else "failed", trainer)

    def _begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not writes_files(trainer):
            return
        data = getattr(trainer, "datamodule", None)
        self._clock = time.monotonic()
        self._entry = Provenance(
            run_of(trainer),
            self._words,
            seed=self._seed,
            processes=trainer.world_size,
            precision=str(trainer.precision),
            device=str(pl_module.device),
            torch_threads=torch.get_num_threads(),
            parameters=sum(p.numel() for p in pl_module.parameters()),
            data=file_facts(data.source_files()) if isinstance(data, FromFiles) else {},
        )

    def _end(self, outcome: str, trainer: Trainer) -> None:
        if self._entry is None:
            return
        entry, self._entry = self._entry, None
        entry.end(outcome, ended_at_step=trainer.global_step, **self._fit_facts(trainer))
        if (writer := tensorboard_of(trainer)) is not None:
            writer.add_text("provenance", facts_table(entry.facts), trainer.global_step)

    def _fit_facts(self, trainer: Trainer) -> dict[str, Any]:
        steps = trainer.global_step - self._begun_at
        if trainer.state.fn != TrainerFn.FITTING or steps <= 0:
            return {}
        batch = getattr(trainer.train_dataloader, "batch_size", 0) or 0
        examples = steps * trainer.accumulate_grad_batches * batch * trainer.world_size
        return {
            "training_loop": training_loop_of(trainer),
            "examples_per_second": round(examples / (time.monotonic() - self._clock), 1),
        }
