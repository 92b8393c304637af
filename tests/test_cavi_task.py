"""The command from its options to its run directory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import cli

CONFIGS = sorted((ROOT / "configs/tasks").glob("cavi*.yaml"))
COLUMNS = ("--position", "[long, lat]", "--strength", "stations")
QUAKES = ("--data", "quakes.csv", *COLUMNS)
HEADER = "id,lat,long,stations\n"


@pytest.fixture(autouse=True)
def quakes(run_task):
    """A file of two clear clusters of 60 events each, in the working directory."""
    generator = np.random.default_rng(0)
    lines = []
    for i in range(120):
        far = i % 2
        lat, long = generator.normal([-20 + 10 * far, 180 - 15 * far], 1)
        lines.append(f"{i},{lat:.3f},{long:.3f},{generator.poisson(20 + 40 * far)}\n")
    Path("quakes.csv").write_text(HEADER + "".join(lines))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs_and_draws(run_task, config):
    out, metrics = run_task("cavi", "--config", config, "--restarts", "3", drawn=True)
    pictures = {path.stem for path in (out / "images").glob("*.png")}
    wanted = {"elbo", "events", "graphical_model", "predictive", "restarts"}
    extra = {"components"} if "fiji" in config.stem else {"recovery"}
    assert pictures == wanted | extra
    for path in (out / "images").glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 300
    assert metrics["converged"] == 3


def test_best_restart_is_what_is_reported(run_task):
    out, metrics = run_task("cavi", *QUAKES, "--components", "3", "--trace", "updates")
    restarts = [float(row["elbo"]) for row in run_task.rows(out / "restarts.csv")]
    assert metrics["elbo"] == max(restarts)
    assert metrics["elbo_min"] == min(restarts)
    assert metrics["elbo_mean"] == pytest.approx(np.mean(restarts))
    trace = run_task.rows(out / "elbo.csv")
    assert {row["update"] for row in trace} == {"z", "mu", "lambda", "pi", "all"}
    for restart in range(1, 11):
        values = [float(row["elbo"]) for row in trace if int(row["restart"]) == restart]
        assert (np.diff(values) >= -1e-12 * abs(values[0])).all()


def test_number_of_components_is_chosen_by_the_elbo(run_task):
    out, metrics = run_task("cavi", *QUAKES, "--components", "[1, 2, 3]", "--rho", "0.01")
    assert metrics["components"] == 2
    table = {
        int(row["components"]): float(row["elbo"]) for row in run_task.rows(out / "components.csv")
    }
    assert max(table, key=table.get) == 2
    assert metrics["elbo"] == table[2]
    _, alone = run_task("cavi", *QUAKES, "--components", "2", "--rho", "0.01")
    assert alone["elbo"] == pytest.approx(metrics["elbo"], rel=1e-12)


def test_default_recovers_what_was_simulated(run_task):
    """Seed 0; errors of means of 250 events, four standard errors."""
    out, metrics = run_task("cavi", "--alpha", "10")
    assert metrics["recovery/accuracy"] > 0.95
    for row in run_task.rows(out / "recovery.csv"):
        std = float(row["position_std"])
        for name in ("x1", "x2"):
            assert abs(float(row[name]) - float(row[f"true {name}"])) < 4 * std
        rate = float(row["true strength"])
        assert abs(float(row["strength"]) - rate) < 4 * np.sqrt(rate / 200)


def test_log_normal_distances_differ_from_normal_logarithms_by_the_jacobian(run_task):
    generator = np.random.default_rng(1)
    radius, count = np.exp(generator.normal(3, 1, 50)), generator.poisson(5, 50)
    lines = (f"{r},{np.log(r)},{s}\n" for r, s in zip(radius, count, strict=True))
    Path("r.csv").write_text("R,x,S\n" + "".join(lines))
    common = ("--data", "r.csv", "--strength", "S", "--components", "2")
    _, log = run_task("cavi", *common, "--position", "[R]", "--density", "log-normal")
    _, plain = run_task("cavi", *common, "--position", "[x]")
    assert log["elbo"] == pytest.approx(plain["elbo"] - np.log(radius).sum(), rel=1e-9)


def test_learned_weights_are_the_shares_of_events(run_task):
    out, _ = run_task("cavi", *QUAKES, "--components", "2", "--weights", "learn")
    assert [float(row["weight"]) for row in run_task.rows(out / "epicentres.csv")] == pytest.approx(
        [61 / 122, 61 / 122], abs=1e-6
    )


def test_given_weights_and_prior_mean_are_used(run_task):
    _, one = run_task("cavi", *QUAKES, "--components", "2", "--weights", "[0.9, 0.1]")
    _, two = run_task("cavi", *QUAKES, "--components", "2")
    assert two["elbo"] - one["elbo"] == pytest.approx(-60 * np.log(0.9 * 0.1 / 0.25), abs=1e-3)
    _, far = run_task("cavi", *QUAKES, "--components", "2", "--nu", "[0, 0]")
    assert far["elbo"] < two["elbo"]


@pytest.mark.parametrize("algorithm", ["FullPass", "Streaming", "Stochastic"])
def test_every_algorithm_finds_the_two_clusters(run_task, algorithm):
    few = {"Streaming": ("--algorithm.chunk", "7"), "Stochastic": ("--algorithm.batch", "20")}
    options = (*QUAKES, "--components", "2", "--algorithm", algorithm, *few.get(algorithm, ()))
    _, metrics = run_task("cavi", *options)
    _, full = run_task("cavi", *QUAKES, "--components", "2")
    close = {"rel": 1e-10} if algorithm == "Streaming" else {"abs": 2.0}
    assert metrics["elbo"] == pytest.approx(full["elbo"], **close)


def test_new_events_are_assigned_to_where_they_lie(run_task):
    Path("new.csv").write_text(HEADER + "1,-20,180,21\n2,-10,165,58\n")
    out, metrics = run_task("cavi", *QUAKES, "--components", "2", "--assign", "new.csv")
    table = run_task.rows(out / "assignments.csv")
    assert {row["component"] for row in table} == {"1", "2"}
    for row in table:
        assert max(float(row["p1"]), float(row["p2"])) > 0.999
        assert float(row["p1"]) + float(row["p2"]) == pytest.approx(1)
    densities = [float(row["log_density"]) for row in table]
    assert metrics["assigned_log_density"] == pytest.approx(np.mean(densities))


def test_same_seed_same_result_whatever_the_threads(run_task, monkeypatch):
    many = ("--simulation.events", "40000", "--restarts", "2", "--components", "3")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    one = run_task("cavi", *many)[1]
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert run_task("cavi", *many)[1] == one != run_task("cavi", *many, "--seed", "1")[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "none.csv", *COLUMNS], "cannot read none.csv: No such file"),
        (["--data", ".", *COLUMNS], "cannot read ."),
        (["--data", "quakes.csv"], "position and strength must name columns"),
        ([*QUAKES[:2], "--position", "[long, latt]", *COLUMNS[2:]], "Did you mean 'lat'?"),
        ([*QUAKES[:2], *COLUMNS[:2], "--strength", "station"], "Did you mean 'stations'?"),
        ([*QUAKES[:2], "--position", "[lat, lat]", *COLUMNS[2:]], "name a column twice"),
        (["--data", "negative.csv", *COLUMNS], "line 3: stations must be a count 0, 1, 2, …, got"),
        (
            ["--data", "half.csv", *COLUMNS],
            "line 2: stations must be a count 0, 1, 2, …, got '3.5'",
        ),
        (["--data", "nan.csv", *COLUMNS], "line 2: lat must be a finite number, got 'nan'"),
        (["--data", "short.csv", *COLUMNS], "line 2: stations must be a finite number, got ''"),
        (["--data", "word.csv", *COLUMNS], "line 2: long must be a finite number, got 'east'"),
        (["--data", "empty.csv", *COLUMNS], "empty.csv has no events"),
        (
            [*QUAKES[:2], "--position", "[lat]", *COLUMNS[2:], "--density", "log-normal"],
            "a positive",
        ),
        ([*QUAKES, "--assign", "half.csv"], "half.csv, line 2: stations must be a count"),
        ([*QUAKES, "--components", "121"], "121 components need as many events, and there are 120"),
        ([*QUAKES, "--nu", "[1]"], "nu must have 2 numbers, got [1"),
        (["--components", "0"], "components must be at least 1"),
        (["--components", "[]"], "components must name at least one number"),
        (["--restarts", "0"], "restarts must be at least 1"),
        (["--tau", "0"], "tau must be above 0, got 0"),
        (["--rho", "-1"], "rho must be above 0, got -1"),
        (["--alpha", ".nan"], "alpha must be above 0, got nan"),
        (["--beta", ".inf"], "beta must be finite and above 0, got inf"),
        (["--weights", "[0.5, 0.4]"], "weights must be positive and add up to 1"),
        (["--weights", "[0.5, 0.5]"], "weights has 2 numbers for [4] components"),
        (["--weights", "learn", "--concentration", "0"], "concentration must be above 0"),
        (["--position", "[a]"], "add --data FILE"),
        (["--simulation.events", "0"], "simulation.events must be at least 1"),
        (["--algorithm", "FulPass"], "Did you mean 'FullPass'?"),
        (
            ["--algorithm", "FullPass", "--algorithm.max_passes", "0"],
            "max_passes must be at least 1",
        ),
        (
            ["--algorithm", "Stochastic", "--algorithm.forgetting", "2"],
            "algorithm.forgetting must be in (0.5, 1]",
        ),
        (
            ["--algorithm", "Stochastic", "--algorithm.delay", "-1"],
            "algorithm.delay must be at least 0",
        ),
        (["--component", "3"], "unknown option --component. Did you mean '--components'?"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(options, message, capsys):
    cells = {"negative": "1,1,1,1\n2,1,1,-1", "half": "1,1,1,3.5", "nan": "1,nan,1,1"}
    cells |= {"short": "1,1,1", "word": "1,1,east,1", "empty": ""}
    for name, text in cells.items():
        Path(f"{name}.csv").write_text(f"{HEADER}{text}\n")
    assert cli.main(["task", "cavi", *options, "--run_dir", "out"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(error) == 1
    assert message in error[0]
    assert not Path("out").exists()


def test_help_waits_for_nothing_heavy():
    program = (
        "import sys, cli\n"
        "try: cli.main(['task', 'cavi', '--help'])\n"
        "except SystemExit: assert not {'scipy', 'matplotlib', 'numba', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
