"""Two processes on one machine, started as a person starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, SMALL

TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


def command(*typed: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    program = [sys.executable, str(ROOT / "cli.py"), *typed]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def metrics(run: str) -> dict[str, float]:
    return json.loads((Path(run) / "metrics.json").read_text())


def test_two_processes_train_test_and_predict_like_one(workplace):
    command("fit", "--config", "configs/vae_glyphs.yaml", *SMALL, *TWO, "--run_dir", "run")
    checkpoint = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2 * 8  # 240 images, 120 each, in batches of 16
    assert metrics("run")["val/elbo"] > -600
    found = {}
    for name, options in {
        "two": TWO,
        "one": ["--trainer.devices", "1", "--trainer.strategy", "auto"],
    }.items():
        command("test", "--run_dir", "run", *options)
        command("predict", "--run_dir", "run", *options)
        found[name] = metrics("run"), np.load("run/predictions/latents.npy")
    two, one = found["two"][0], found["one"][0]
    for name in ("elbo", "elbo_standard_error", "kl", "nll_unnormalised", "nll_samples"):
        assert two[f"test/{name}"] == pytest.approx(one[f"test/{name}"], rel=1e-6)
    np.testing.assert_allclose(found["two"][1], found["one"][1], atol=1e-5)


FIT = ["fit", "--config", "configs/vae_glyphs.yaml", *SMALL, *TWO]


def start(*typed: str) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "tests")}
    program = [sys.executable, str(ROOT / "cli.py"), *typed]
    return subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def children(process: subprocess.Popen) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in listed.split()]


def wait_for(path: str) -> None:
    deadline = time.monotonic() + 180
    while not Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_killed_process_ends_the_others_with_one_line(workplace):
    with start(*FIT, "--run_dir", "run", "--trainer.max_epochs", "100000") as process:
        wait_for("run/checkpoints/last.ckpt")
        os.kill(children(process)[0], signal.SIGKILL)
        began = time.monotonic()
        _, said = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert "Traceback" not in said, said
    assert "another process of this fit has died" in said
    assert "--ckpt_path auto" in said


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_signal_to_one_process_stops_both_and_the_end_is_the_same(workplace, which):
    with start(*FIT, "--run_dir", "cut", "--trainer.max_epochs", "100000") as process:
        wait_for("cut/checkpoints/last.ckpt")
        os.kill(process.pid if which == "first" else children(process)[0], signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    steps = torch.load("cut/checkpoints/last.ckpt", weights_only=True)["global_step"]
    length = ["--trainer.max_epochs", str(steps // 8 + 1)]
    command(*FIT, *length, "--run_dir", "cut", "--ckpt_path", "last")
    command(*FIT, *length, "--run_dir", "whole")
    cut, whole = (
        torch.load(f"{run}/checkpoints/last.ckpt", weights_only=True) for run in ("cut", "whole")
    )
    assert cut["global_step"] == whole["global_step"] == 8 * (steps // 8 + 1)
    for name, weight in whole["state_dict"].items():
        assert torch.equal(weight, cut["state_dict"][name]), name
    assert metrics("cut") == pytest.approx(metrics("whole"), rel=1e-6)


def test_one_process_goes_on_where_two_were_in_the_middle_of_an_epoch(workplace):
    stop = ["--trainer.callbacks+=doubles.StopAt", "--trainer.callbacks.step=3"]
    with start(*FIT, *stop, "--run_dir", "run") as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, said
    saved = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    step = saved["global_step"]
    one = ["--trainer.devices", "1", "--trainer.strategy", "auto", "--ckpt_path", "last"]
    command(*FIT, *one, "--run_dir", "run")
    left = max(240 - 2 * 16 * step, 0)  # of the examples of the epoch; its last batch is smaller
    after = torch.load("run/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert after == step + -(-left // 16) + 15
