"""The command from its options to its run directory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

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


def test_help_waits_for_nothing_heavy():
    program = (
        "import sys, cli\n"
        "try: cli.main(['task', 'cavi', '--help'])\n"
        "except SystemExit: assert not {'scipy', 'matplotlib', 'numba', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
