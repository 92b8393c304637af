"""The lean loop does what Lightning's does: the same numbers, files and calls in the same order."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SMALL
from doubles import HOOK_CALLS
from latent_space import write_vae_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cli
from callbacks.training_loop import LEAN, TRAINING_LOOP, LeanEpochLoop

GLYPHS = ["--config", "configs/vae_glyphs.yaml", *SMALL]
RECORDED = ["--trainer.callbacks+=doubles.RecordHooks"]
LOOPS = ("lightning", LEAN)


class Outcome:
    """Everything that a fit left behind."""

    def __init__(self, run: str) -> None:
        self.checkpoints = {
            path.name: torch.load(path, weights_only=True) for path in Path(run).rglob("*.ckpt")
        }
        self.metrics = (Path(run) / "metrics.json").read_text()
        events = EventAccumulator(run, size_guidance={"scalars": 0}).Reload()
        self.curves = {
            tag: [(point.step, point.value) for point in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        }
        self.hooks = list(HOOK_CALLS)
        self.pictures = sorted(str(path.relative_to(run)) for path in Path(run).rglob("*.png"))


def assert_equal(a, b, place=""):
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


def without_paths(checkpoint: dict) -> dict:
    """A checkpoint without the folder in which its run lies."""
    for state in checkpoint["callbacks"].values():
        for key in ("dirpath", "best_model_path", "last_model_path", "kth_best_model_path",
                    "best_k_models"):  # fmt: skip
            state.pop(key, None)
    return checkpoint


def assert_same(lightning: Outcome, lean: Outcome) -> None:
    assert lightning.hooks == lean.hooks
    assert lightning.checkpoints.keys() == lean.checkpoints.keys() != set()
    for name, checkpoint in lightning.checkpoints.items():
        pair = without_paths(checkpoint), without_paths(lean.checkpoints[name])
        assert_equal(*pair, name)
    assert lightning.metrics == lean.metrics
    assert_equal(lightning.curves, lean.curves)
    assert lightning.pictures == lean.pictures


@pytest.fixture
def in_both(monkeypatch):
    """Runs a function ``run_dir -> None`` with each loop and compares what is left behind."""

    def compare(run, *, lean: bool = True) -> Outcome:
        outcomes = []
        for loop in LOOPS:
            monkeypatch.setenv(TRAINING_LOOP, loop)
            HOOK_CALLS.clear()
            steps = LeanSteps(monkeypatch)
            run(loop)
            assert (steps.count > 0) == (lean and loop == LEAN)
            outcomes.append(Outcome(loop))
        assert_same(*outcomes)
        return outcomes[1]

    return compare


class LeanSteps:
    """Counts steps that the lean loop took itself."""

    def __init__(self, monkeypatch) -> None:
        self.count, take = 0, LeanEpochLoop._note

        def counted(loop, batch):
            self.count += 1
            take(loop, batch)

        monkeypatch.setattr(LeanEpochLoop, "_note", counted)


OPTIONS = {
    "two epochs": [],
    "hooks": RECORDED,
    "logging module": ["--trainer.callbacks+=doubles.LogEverywhere"],
    "logging module with hooks": ["--trainer.callbacks+=doubles.LogEverywhere", *RECORDED],
    "max_steps": ["--trainer.max_steps", "20", *RECORDED],
    "max_steps at an epoch's end": ["--trainer.max_steps", "15", *RECORDED],
    "limit_train_batches": ["--trainer.limit_train_batches", "7", *RECORDED],
    "share of batches": ["--trainer.limit_train_batches", "0.4", *RECORDED],
    "val_check_interval": ["--trainer.val_check_interval", "4", *RECORDED],
    "share of val_check_interval": ["--trainer.val_check_interval", "0.3", *RECORDED],
    "validation across epochs": ["--trainer.val_check_interval", "11",
                                 "--trainer.check_val_every_n_epoch", "null", *RECORDED],
    "validation every second epoch": ["--trainer.check_val_every_n_epoch", "2", *RECORDED],
    "validation by time": ["--trainer.val_check_interval", "00:01:00:00", *RECORDED],
    "no validation": ["--trainer.limit_val_batches", "0", "--trainer.callbacks", "null",
                      "--trainer.callbacks+=doubles.RecordHooks"],
    "sanity check": ["--trainer.num_sanity_val_steps", "2", *RECORDED],
    "stop in the midst": ["--trainer.callbacks+=doubles.AskToStop", *RECORDED],
    "min_epochs": ["--trainer.callbacks+=doubles.AskToStop", "--trainer.min_epochs", "2",
                   *RECORDED],
    "skipped epoch": ["--trainer.callbacks+=doubles.SkipRest", *RECORDED],
    "early stop": ["--trainer.max_epochs", "6", *RECORDED,
                   "--trainer.callbacks+=pytorch_lightning.callbacks.EarlyStopping",
                   "--trainer.callbacks.monitor", "val/kl", "--trainer.callbacks.patience", "1"],
    "schedule by steps": ["--trainer.callbacks+=doubles.ScheduleBySteps", *RECORDED],
    "logged rates": ["--trainer.callbacks+=pytorch_lightning.callbacks.LearningRateMonitor",
                     "--trainer.callbacks.logging_interval", "step"],
    "bf16": ["--trainer.precision", "bf16-mixed", *RECORDED],
    "weights averaged": ["--trainer.callbacks+=pytorch_lightning.callbacks.WeightAveraging"],
    "iterations": ["--trainer.max_epochs", "-1", "--trainer.max_steps", "33", *RECORDED],
    "a checkpoint every 4 steps": ["--trainer.callbacks+=pytorch_lightning.callbacks.ModelCheckpoint",
                                   "--trainer.callbacks.every_n_train_steps", "4",
                                   "--trainer.callbacks.save_top_k", "-1"],
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_both_loops_do_the_same(workplace, in_both, options):
    in_both(lambda run: cli.main(["fit", *GLYPHS, "--run_dir", run, *options]))


REFUSED = {
    "accumulation": ["--trainer.accumulate_grad_batches", "2"],
    "clipping": ["--trainer.gradient_clip_val", "1.0"],
    "profiler": ["--trainer.profiler", "simple"],
    "averaged over a swa": ["--trainer.callbacks+=doubles.WithoutBackward"],
}


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_where_it_may_not_lightnings_loop_stays(workplace, in_both, options):
    in_both(lambda run: cli.main(["fit", *GLYPHS, "--run_dir", run, *options]), lean=False)
