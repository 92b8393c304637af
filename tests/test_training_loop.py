"""The lean loop does what Lightning's does: the same numbers, files and calls in the same order."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from conftest import ROOT, SMALL
from doubles import (
    HOOK_CALLS,
    AskToStop,
    LogEverywhere,
    OwnStep,
    Plain,
    RecordHooks,
    ScheduleBySteps,
    SkipRest,
    Sometimes,
    StopAt,
    WithoutBackward,
)
from latent_space import write_vae_run
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    WeightAveraging,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cli
from callbacks.monitors.elbo import ElboMonitor
from callbacks.monitors.hyvarinen import HyvarinenMonitor
from callbacks.pictures.epoch_picture import EpochPicture
from callbacks.run.checkpoints import BestCheckpoint, SafeCheckpointIO
from callbacks.run.resume import ExactResume
from callbacks.run.run_record import RunLogger
from callbacks.run.training_loop import (
    LEAN,
    TRAINING_LOOP,
    LeanEpochLoop,
    LeanLoop,
    training_loop_of,
)
from datamodules.tensor_batches import TensorBatches
from elbolab.errors import UserError
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


@pytest.fixture
def with_loop(tmp_path, monkeypatch):
    """Calls a function with a loop chosen, in an empty working directory and without pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EpochPicture, "_write", lambda *_: None)

    def run(loop, function, *args, **options):
        monkeypatch.setenv(TRAINING_LOOP, loop)
        return function(*args, **options)

    return run


@pytest.fixture
def in_both(with_loop):
    """Fits with both loops, with every hook recorded and with those alone that there are."""

    def compare(expected: str = LEAN, callbacks: Sequence[Any] = (), **options: Any) -> None:
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

    return compare


