"""What is typed wrongly for a task, and places that cannot be written to: one line each."""

import errno
import os
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from elbolab.errors import UserError
from tasks.command import main
from tasks.plugins import GROUP

PROJECT = Path(__file__).parent / "plugin_project"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; the tasks of the plug-in project are known, as if installed."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    entries = [EntryPoint(*task, GROUP) for task in project["entry-points"][GROUP].items()]
    monkeypatch.setattr("tasks.plugins.entry_points", lambda group: entries)
    monkeypatch.syspath_prepend(str(PROJECT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["tny"], "no task 'tny'. Did you mean 'tiny'?"),
        (["--seed", "1"], "no task '--seed'"),
        (["broken"], "no_such_package"),
        (["notask"], "no class with a method 'run'"),
        (["tiny", "--darts", "0"], "darts must be at least 1, not 0"),
        (["tiny", "--board", "missing"], "no board"),
        (["tiny", "--board", "missing", "--run_dir", "a/b/c"], "no board"),
        (["tiny", "--run_dir", "file/out"], "cannot write to run directory file/out"),
        (["tiny", "--run_dir", "file"], "--run_dir file is a file: choose another"),
        (["tiny", "--run_dir", "."], "run directory . exists: choose another"),
        (["tiny", "--run_dir", ""], "run directory . exists: choose another"),
        (["tiny", "--run_dir", "a" * 300], f"run directory {'a' * 40}…: File name too long"),
        (["tiny", "--run_dir", "new/" + "a" * 300], "File name too long"),
        (["tiny", "--run_dir", "a\0b"], "run directory a\\x00b: embedded null byte"),
        (["tiny", "--config", '{run_dir: "a\\0b"}'], "embedded null byte"),
        (["tiny", "--run_dir", "a\ud800"], "cannot write to run directory a\\ud800"),
        (["tiny", "--run_dir", "/proc/none"], "cannot write to run directory /proc/none"),
        (["tiny", "--run_dir", "/dev/null/out"], "run directory /dev/null/out: Not a directory"),
        (["tiny", "--run_dir"], "--run_dir needs a value"),
        (["tiny", "--seed", "-1"], "seed must be a whole number from 0 to 4294967295, got -1"),
        (["tiny", "--seed", "4294967296"], "seed must be a whole number from 0 to 4294967295"),
        (["tiny", "--seed", "1.5"], "seed must be int, got 1.5"),
        (["tiny", "--seed", "nan"], "seed must be int, got nan"),
        (["tiny", "--seed", "9" * 5000], "seed is a number of 5000 digits"),
        (["tiny", "--config", "{seed: -1}"], "seed must be a whole number from 0"),
        (["tiny", "--unit.scale", ".nan"], "unit.scale must be a finite number, got nan"),
        (["tiny", "--unit.scale=-.inf"], "unit.scale must be a finite number, got -inf"),
        (["tiny", "--unit.scale", "1e999"], "unit.scale must be a finite number, got inf"),
        (["tiny", "--config", "."], "is a folder"),
        (["tiny", "--config", "[1, 2]"], "a file of options"),
        (["tiny", "--config", ""], "a file of options"),
        (["tiny", "--dart", "3"], "unknown option --dart. Did you mean '--darts'?"),
        (["tiny", "--darts", "three"], "three"),
        (["tiny", "--config", "none.yaml"], "none.yaml"),
        (["tiny", "--config"], "--config"),
        (["tiny", "--config", "{drats: 3}"], "unknown option 'drats'. Did you mean"),
        (["tiny", "stray"], "stray"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(here: Path, args: list[str], message: str) -> None:
    Path("file").touch()
    with pytest.raises(UserError) as caught:
        main(args)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert [path.name for path in here.iterdir()] == ["file"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("at", range(4))
def test_a_full_disk_is_one_line(
    here: Path, monkeypatch: pytest.MonkeyPatch, at: int, code: int
) -> None:
    """The disk is full at each of the files that are written, one after the other."""
    calls, whole = iter(range(100)), os.fsync

    def full(descriptor: int) -> None:
        if next(calls) == at:
            raise OSError(code, os.strerror(code))
        whole(descriptor)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError) as caught:
        main(["tiny"])
    expected = f"cannot write to run directory runs/tiny: {os.strerror(code)}."
    assert str(caught.value).startswith(expected)
    assert not list(Path().rglob(".*"))
    assert not Path("runs/tiny/metrics.json").exists()
    assert Path("runs").exists() == (at > 0)


def test_a_folder_that_may_not_be_written_to_is_one_line(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", denied)
    with pytest.raises(UserError, match="cannot write to run directory runs/tiny: Permission"):
        main(["tiny"])
    assert not list(here.iterdir())
