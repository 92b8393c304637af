"""Plug-in tasks: a separate distribution with tasks in it is installed, listed and run."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from elbolab.errors import UserError
from elbolab.pictures import new_figure
from elbolab.run_directory import RunDirectory
from tasks.base import TaskContext, TaskResult
from tasks.command import _run, main
from tasks.plugins import GROUP, installed_tasks
from tasks.recording import write_result

REPOSITORY = Path(__file__).parents[1]
PROJECT = Path(__file__).parent / "plugin_project"


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder into which pip installed a distribution of its own with tasks in it."""
    project, target = tmp_path_factory.mktemp("copy") / "project", tmp_path_factory.mktemp("target")
    shutil.copytree(PROJECT, project)  # building leaves folders beside the source
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, *options, str(project)], check=True, timeout=120)
    return target


@pytest.fixture
def here(distribution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory in which the distribution can be imported."""
    monkeypatch.syspath_prepend(str(distribution))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(distribution), str(REPOSITORY)]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def metrics(run: str) -> dict[str, float]:
    return json.loads((Path(run) / "metrics.json").read_text())


def test_list_has_one_line_for_every_task_even_a_broken_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    listed = dict(line for line in lines if len(line) == 2)
    assert listed["tiny"] == "Estimates pi by throwing darts."
    assert listed["slow"] == "Waits to be interrupted."
    assert "no_such_package" in listed["broken"]
    assert "RuntimeError" in listed["crash"]
    assert "no class with a method 'run'" in listed["notask"]


def test_empty_list_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tasks.command.installed_tasks", dict)
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "none." in shown
    assert "CONTRIBUTING.md" in shown
    with pytest.raises(UserError, match="Installed: none"):
        main(["tiny"])


def test_two_tasks_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint("dice", f"{package}:Dice", GROUP) for package in ("ours", "theirs")]
    monkeypatch.setattr("tasks.plugins.entry_points", lambda group: entries)
    with pytest.raises(UserError, match=r"'dice', ours:Dice and theirs:Dice"):
        installed_tasks()


def test_a_run_end_to_end_imports_neither_torch_nor_lightning(here: Path) -> None:
    program = (
        "import sys, cli; code = cli.main(['task', 'tiny', '--darts', '1000', '--run_dir', 'out']);"
        "heavy = {'torch', 'pytorch_lightning', 'lightning', 'torchmetrics'} & set(sys.modules);"
        "sys.exit(code or str(heavy) * bool(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "tiny/pi" in done.stdout
    assert "out" in done.stdout
    written = {str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file()}
    events = {name for name in written if name.startswith("events.out.tfevents")}
    assert len(events) == 1
    expected = {"config.yaml", "provenance.json", "metrics.json", "throws.csv", "images/board.png"}
    assert written - events == expected
    assert metrics("out")["tiny/pi"] == pytest.approx(np.pi, abs=4 * 1.64 / 1000**0.5)  # 4 σ


def test_every_module_of_the_package_does_without_lightning() -> None:
    program = (
        "import importlib, pkgutil, sys, tasks\n"
        "for module in pkgutil.walk_packages(tasks.__path__, 'tasks.'):\n"
        "    importlib.import_module(module.name)\n"
        "sys.exit(' '.join(m for m in sys.modules if m.split('.')[0].endswith('lightning')) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_was_recorded_can_be_read_back(here: Path) -> None:
    assert main(["tiny", "--run_dir", "out"]) == 0
    with Path("out/throws.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert metrics("out")["tiny/pi"] == pytest.approx(4 * int(rows[0]["count"]) / 400, rel=1e-6)
    assert rows[1] == {"what": "a, b", "count": "0"}

    events = EventAccumulator("out", size_guidance={"images": 0, "scalars": 0}).Reload()
    assert [point.step for point in events.Scalars("tiny/running")] == [100, 200, 300, 400]
    (final,) = events.Scalars("tiny/pi")
    assert (final.step, final.value) == (400, pytest.approx(metrics("out")["tiny/pi"]))
    (picture,) = events.Images("images/board")
    with Image.open("out/images/board.png") as png:
        assert (picture.width, picture.height) == png.size


def test_config_given_back_repeats_the_run_and_what_is_typed_wins(here: Path) -> None:
    typed = ["--darts", "200", "--seed", "7", "--unit.scale", "2.5"]
    assert main(["tiny", *typed, "--run_dir", "first"]) == 0
    assert main(["tiny", "--run_dir", "again", "--config", "first/config.yaml"]) == 0
    assert metrics("again") == metrics("first")
    assert metrics("again")["tiny/metres"] == 2.5
    assert Path("again/config.yaml").read_text() == Path("first/config.yaml").read_text()

    main(["tiny", "--unit.scale", "3", "--config", "first/config.yaml", "--run_dir", "third"])
    assert metrics("third") == metrics("first") | {"tiny/metres": 3.0}
    main(["tiny", "--config", "first/config.yaml", "--seed", "8", "--run_dir", "fourth"])
    assert metrics("fourth")["tiny/pi"] != metrics("first")["tiny/pi"]


def test_default_run_directories_are_numbered_and_typed_ones_never_overwritten(here: Path) -> None:
    assert main(["tiny"]) == main(["tiny", "--seed", "1"]) == 0
    assert {path.name for path in Path("runs").iterdir()} == {"tiny", "tiny-2"}
    before = {path: path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"runs/tiny exists.*--run_dir"):
        main(["tiny", "--run_dir", "runs/tiny"])
    after = {path: path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()}
    assert after == before


def test_two_tasks_started_at_once_get_different_directories(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory that was free when it was chosen is taken when it is claimed."""
    late = iter([RunDirectory(Path("runs/tiny")), RunDirectory(Path("runs/tiny-2"))])
    monkeypatch.setattr("tasks.command.first_free", lambda _: next(late))
    Path("runs/tiny").mkdir(parents=True)
    Path("runs/tiny/config.yaml").write_text("another task's")
    assert main(["tiny"]) == 0
    assert Path("runs/tiny/config.yaml").read_text() == "another task's"
    assert "tiny/pi" in metrics("runs/tiny-2")


def test_help_shows_the_options_of_the_constructor(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["tiny", "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "--darts DARTS" in shown
    assert "How many are thrown." in shown
    assert "default: 400" in shown
    assert "--seed" in shown
    assert "runs/tiny" in shown


def test_a_parameter_named_like_a_common_option_is_a_defect_of_the_task(here: Path) -> None:
    with pytest.raises(UserError, match="'seed', which is an option of every task: rename it"):
        main(["greedy"])


def stopped(*typed: str, by: signal.Signals, deaf: bool = False) -> tuple[int, str]:
    """Starts a task in a process of its own and stops it.

    Args:
        typed: The command line.
        by: The signal.
        deaf: Whether the process ignores SIGINT from its start, as one in the background of a
            script does. Set here, so that it does not matter how the suite was started.

    Returns:
        The exit code and what was said on standard error.
    """
    action = "SIG_IGN" if deaf else "default_int_handler"
    program = (
        f"import signal, sys; signal.signal(signal.SIGINT, signal.{action});"
        "import tasks.command; sys.exit(tasks.command.main(sys.argv[1:]))"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", program, *typed],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    while "waiting" not in started.stdout.readline():
        assert started.poll() is None
    if deaf:
        started.send_signal(signal.SIGINT)
    started.send_signal(by)
    _, errors = started.communicate(timeout=30)
    return started.returncode, errors


@pytest.mark.parametrize(
    ("by", "deaf", "code"),
    [
        (signal.SIGINT, False, 130),
        (signal.SIGTERM, False, 143),
        (signal.SIGTERM, True, 143),
    ],
)
@pytest.mark.parametrize("write", [False, True])
def test_a_stopped_task_keeps_what_was_written_and_nothing_else(
    here: Path, write: bool, by: signal.Signals, deaf: bool, code: int
) -> None:
    returned, errors = stopped("slow", f"--write={write}", by=by, deaf=deaf)
    assert returned == code
    assert [line.split()[0] for line in errors.strip().splitlines()] == ["stopped;"]
    assert Path("runs").exists() == write
    if write:
        events = EventAccumulator("runs/slow").Reload()
        assert events.Scalars("slow/x")[0].value == 1.0
        assert Path("runs/slow/config.yaml").exists()


def test_streams_of_a_context_depend_on_seed_and_purpose_alone(tmp_path: Path) -> None:
    def draw(seed: int, *purpose: int | str) -> float:
        return TaskContext(seed, RunDirectory(tmp_path)).generator(*purpose).uniform()

    assert draw(0, "chain", 1) == draw(0, "chain", 1)
    assert len({draw(0, "chain", 1), draw(0, "chain", 2), draw(1, "chain", 1), draw(0)}) == 4
    assert not list(tmp_path.iterdir())


def test_a_table_of_unequal_columns_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    result = TaskResult(
        metrics={"x": 1.0},
        tables={"good": {"a": [1]}, "bad": {"a": [1, 2], "b": [1]}},
        figures={"f": new_figure(1, 1)},
    )
    context = TaskContext(0, RunDirectory(tmp_path))
    with closing(context), pytest.raises(ValueError, match="columns differ in length: a 2, b 1"):
        write_result("t", result, context)
    assert not list(tmp_path.iterdir())


def test_an_empty_table_keeps_its_header_and_an_infinite_metric_is_null(tmp_path: Path) -> None:
    result = TaskResult(metrics={"x": float("inf")}, tables={"none": {"team": [], "mean": []}})
    with closing(TaskContext(0, RunDirectory(tmp_path))) as context:
        write_result("t", result, context)
    assert (tmp_path / "none.csv").read_text() == "team,mean\n"
    assert metrics(str(tmp_path)) == {"t/x": None}


class Positive:
    def __init__(self, x: int = 1):
        if x < 1:
            raise UserError(f"x must be at least 1, got {x}.")


class WithAnOptionThatMayBeNone:
    """A task."""

    def __init__(self, choice: Positive | None = None):
        self.choice = choice

    def run(self, context):
        return TaskResult()


def test_a_mistake_inside_an_optional_object_is_still_its_own_line():
    options = [f"--choice={__name__}.Positive", "--choice.x=0"]
    with pytest.raises(UserError, match=r"^x must be at least 1, got 0\.$"):
        _run("optional", WithAnOptionThatMayBeNone, options)
