"""A small fit with either training loop, and all that it leaves behind."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from doubles import (
    HOOK_CALLS,
    RecordHooks,
)
from pytorch_lightning import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.monitors.elbo import ElboMonitor
from callbacks.monitors.hyvarinen import HyvarinenMonitor
from callbacks.pictures.epoch_picture import EpochPicture
from callbacks.run.checkpoints import BestCheckpoint, SafeCheckpointIO
from callbacks.run.resume import ExactResume
from callbacks.run.run_record import RunLogger
from callbacks.run.training_loop import (
    LEAN,
    TRAINING_LOOP,
    LeanLoop,
    training_loop_of,
)
from datamodules.tensor_batches import TensorBatches
from elbolab.run_directory import RunDirectory
from lightning_modules.nets.score_net import ScoreMLP
from lightning_modules.score import ScoreModel
from lightning_modules.vae import VAE

LIGHTNING = "lightning"


class Noise(pl.LightningDataModule):
    """Fifteen batches of 16 examples of noise, the last one short."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.x = torch.rand(231, *shape, generator=generator).round(decimals=1)

    def train_dataloader(self):
        return TensorBatches.for_trainer(self.trainer, [self.x], 16, shuffle=True)

    def val_dataloader(self):
        return TensorBatches.for_trainer(self.trainer, [self.x[:50]], 32)


class Outcome:
    """Everything that a fit left behind."""

    def __init__(self, run: str) -> None:
        self.checkpoints = {
            path.name: without_paths(torch.load(path, weights_only=True))
            for path in Path(run).rglob("*.ckpt")
        }
        self.curves = curves(run) if Path(run).exists() else {}
        metrics = Path(run) / "metrics.json"
        self.metrics = metrics.read_text() if metrics.exists() else ""
        self.hooks = list(HOOK_CALLS)
        self.pictures = sorted(str(path.relative_to(run)) for path in Path(run).rglob("*.png"))


def curves(run: str) -> dict[str, list[tuple[int, float]]]:
    """All points of TensorBoard's scalars."""
    events = EventAccumulator(run, size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(point.step, point.value) for point in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def without_paths(checkpoint: dict) -> dict:
    """A checkpoint without the folder in which its run lies."""
    for state in checkpoint["callbacks"].values():
        for key in [key for key in state if "path" in key or key == "best_k_models"]:
            del state[key]
    return checkpoint


def assert_equal(a, b, place="") -> None:
    assert type(a) is type(b), place
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, place
        assert torch.equal(a.nan_to_num(), b.nan_to_num()), place
    elif isinstance(a, dict):
        assert list(a) == list(b), place
        for key in a:
            assert_equal(a[key], b[key], f"{place}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), place
        for i, pair in enumerate(zip(a, b, strict=True)):
            assert_equal(*pair, f"{place}/{i}")
    elif a == a:  # not a number is not itself
        assert a == b, place


def assert_same(a: Outcome, b: Outcome) -> None:
    for name, value in vars(a).items():
        assert_equal(value, getattr(b, name), name)


class Small(NamedTuple):
    """A module, its data, its monitor and the metric that chooses its checkpoint."""

    module: Callable[[], pl.LightningModule]
    data: Callable[[], pl.LightningDataModule]
    monitor: Callable[[], Callback]
    metric: str


AUTO_ENCODER = Small(
    lambda: VAE((1, 4, 4), 2, [8]), lambda: Noise(1, 4, 4), ElboMonitor, "val/elbo"
)
SCORE = Small(
    lambda: ScoreModel((2,), lambda d, schedule: ScoreMLP(d, schedule, [8])),
    lambda: Noise(2),
    HyvarinenMonitor,
    "val/hyvarinen",
)


def logging_itself(module: Callable[[], pl.LightningModule]) -> Small:
    """A module that needs no monitor."""
    return Small(module, lambda: Noise(1, 4, 4), Callback, "val/mean")


def fit(
    run: str, callbacks: Sequence[Callback] = (), small: Small = AUTO_ENCODER, **options: Any
) -> pl.Trainer:
    """Two epochs of a small model, or the rest of them where the run was stopped."""
    HOOK_CALLS.clear()
    torch.manual_seed(0)
    last = Path(run, "checkpoints/last.ckpt")
    always = {
        "max_epochs": 2,
        "accelerator": "cpu",
        "default_root_dir": run,
        "logger": RunLogger(RunDirectory(Path(run))),
        "plugins": [SafeCheckpointIO()],
        "callbacks": [
            small.monitor(),
            *callbacks,
            BestCheckpoint(small.metric, "max"),
            ExactResume(0),
            LeanLoop(),
        ],
        "log_every_n_steps": 5,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(**(always | options))
    checkpoint = str(last) if last.exists() else None
    trainer.fit(small.module(), small.data(), ckpt_path=checkpoint, weights_only=True)
    return trainer


def choose_loop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Calls a function with a loop chosen, in that working directory and without pictures."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(EpochPicture, "_write", lambda *_: None)

    def run(loop, function, *args, **options):
        monkeypatch.setenv(TRAINING_LOOP, loop)
        return function(*args, **options)

    return run


def compare_loops(
    with_loop: Callable[..., Any],
    expected: str = LEAN,
    callbacks: Sequence[Any] = (),
    **options: Any,
) -> None:
    """Fits with both loops, with every hook recorded and with those alone that there are."""
    for recorder in ([RecordHooks], []):
        outcomes = []
        for loop in (LIGHTNING, LEAN):
            run = f"{loop}{len(recorder)}"
            made = [make() for make in (*callbacks, *recorder)]
            trainer = with_loop(loop, fit, run, made, **options)
            outcomes.append(Outcome(run))
        assert_same(*outcomes)
        assert outcomes[1].hooks or not recorder
        assert outcomes[1].checkpoints or "fast_dev_run" in options
        assert training_loop_of(trainer) == expected
