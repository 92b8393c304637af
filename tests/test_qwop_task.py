"""The command from its options to its run directory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import qwop_fast
from conftest import ROOT, TaskRuns
from PIL import Image

from elbolab.errors import UserError
from tasks.command import main
from tasks.qwop.files import best_plan, read_plan
from tasks.qwop.simulator import simulate
from tasks.qwop.task import QWOP

CONFIGS = sorted((ROOT / "configs/tasks").glob("qwop*.yaml"))
SMALL = ("--budget", "130", "--seeds", "2")
ALL = "[GeneticAlgorithm, CoordinateSearch, RandomSearch, CMAES]"


@pytest.fixture
def run(run_task, monkeypatch):
    """Runs the task; neither gait nor pictures are drawn unless asked for."""

    def start(*options, drawn=False):
        if not drawn:
            monkeypatch.setattr("tasks.qwop.experiment.gait_gif", lambda points: b"")
        return run_task("qwop", *options, drawn=drawn)

    return start


rows = TaskRuns.rows


def files_of(out):
    return {path.relative_to(out) for path in out.rglob("*.*")}


def test_the_best_plan_goes_as_far_as_it_is_said_to_and_elsewhere_too():
    assert simulate(best_plan()) >= 10.4
    assert simulate(best_plan()) == pytest.approx(qwop_fast.sim(best_plan().tolist()), abs=1e-6)


def test_all_optimisers_in_one_run_leave_everything_behind(run):
    out, metrics = run("--optimiser", ALL, *SMALL, drawn=True)
    names = {"GeneticAlgorithm", "CoordinateSearch", "RandomSearch", "CMAES"}
    table = rows(out / "optimisers.csv")
    assert {row["optimiser"] for row in table} == names
    assert max(float(row["max"]) for row in table) == metrics["distance"]
    assert simulate(read_plan(str(out / "best_plan.csv"))) == metrics["distance"]
    plans = rows(out / "plans.csv")
    assert len(plans) == 20
    assert set(plans[0]) == {"segment"} | {f"{n}_{part}" for n in names for part in ("hip", "knee")}
    history = rows(out / "history.csv")
    for name in names:
        for seed in "01":
            mine = [r for r in history if r["optimiser"] == name and r["seed"] == seed]
            best = [float(row["best"]) for row in mine]
            assert best == sorted(best)
            assert int(mine[-1]["evaluations"]) <= 130
    for picture in ("learning_curves.png", "strobe.png", "gait.gif"):
        with Image.open(out / "images" / picture) as image:
            assert min(image.size) >= 240
    with Image.open(out / "images/gait.gif") as image:
        assert image.is_animated


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs(config, run):
    out, metrics = run("--config", config, *SMALL)
    assert metrics["distance"] > 0
    assert rows(out / "optimisers.csv")


@pytest.mark.parametrize("text", ["rows", "line", "headed"])
def test_a_given_plan_is_scored_and_drawn_and_nothing_is_searched(text, run):
    numbers = np.random.default_rng(0).uniform(-1.5, 1.5, 40).tolist()
    pairs = [f"{hip},{knee}" for hip, knee in zip(numbers[::2], numbers[1::2], strict=True)]
    texts = {
        "rows": "\n".join(pairs),
        "line": " ".join(map(str, numbers)),
        "headed": "\n".join(["hip,knee", *pairs]),
    }
    Path("plan.csv").write_text(texts[text])
    out, metrics = run("--plan", "plan.csv", drawn=True)
    assert metrics["distance"] == simulate(numbers)
    names = (
        "config.yaml",
        "provenance.json",
        "metrics.json",
        "plan.csv",
        "images/gait.gif",
        "images/strobe.png",
    )
    assert {path for path in files_of(out) if "tfevents" not in path.name} == set(map(Path, names))


def test_the_embedded_plan_is_called_best(run):
    assert run("--plan", "best")[1]["distance"] == simulate(best_plan())


def test_same_seed_same_result(run):
    options = ("--optimiser", "CMAES", "--budget", "130")
    one, two, other = run(*options), run(*options), run(*options, "--seed", "1")
    assert one[1] == two[1] != other[1]
    assert (one[0] / "history.csv").read_bytes() == (two[0] / "history.csv").read_bytes()


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(run, monkeypatch):
    options = ("--optimiser", ALL, *SMALL)
    whole, _ = run(*options)
    calls = []

    def stopped(plans, executor, chunk):
        from tasks.qwop.executors import evaluate_plans

        calls.append(len(plans))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate_plans(plans, executor, chunk)

    with monkeypatch.context() as patch:
        patch.setattr("tasks.qwop.experiment.evaluate_plans", stopped)
        assert main(["qwop", *options, "--run_dir", "half"]) == 130
    resumed, _ = run(*options, "--resume", "half")
    for name in ("history.csv", "plans.csv", "metrics.json"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def test_a_resumed_run_must_be_the_same_search(run):
    run("--budget", "100")
    with pytest.raises(UserError, match=r"cannot resume GeneticAlgorithm.0 .*'mutation': 0.03"):
        main(["qwop", "--optimiser.mutation", "0.1", "--resume", "out0", "--run_dir", "new"])
    assert not Path("new").exists()


def test_two_dask_workers_find_what_this_process_finds(run):
    from distributed import LocalCluster

    options = ("--optimiser", "[GeneticAlgorithm, CMAES]", *SMALL, "--chunk", "60")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = ("--executor", "dask", "--scheduler", cluster.scheduler_address)
        far, _ = run(*options, *address)
    here, _ = run(*options)
    for name in ("history.csv", "plans.csv", "metrics.json"):
        assert (far / name).read_bytes() == (here / name).read_bytes()


def test_used_as_a_library_a_wrong_value_is_a_value_error():
    with pytest.raises(UserError, match="budget must be at least 1"):
        QWOP(budget=0)


def test_help_waits_for_nothing_heavy():
    program = (
        "import sys, cli\n"
        "try: cli.main(['task', 'qwop', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'scipy', 'matplotlib', 'numba', 'gymnasium', 'cma', 'torch'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
