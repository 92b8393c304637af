"""Stopping and going on: bit for bit the uninterrupted run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SMALL

import cli

FIT = ["fit", "--config", "configs/vae_glyphs.yaml", *SMALL]


def stop_at(step: int, name: str = "SIGTERM") -> list[str]:
    return ["--trainer.callbacks+=doubles.StopAt", f"--trainer.callbacks.step={step}",
            f"--trainer.callbacks.name={name}"]  # fmt: skip


def state(run: str) -> dict:
    return torch.load(Path(run) / "checkpoints/last.ckpt", weights_only=True)


def assert_same_training(a: dict, b: dict) -> None:
    assert a["global_step"] == b["global_step"]
    for name, weight in a["state_dict"].items():
        assert torch.equal(weight, b["state_dict"][name]), name
    for key, slots in a["optimizer_states"][0]["state"].items():
        for name, value in slots.items():
            assert torch.equal(value, b["optimizer_states"][0]["state"][key][name]), (key, name)


@pytest.mark.parametrize("binarize", ["none", "dynamic"])
@pytest.mark.parametrize("step", [0, 6, 14, 21])
def test_an_interrupted_and_resumed_run_is_bit_identical(workplace, step, binarize):
    options = ["--data.binarize", binarize]
    assert cli.main([*FIT, *options, "--run_dir", "whole"]) == 0
    with pytest.raises(SystemExit) as stopped:
        cli.main([*FIT, *options, "--run_dir", "cut", *stop_at(step)])
    assert stopped.value.code == 128 + signal.SIGTERM
    assert state("cut")["global_step"] == step + 1
    assert cli.main([*FIT, *options, "--run_dir", "cut", "--ckpt_path", "last"]) == 0
    assert_same_training(state("whole"), state("cut"))


def test_twice_interrupted(workplace):
    assert cli.main([*FIT, "--run_dir", "whole"]) == 0
    with pytest.raises(SystemExit):
        cli.main([*FIT, "--run_dir", "cut", *stop_at(4)])
    with pytest.raises(SystemExit):
        cli.main([*FIT, "--run_dir", "cut", "--ckpt_path", "last", *stop_at(17)])
    assert cli.main([*FIT, "--run_dir", "cut", "--ckpt_path", "last"]) == 0
    assert_same_training(state("whole"), state("cut"))


def test_validation_does_not_touch_the_training_noise(workplace):
    assert cli.main([*FIT, "--run_dir", "often", "--trainer.val_check_interval", "5"]) == 0
    assert cli.main([*FIT, "--run_dir", "never", "--trainer.limit_val_batches", "0",
                     "--trainer.callbacks", "null"]) == 0  # fmt: skip
    often = state("often")
    never = torch.load(next(Path("never").rglob("*.ckpt")), weights_only=True)
    assert_same_training(often, never)


def test_ctrl_c_from_outside_leaves_a_checkpoint_that_goes_on(workplace):
    endless = [*FIT, "--run_dir", "cut", "--trainer.max_epochs", "100000"]
    command = [sys.executable, str(ROOT / "cli.py"), *endless]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not Path("cut/checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, said
    assert "Traceback" not in said
    assert "--ckpt_path last" in said
    steps = state("cut")["global_step"]
    epochs = str(steps // 15 + 1)
    resume = [*FIT, "--run_dir", "cut", "--ckpt_path", "last", "--trainer.max_epochs", epochs]
    assert cli.main(resume) == 0
    assert state("cut")["global_step"] == 15 * int(epochs)
