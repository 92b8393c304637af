"""Stopping and going on: bit for bit the uninterrupted run."""

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT, SMALL
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cli
from elbolab.run_directory import write_atomically
from lightning_modules.vae import VAE

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
    assert_same_training(state("often"), state("never"))


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


def metrics(run: str) -> dict:
    return json.loads((Path(run) / "metrics.json").read_text())


def assert_same_end(whole: str, cut: str) -> None:
    assert_same_training(state(whole), state(cut))
    assert metrics(cut) == pytest.approx(metrics(whole), rel=1e-6)
    best = [torch.load(f"{run}/checkpoints/best.ckpt", weights_only=True) for run in (whole, cut)]
    assert_same_training(*best)
    assert best[0]["callbacks"]["BestCheckpoint"] == best[1]["callbacks"]["BestCheckpoint"]


def cut_and_gone_on(options: list[str], *stop: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([*FIT, *options, "--run_dir", "cut", *stop])
    assert stopped.value.code == 128 + signal.SIGTERM
    assert cli.main([*FIT, *options, "--run_dir", "cut", "--ckpt_path", "auto"]) == 0


@pytest.mark.parametrize(
    ("options", "stop"),
    [
        ([], stop_at(14)),  # the last batch of an epoch
        ([], stop_at(29)),  # and of the fit
        (["--trainer.val_check_interval", "0.5"], stop_at(20)),
        (["--trainer.check_val_every_n_epoch", "2"], stop_at(14)),
        (["--trainer.accumulate_grad_batches", "4"], stop_at(5)),
    ],
)
def test_validation_best_checkpoint_and_figures_of_the_epoch_are_not_lost(workplace, options, stop):
    assert cli.main([*FIT, *options, "--run_dir", "whole"]) == 0
    cut_and_gone_on(options, *stop)
    assert_same_end("whole", "cut")


def test_a_validation_is_broken_off_and_repeated(workplace):
    options = ["--data.eval_batch_size", "8", "--trainer.val_check_interval", "0.5"]
    assert cli.main([*FIT, *options, "--run_dir", "whole"]) == 0
    stop = ["--trainer.callbacks+=doubles.StopInValidation", "--trainer.callbacks.batch=20"]
    cut_and_gone_on(options, *stop)
    assert_same_end("whole", "cut")


def test_last_is_the_end_though_the_best_is_long_ago(workplace):
    assert cli.main([*FIT, "--run_dir", "out", "--trainer.callbacks.mode", "min"]) == 0
    best = torch.load("out/checkpoints/best.ckpt", weights_only=True)
    assert (best["global_step"], state("out")["global_step"]) == (15, 30)


def test_more_steps_are_the_rest_of_the_epoch(workplace):
    fit = [*FIT, "--trainer.max_epochs", "-1", "--run_dir"]
    assert cli.main([*fit, "whole", "--trainer.max_steps", "28"]) == 0
    for steps in ("20", "28"):
        options = ["--trainer.max_steps", steps, "--ckpt_path", "auto"]
        assert cli.main([*fit, "cut", *options]) == 0
    assert_same_training(state("whole"), state("cut"))
    assert metrics("cut")["train/elbo"] == pytest.approx(metrics("whole")["train/elbo"], rel=1e-6)


def test_an_odd_number_of_epochs_ends_with_a_validation(workplace):
    options = ["--trainer.check_val_every_n_epoch", "2", "--trainer.max_epochs", "1"]
    assert cli.main([*FIT, *options, "--run_dir", "out"]) == 0
    assert "val/elbo" in metrics("out")
    assert Path("out/checkpoints/best.ckpt").exists()


def test_batches_of_one_step_have_noise_of_their_own(workplace, monkeypatch):
    seeds, step = [], VAE.training_step

    def noted(self, batch, batch_idx):
        seeds.append(torch.default_generator.initial_seed())
        return step(self, batch, batch_idx)

    monkeypatch.setattr(VAE, "training_step", noted)
    options = ["--trainer.accumulate_grad_batches", "4", "--trainer.max_epochs", "1"]
    assert cli.main([*FIT, *options, "--run_dir", "out"]) == 0
    assert len(set(seeds)) == len(seeds) == 15


def test_a_larger_batch_in_the_middle_of_an_epoch_is_said_and_repeats_nothing(workplace, recwarn):
    with pytest.raises(SystemExit):
        cli.main([*FIT, "--run_dir", "cut", *stop_at(9)])  # 160 of 240 examples
    more = ["--ckpt_path", "last", "--data.batch_size", "60", "--seed_everything", "1"]
    assert cli.main([*FIT, "--run_dir", "cut", *more]) == 0
    said = "\n".join(str(warning.message) for warning in recwarn)
    assert "batches of 60 on 1 processes, where there were batches of 16 on 1" in said
    assert "the order of examples is that of seed 1" in said
    assert state("cut")["global_step"] == 10 + 2 + 4


def test_a_longer_schedule_is_that_of_the_longer_run(workplace):
    cosine = [*FIT, "--model.lr_scheduler", "CosineDecay", "--run_dir", "out"]
    assert cli.main(cosine) == 0
    assert cli.main([*cosine, "--ckpt_path", "last", "--trainer.max_epochs", "3"]) == 0
    rates = [point.value for point in curve("out", "train/learning_rate")]
    assert rates == pytest.approx([1e-3 * (1 + math.cos(math.pi * n / m)) / 2
                                   for n, m in ((0, 2), (1, 2), (2, 3))], rel=1e-6)  # fmt: skip


def test_a_learning_rate_that_is_typed_wins_and_another_optimiser_is_refused(workplace, capsys):
    assert cli.main([*FIT, "--run_dir", "out"]) == 0
    before = Path("out/config.yaml").read_text()
    on = [*FIT, "--run_dir", "out", "--ckpt_path", "last", "--trainer.max_epochs", "4"]
    for wrong, said in {
        ("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.1"): "optimizer SGD",
        ("--model.lr_scheduler", "null"): "lr_scheduler none: it holds the state of Exponential",
    }.items():
        assert cli.main([*on, *wrong]) == 2
        assert f"cannot go on with model.{said}" in capsys.readouterr().err
        assert Path("out/config.yaml").read_text() == before
    assert cli.main([*on, "--model.optimizer.lr", "0.05", "--model.optimizer.betas", "[0.8,0.9]",
                     "--model.lr_scheduler.gamma", "0.5"]) == 0  # fmt: skip
    rates = [point.value for point in curve("out", "train/learning_rate")]
    assert rates[2:] == pytest.approx([0.05 * 0.99**2, 0.05 * 0.99**2 * 0.5], rel=1e-6)
    assert state("out")["optimizer_states"][0]["param_groups"][0]["betas"] == (0.8, 0.9)


def curve(run: str, name: str) -> list:
    points = []
    for file in sorted(Path(run).glob("events*"), key=lambda path: path.stat().st_mtime):
        events = EventAccumulator(str(file))
        events.Reload()
        points += events.Scalars(name) if name in events.Tags()["scalars"] else []
    return points


def test_a_copied_run_keeps_its_best_and_a_deleted_best_is_written_again(workplace):
    assert cli.main([*FIT, "--run_dir", "out", "--trainer.callbacks.mode", "min"]) == 0
    shutil.copytree("out", "copy")
    more = [*FIT, "--trainer.callbacks.mode", "min", "--ckpt_path", "last"]
    best = Path("copy/checkpoints/best.ckpt")
    before = best.read_bytes()
    assert cli.main([*more, "--run_dir", "copy", "--trainer.max_epochs", "3"]) == 0
    assert best.read_bytes() == before
    best.unlink()
    assert cli.main([*more, "--run_dir", "copy", "--trainer.max_epochs", "4"]) == 0
    assert torch.load(best, weights_only=True)["global_step"] == 60


def test_a_damaged_metrics_file_is_known_before_training(workplace, capsys):
    assert cli.main([*FIT, "--run_dir", "out"]) == 0
    Path("out/metrics.json").write_text("{")
    before = Path("out/checkpoints/last.ckpt").read_bytes()
    on = ["--ckpt_path", "last", "--trainer.max_epochs", "3"]
    assert cli.main([*FIT, "--run_dir", "out", *on]) == 2
    assert "metrics.json is no JSON object" in capsys.readouterr().err
    assert Path("out/checkpoints/last.ckpt").read_bytes() == before


def test_options_of_a_test_are_kept_with_its_figures(workplace):
    assert cli.main([*FIT, "--run_dir", "out", "--trainer.max_epochs", "1"]) == 0
    write_atomically(Path("out/metrics.json"), b'{"test/stale": 1.0, "val/elbo": -1.0}')
    assert cli.main(["test", "--run_dir", "out", "--data.binarize", "static"]) == 0
    assert {"test/stale", "val/elbo"} & metrics("out").keys() == {"val/elbo"}
    kept = Path("out/test.yaml").read_text()
    assert kept.startswith("# test of out/checkpoints/best.ckpt")
    assert yaml.safe_load(kept)["data"]["init_args"]["binarize"] == "static"


def test_a_full_disk_is_one_line(workplace, capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    assert cli.main([*FIT, "--run_dir", "out"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == (
        "error: cannot write to out: No space left on device. Make room, and go on with "
        "--ckpt_path auto."
    )
