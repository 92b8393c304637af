"""Numbers below float32's smallest normal one are 0 in every command, thread and rank."""

import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT, SMALL
from test_resume import FIT, assert_same_training, state, stop_at

import cli
from elbolab.denormals import DENORMALS, flush_denormals
from elbolab.errors import UserError

TINY = 1e-40


def still_there() -> bool:
    """Whether this thread computes with denormal numbers."""
    return bool((torch.full((4,), TINY) * 1.0).any())


def test_flushed_unless_kept(monkeypatch):
    monkeypatch.delenv(DENORMALS, raising=False)
    assert flush_denormals()
    assert not still_there()
    monkeypatch.setenv(DENORMALS, "keep")
    assert not flush_denormals()
    assert still_there()
    monkeypatch.setenv(DENORMALS, "none")
    with pytest.raises(UserError, match=r"ELBOLAB_DENORMALS must be 'flush' or 'keep', got 'none'"):
        flush_denormals()


@pytest.mark.parametrize(("setting", "left"), [("flush", []), ("keep", [0, 1])])
def test_worker_threads_of_a_fit_follow(workplace, setting, left):
    """In a process of its own: threads take the setting over when they start."""
    environment = os.environ | {"OMP_NUM_THREADS": "2", DENORMALS: setting}
    environment["PYTHONPATH"] = str(ROOT / "tests")
    typed = ["fit", "--config", "configs/vae_glyphs.yaml", *SMALL, "--trainer.max_steps", "2"]
    typed += ["--trainer.callbacks", "null", "--trainer.callbacks+=doubles.CountDenormals"]
    typed += ["--run_dir", "run"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *typed],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"halves with denormals: {left}" in done.stdout


@pytest.mark.parametrize("setting", ["flush", "keep"])
def test_resume_stays_bit_identical_with_denormal_moments(workplace, monkeypatch, setting):
    """Adam's first moments are made denormal in the midst of the run, then it is stopped."""
    monkeypatch.setenv(DENORMALS, setting)
    shrink = ["--trainer.callbacks+=doubles.ShrinkMoments"]
    assert cli.main([*FIT, *shrink, "--run_dir", "whole"]) == 0
    with pytest.raises(SystemExit):
        cli.main([*FIT, *shrink, "--run_dir", "cut", *stop_at(19)])
    assert (smallest(state("cut")) < torch.finfo(torch.float32).tiny) == (setting == "keep")
    assert cli.main([*FIT, *shrink, "--run_dir", "cut", "--ckpt_path", "last"]) == 0
    assert_same_training(state("whole"), state("cut"))


def smallest(checkpoint: dict) -> float:
    """The smallest first moment of Adam that is not 0."""
    slots = checkpoint["optimizer_states"][0]["state"].values()
    moments = torch.cat([slot["exp_avg"].flatten() for slot in slots]).abs().double()
    return float(moments[moments > 0].min())