SETTINGS = {
    "two epochs": {},
    "averages in the optimiser's hook": {"small": SCORE},
    "a module with a step of its own": {"small": logging_itself(OwnStep)},
    "logged everywhere": {"callbacks": [LogEverywhere]},
    "max_steps": {"max_steps": 20},
    "max_steps at an epoch's end": {"max_steps": 15},
    "no end but max_steps": {"max_steps": 33, "max_epochs": -1},
    "limit_train_batches": {"limit_train_batches": 7},
    "a share of the batches": {"limit_train_batches": 0.4},
    "val_check_interval": {"val_check_interval": 4},
    "a share of val_check_interval": {"val_check_interval": 0.3},
    "validation across epochs": {"val_check_interval": 11, "check_val_every_n_epoch": None},
    "validation every second epoch": {"check_val_every_n_epoch": 2},
    "validation by time": {"val_check_interval": timedelta(hours=1)},
    "validation all the time": {"val_check_interval": timedelta(0)},
    "no validation": {"limit_val_batches": 0},
    "sanity check": {"num_sanity_val_steps": 2},
    "a fast run": {"fast_dev_run": 2, "logger": False},
    "stop in the midst": {"callbacks": [AskToStop]},
    "stop, but not yet": {"callbacks": [AskToStop], "min_epochs": 2},
    "early stop": {
        "callbacks": [lambda: EarlyStopping("val/kl", patience=1, mode="max")],
        "max_epochs": 6,
    },
    "skipped batches": {"callbacks": [SkipRest]},
    "schedule by steps": {"callbacks": [ScheduleBySteps]},
    "logged rates": {"callbacks": [lambda: LearningRateMonitor("step"), ScheduleBySteps]},
    "averaged weights": {"callbacks": [WeightAveraging]},
    "bf16": {"precision": "bf16-mixed"},
    "checkpoints by steps": {
        "callbacks": [lambda: ModelCheckpoint(every_n_train_steps=4, save_top_k=-1)]
    },
    "progress bar": {"enable_progress_bar": True},
    "plain tensors": {"small": logging_itself(Plain)},
    "steps without a loss": {"small": logging_itself(Sometimes)},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_both_loops_do_the_same(in_both, settings):
    in_both(**settings)


REFUSED = {
    "accumulated batches": {"accumulate_grad_batches": 2},
    "clipping": {"gradient_clip_val": 1.0},
    "a profiler": {"profiler": "simple"},
    "a step without backward pass": {"callbacks": [WithoutBackward]},
    "a scaler or a precision of its own": {"precision": "64-true"},
}


@pytest.mark.parametrize(("reason", "settings"), REFUSED.items(), ids=REFUSED)
def test_elsewhere_lightnings_loop_stays(in_both, reason, settings):
    in_both(f"Lightning's: {reason}", **settings)


def test_the_loop_may_change_between_epochs(in_both):
    in_both(
        "Lightning's: accumulated batches",
        callbacks=[lambda: GradientAccumulationScheduler({1: 3})],
    )


@pytest.mark.parametrize("first", [LIGHTNING, LEAN])
@pytest.mark.parametrize("second", [LIGHTNING, LEAN])
@pytest.mark.parametrize("step", [0, 6, 14, 21])
def test_either_loop_goes_on_where_either_stopped(with_loop, first, second, step):
    with_loop(LIGHTNING, fit, "whole")
    outcomes, calls = [Outcome("whole")], []
    for name, loops in {"expected": (LIGHTNING, LIGHTNING), "cut": (first, second)}.items():
        with pytest.raises(SystemExit):
            with_loop(loops[0], fit, name, [StopAt(step), RecordHooks()])
        before = list(HOOK_CALLS)
        with_loop(loops[1], fit, name, [RecordHooks()])
        calls.append(before + HOOK_CALLS)
        outcomes.append(Outcome(name))
    assert_equal(*calls)
    whole, expected, cut = (outcome.checkpoints["last.ckpt"] for outcome in outcomes)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert_equal(whole[part], cut[part], part)
    assert_equal(expected["loops"], cut["loops"], "loops")


def test_a_wrong_wish_is_refused(with_loop):
    with pytest.raises(UserError, match="must be 'lean' or 'lightning', got 'fast'"):
        with_loop("fast", fit, "run")


CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration(workplace, tiny_mnist, with_loop, monkeypatch, config):
    monkeypatch.chdir(workplace)
    text = config.read_text()
    if "vae_run" in text:
        write_vae_run(Path("vae"), dim=2 if "2d" in config.stem else 3)
        data = ["--data.vae_run", "vae"]
    else:
        root = ["--data.root", str(tiny_mnist)]
        data = [*(root if "mnist" in text.lower() else SMALL[:4]), "--data.val_size", "20"]
    typed = ["fit", "--config", str(config), "--trainer.accelerator", "cpu", *data]
    typed += ["--trainer.max_epochs", "2", "--trainer.limit_train_batches", "2"]
    typed += ["--trainer.limit_val_batches", "1", "--trainer.check_val_every_n_epoch", "1"]
    typed += ["--trainer.callbacks+=doubles.RecordHooks"]
    outcomes, steps = [], LeanSteps(monkeypatch)
    for loop in (LIGHTNING, LEAN):
        HOOK_CALLS.clear()
        assert with_loop(loop, cli.main, [*typed, "--run_dir", loop]) == 0
        outcomes.append(Outcome(loop))
    assert_same(*outcomes)
    assert steps.count >= 2


class LeanSteps:
    """Counts steps that the lean loop took itself."""

    def __init__(self, monkeypatch) -> None:
        self.count, take = 0, LeanEpochLoop._note

        def counted(loop, batch):
            self.count += 1
            take(loop, batch)

        monkeypatch.setattr(LeanEpochLoop, "_note", counted)


def test_two_processes(workplace):
    outcomes = []
    for loop in (LIGHTNING, LEAN):
        typed = ["fit", "--config", "configs/vae_glyphs.yaml", *SMALL, "--run_dir", loop]
        typed += ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
        typed += ["--trainer.callbacks", "null"]
        typed += ["--trainer.callbacks+=ElboMonitor", "--trainer.callbacks+=BestCheckpoint"]
        typed += ["--trainer.callbacks.monitor", "val/elbo", "--trainer.callbacks.mode", "max"]
        typed += ["--trainer.callbacks+=doubles.WriteHooks"]
        paths = os.pathsep.join((str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")))
        environment = os.environ | {
            "OMP_NUM_THREADS": "1", TRAINING_LOOP: loop, "PYTHONPATH": paths
        }  # fmt: skip
        program = [sys.executable, str(ROOT / "cli.py"), *typed]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        HOOK_CALLS[:] = [path.read_text() for path in sorted(Path(loop).glob("hooks*.txt"))]
        assert len(HOOK_CALLS) == 2
        outcomes.append(Outcome(loop))
        HOOK_CALLS.clear()
    loops = {Path(loop, "loop.txt").read_text() for loop in (LIGHTNING, LEAN)}
    assert loops == {LEAN, "Lightning's: asked for"}
    assert_same(*outcomes)
