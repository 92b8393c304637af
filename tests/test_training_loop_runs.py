"""Whole runs with both loops: stopped and gone on with, every configuration, two processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from both_loops import (
    LIGHTNING,
    Outcome,
    assert_equal,
    assert_same,
    fit,
)
from conftest import ROOT, SMALL
from doubles import (
    HOOK_CALLS,
    RecordHooks,
    StopAt,
)
from latent_space import write_vae_run

import cli
from callbacks.run.training_loop import (
    LEAN,
    TRAINING_LOOP,
    LeanEpochLoop,
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
