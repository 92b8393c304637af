"""What a run leaves behind to be read by people and programs."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger

from callbacks.trainer_facts import run_of, writes_files
from elbolab.run_directory import RunDirectory, write_atomically

__all__ = ["RunLogger", "RunRecord"]


class RunLogger(TensorBoardLogger):
    """TensorBoard events right in the run directory, without Lightning's own ``hparams.yaml``.

    Args:
        run: The run's directory.
    """

    checkpoint_step: int | None = None
    """Step of the checkpoint that is evaluated; Lightning would log every test at step 0."""

    def __init__(self, run: RunDirectory) -> None:
        super().__init__(str(run.path), name="", version="", default_hp_metric=False)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds one point to each curve; in an evaluation, at the checkpoint's step."""
        if self.checkpoint_step is not None:
            step = self.checkpoint_step
            metrics = {name: value for name, value in metrics.items() if name != "epoch"}
        super().log_metrics(dict(metrics), step)

    def save(self) -> None:
        """Writes pending events; ``config.yaml`` says more than ``hparams.yaml`` would."""
        self.experiment.flush()


class RunRecord(Callback):
    """Writes ``config.yaml`` when a fit starts and ``metrics.json`` whenever metrics are complete.

    TensorBoard's HPARAMS page shows the plain options of model and data beside the best value of
    the metric that chooses the checkpoint, as ``hp/<metric>``.

    ``test`` and ``predict`` may be given other options than the fit had: those with which figures
    and arrays were made stand in ``test.yaml`` and ``predict.yaml``.

    Args:
        config: The complete configuration as YAML text.
        figure_formats: Formats in which pictures are written beside PNG, see `formats_of`.
    """

    def __init__(self, config: str, figure_formats: Sequence[str] = ()) -> None:
        self.config, self.figure_formats = config, figure_formats

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        config = run_of(trainer).config
        if writes_files(trainer) and (stage == "fit" or not config.exists()):
            write_atomically(config, self.config.encode())

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        if monitor and isinstance(trainer.logger, RunLogger):
            options = _plain_options(yaml.safe_load(self.config))
            trainer.logger.log_hyperparams(options, {f"hp/{monitor}": float("nan")})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._record(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._record(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if writes_files(trainer):
            run_of(trainer).drop_metrics("test/")  # all that stand there are of one test

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._record(trainer)
        self._keep_options(trainer, "test")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._keep_options(trainer, "predict")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        best = getattr(trainer.checkpoint_callback, "best_model_score", None)
        monitor = getattr(trainer.checkpoint_callback, "monitor", None)
        if best is not None and trainer.logger is not None:
            trainer.logger.log_metrics({f"hp/{monitor}": float(best)}, trainer.global_step)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, SystemExit):  # stopped by a signal: what goes on logs the rest
            self._record(trainer)

    def _keep_options(self, trainer: Trainer, command: str) -> None:
        """Writes with what options a command's figures or arrays were made, as ``test.yaml``."""
        if writes_files(trainer):
            text = f"# {command} of {trainer.ckpt_path}\n{self.config}"
            write_atomically(run_of(trainer).path / f"{command}.yaml", text.encode())

    def _record(self, trainer: Trainer) -> None:
        if trainer.sanity_checking:
            return
        figures = trainer.callback_metrics  # on every process: reading them joins them
        if writes_files(trainer):
            # They also hold step-wise windows; only whole-stage values are kept.
            metrics = {k: float(v) for k, v in figures.items() if "_step" not in k}
            run_of(trainer).merge_metrics(metrics)


def _plain_options(config: dict[str, Any]) -> dict[str, Any]:
    """The options of model and data that fit in a table: ``model.latent_dim`` → 20."""
    return {
        f"{part}.{name}": value
        for part in ("model", "data")
        for name, value in (config[part].get("init_args") or {}).items()
        if isinstance(value, (bool, int, float, str))
    }
