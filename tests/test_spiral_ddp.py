"""The score model of the spiral in two processes on one machine."""

import json
from pathlib import Path

import pytest
import torch
from test_ddp import TWO, command
from test_spiral_score import FIT

import cli


def test_two_processes_train_and_test_like_one(workplace):
    command(*FIT, *TWO, "--run_dir", "run")
    checkpoint = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2 * 8  # 240 points, 120 each, in batches of 16
    command("test", "--run_dir", "run", *TWO)
    two = json.loads(Path("run/metrics.json").read_text())
    one_process = ["--trainer.devices", "1", "--trainer.strategy", "auto"]
    assert cli.main(["test", "--run_dir", "run", *one_process]) == 0
    one = json.loads(Path("run/metrics.json").read_text())
    judged = ("hyvarinen", "hyvarinen_true", "hyvarinen_excess", "fisher_divergence")
    for name in ("log_prob", "log_prob_true", "on_spiral", "sliced_w2", *judged):
        assert two[f"test/{name}"] == pytest.approx(one[f"test/{name}"], rel=1e-5)
