"""Every combination its own run; typed again it goes on."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from conftest import ROOT

import cli
from elbolab.errors import UserError
from elbolab.sweep import Local, Sweep, TrialOutcome, combinations, run_all, values_of


class InTurn:
    """Ends every trial at once: with code 3 where an option says ``fail``."""

    def __init__(self):
        self.commands = []

    def submit(self, trial, commands):
        self.commands.append(commands)
        future = Future()
        future.set_result(TrialOutcome(3 if "fail" in trial.options.values() else 0, 1.5))
        return future

    def stop(self):
        raise AssertionError("nothing is left to stop")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "option", "values"),
    [
        ("model.latent_dim=2,5,20", "model.latent_dim", ["2", "5", "20"]),
        ("--model.hidden=[32],[64, 64]", "model.hidden", ["[32]", "[64, 64]"]),
        ("model.prior=VampPrior", "model.prior", ["VampPrior"]),
        ("model.lr_scheduler=null,CosineDecay", "model.lr_scheduler", ["null", "CosineDecay"]),
        ("data.fresh=true", "data.fresh", ["true"]),
        ("lr=1e-3,0.01", "lr", ["1e-3", "0.01"]),
    ],
)  # fmt: skip
def test_values_are_read_as_they_are_typed(text, option, values):
    assert values_of(text) == (option, values)


@pytest.mark.parametrize("text", ["x", "x=", "=3", "x=[1"])
def test_what_is_no_list_of_values_is_refused(text):
    with pytest.raises(UserError, match="OPTION=VALUE"):
        values_of(text)


def test_every_combination_has_a_directory_of_its_own(place):
    trials = combinations({"model.a": ["1", "2"], "b": ["x/y", "z", "w"]}, place)
    assert len({trial.run.path for trial in trials}) == 6
    assert {trial.run.path.parent for trial in trials} == {place}
    assert trials[1].options == {"model.a": "1", "b": "z"}
    assert trials[0].name == "a=1,b=x_y"
    long = combinations({"x": ["a" * 300, "a" * 299 + "b"]}, place)
    assert len({trial.name for trial in long}) == 2
    assert max(len(trial.name) for trial in long) < 200


def test_a_fit_goes_on_by_itself_and_is_tested(place):
    (trial,) = combinations({"model.latent_dim": ["5"]}, place)
    fit, test = Sweep(place, ["fit", "--config", "vae"]).words(trial)
    assert fit[:5] == ["fit", "--config", "vae", "--model.latent_dim", "5"]
    assert fit[-2:] == ["--ckpt_path", "auto"]
    assert test == ["test", "--run_dir", str(trial.run.path)]


def test_finished_trials_are_kept_and_failed_ones_tried_again(place):
    trials = combinations({"x": ["1", "fail", "2"]}, place / "s")
    sweep, executor = Sweep(place / "s", ["task", "game"]), InTurn()
    ended = {trial.name: outcome.exit_code for trial, outcome in run_all(sweep, trials, executor)}
    assert ended == {"x=1": 0, "x=fail": 3, "x=2": 0}
    again = Sweep(place / "s", ["task", "game"])
    assert [trial.name for trial in again.open(trials)] == ["x=fail"]
    more = combinations({"x": ["1", "3"]}, place / "s")
    assert [trial.name for trial in again.open(more)] == ["x=3"]


def test_another_experiment_does_not_take_the_same_name(place):
    (trial,) = combinations({"x": ["1"]}, place / "s")
    Sweep(place / "s", ["task", "game"]).close(trial, TrialOutcome(0, 1.0))
    with pytest.raises(UserError, match="holds a sweep of 'task game'"):
        Sweep(place / "s", ["task", "mdp"])
    (place / "s/sweep.json").write_text("[")
    with pytest.raises(UserError, match=r"sweep\.json is damaged"):
        Sweep(place / "s", ["task", "game"])


def test_a_sweep_of_a_task_from_the_command_to_its_table(place, capsys):
    typed = ["sweep", "task", "mdp", "--compare", "false", "--over", "gamma=0.5,0.9"]
    typed += ["--over", "seed=0,1", "--jobs", "2", "--metrics", "mdp/start_value"]
    assert cli.main(typed) == 0
    shown = capsys.readouterr().out
    runs = sorted(path.name for path in (place / "runs/sweeps/mdp").iterdir() if path.is_dir())
    assert runs == [f"gamma={g},seed={s}" for g in ("0.5", "0.9") for s in (0, 1)]
    values = [
        json.loads((place / f"runs/sweeps/mdp/{run}/metrics.json").read_text())["mdp/start_value"]
        for run in runs
    ]
    assert "mean over seeds" in shown
    assert values[0] == values[1]
    assert f"{values[0]:.6g}" in shown
    stamp = (place / "runs/sweeps/mdp/gamma=0.5,seed=0/metrics.json").stat().st_mtime_ns
    assert cli.main(typed) == 0
    assert (place / "runs/sweeps/mdp/gamma=0.5,seed=0/metrics.json").stat().st_mtime_ns == stamp
    assert "4 finished before" in capsys.readouterr().out


def test_a_failure_does_not_stop_the_others(place, capsys):
    typed = ["sweep", "task", "mdp", "--compare", "false", "--over", "gamma=2,0.5"]
    assert cli.main([*typed, "--name", "mixed"]) == 1
    captured = capsys.readouterr()
    assert "failed: gamma=2: error: gamma must be" in captured.err
    assert (place / "runs/sweeps/mixed/gamma=0.5/metrics.json").exists()


def test_a_grid_may_stand_in_a_file(place, capsys):
    Path("grid.yaml").write_text("name: mine\nover:\n  gamma: [0.5]\n")
    typed = ["sweep", "task", "mdp", "--compare", "false", "--grid", "grid.yaml"]
    assert cli.main([*typed, "--metrics", "mdp/*"]) == 0
    assert (place / "runs/sweeps/mine/gamma=0.5/config.yaml").exists()


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ([], "a sweep needs --config FILE, or 'task NAME'"),
        (["--config", "vae_glyphs"], "nothing to vary"),
        (["--config", "vae_glyphs", "--over", "x"], "--over wants OPTION=VALUE"),
        (["task", "mdp", "--over", "gamma=1", "--jobs", "0"], "jobs must be at least 1"),
        (["task", "mdp", "--over", "gamma=1", "--executor", "ray"], "executor must be local"),
        (["task", "mdp", "--grid", "none.yaml"], "cannot read none.yaml"),
        (["task", "mdp", "--grid", "bad.yaml"], "a sweep has the keys over, config, name"),
        (["task", "mdp", "--grid", "empty.yaml"], "the values of 'gamma' must be a list"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing(place, capsys, typed, message):
    Path("bad.yaml").write_text("ovr: {gamma: [1]}\n")
    Path("empty.yaml").write_text("over: {gamma: 3}\n")
    assert cli.main(["sweep", *typed]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_stopped_sweep_ends_its_runs_and_goes_on(place):
    """Ctrl-C in the middle: the run in hand is told to stop, nothing is marked as finished."""
    typed = [sys.executable, str(ROOT / "cli.py"), "sweep", "task", "qwop"]
    typed += ["--budget", "100000000", "--over", "seed=0,1", "--name", "long"]
    restore = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    with subprocess.Popen(
        typed, preexec_fn=restore, start_new_session=True, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 120
        while not Path("runs/sweeps/long/seed=0/config.yaml").exists():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "Traceback" not in error
    sweep = Sweep(Path("runs/sweeps/long"), ["task", "qwop", "--budget", "100000000"])
    assert len(sweep.open(combinations({"seed": ["0", "1"]}, sweep.folder))) == 2


def test_local_trials_share_out_the_processors(place):
    executor = Local(2)
    (trial,) = combinations({"x": ["1"]}, place / "s")
    outcome = executor.submit(trial, [["configs"]]).result()
    executor.stop()
    assert outcome.exit_code == 0
    assert math.isfinite(outcome.seconds)
    assert "vae_glyphs" in trial.log.read_text()
