"""Runs that cannot collide: a directory belongs to one living fit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, SMALL

import cli
from elbolab.errors import UserError
from elbolab.run_choice import claim_run
from elbolab.run_claim import RunClaim, RunInUseError
from elbolab.run_directory import LOCK, RunDirectory, write_atomically

FIT = ["fit", "--config", "configs/vae_glyphs.yaml", *SMALL]

CLAIMS = """
import sys, time
from pathlib import Path
from elbolab.run_choice import claim_run
from elbolab.run_directory import write_atomically
while time.time() < float(sys.argv[1]):
    pass
claim = claim_run(None, None, Path("runs/vae"))
write_atomically(claim.run.config, b"")
print(claim.run.path, flush=True)
time.sleep(float(sys.argv[2]))
claim.release()
"""


def python(*arguments: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def started(seconds: float, stays: float) -> subprocess.Popen:
    return python("-c", CLAIMS, str(time.time() + seconds), str(stays))


@pytest.mark.parametrize("stays", [0.0, 3.0])
def test_ten_at_the_same_moment_take_ten_directories(workplace, stays):
    processes = [started(1.5, stays) for _ in range(10)]
    taken = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert len(set(taken)) == 10, taken
    assert set(taken) == {"runs/vae"} | {f"runs/vae-{number}" for number in range(2, 11)}
    assert not list(Path("runs").glob(f"*/{LOCK}"))


def test_two_fits_into_the_same_typed_directory(workplace):
    endless = [*FIT, "--run_dir", "out", "--trainer.max_epochs", "100000"]
    with python(str(ROOT / "cli.py"), *endless) as first:
        deadline = time.monotonic() + 120
        while not Path("out/config.yaml").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        for goes_on in (None, "auto", "last"):
            with pytest.raises(UserError, match=f"out is in use by process {first.pid} on "):
                claim_run("out", goes_on, Path("runs/vae"))
        assert cli.main(endless) == 2
        first.send_signal(signal.SIGKILL)
    claim_run("out", "last", Path("runs/vae")).release()


def test_a_claim_that_wrote_nothing_leaves_nothing(tmp_path):
    run = RunDirectory(tmp_path / "a/b/c")
    claim = RunClaim(run)
    assert claim.fresh
    assert not run.taken
    with pytest.raises(RunInUseError):
        RunClaim(run)
    claim.release()
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_unfinished_is_cleared(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    run = RunDirectory(tmp_path / "run")
    write_atomically(run.metrics, b"{}")
    for name in (f".last.ckpt.{dead.pid}-0a", ".best.ckpt.abc1_x"):
        write_atomically(run.checkpoints / name, b"half")
    (run.path / f".metrics.json.{dead.pid}-0a").touch()
    (run.path / f".metrics.json.{os.getpid()}-0a").touch()
    (run.path / ".hidden").touch()
    RunClaim(run).release()
    left = {path.name for path in run.path.rglob("*") if path.is_file()}
    assert left == {"metrics.json", ".hidden", f".metrics.json.{os.getpid()}-0a"}


def test_files_follow_the_umask(tmp_path):
    for mask in (0o077, 0o022, 0o002):
        before = os.umask(mask)
        try:
            write_atomically(tmp_path / f"{mask}", b"")
        finally:
            os.umask(before)
        assert (tmp_path / f"{mask}").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_fit_killed_in_its_first_epoch_names_one_remedy_and_it_works(workplace, capsys):
    endless = [*FIT, "--run_dir", "out", "--data.train_size", "40000"]
    with python(str(ROOT / "cli.py"), *endless) as first:
        deadline = time.monotonic() + 180
        while not Path("out/config.yaml").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
    assert not Path("out/checkpoints/last.ckpt").exists()
    assert cli.main([*FIT, "--run_dir", "out"]) == 2
    plain = capsys.readouterr().err
    assert cli.main([*FIT, "--run_dir", "out", "--ckpt_path", "last"]) == 2
    last = capsys.readouterr().err
    remedy = "begin it again in the same place with --ckpt_path auto"
    assert remedy in plain
    assert remedy in last
    assert cli.main([*FIT, "--run_dir", "out", "--ckpt_path", "auto"]) == 0
    assert Path("out/checkpoints/last.ckpt").exists()


def test_auto_begins_and_then_goes_on(workplace):
    auto = [*FIT, "--ckpt_path", "auto", "--run_dir", "out", "--trainer.max_epochs"]
    for epochs in ("1", "2", "2"):
        assert cli.main([*auto, epochs]) == 0
    assert {path.name for path in Path("out/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_auto_does_not_begin_in_a_folder_of_other_things(workplace, capsys):
    Path("out").mkdir()
    Path("out/thesis.tex").touch()
    assert cli.main([*FIT, "--ckpt_path", "auto", "--run_dir", "out"]) == 2
    assert "run directory out is no run's" in capsys.readouterr().err
    assert [path.name for path in Path("out").iterdir()] == ["thesis.tex"]
