"""Two processes on one machine, started as a person starts them."""

import json
import os
import subprocess
import sys
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
