# ruff: noqa: N806  capitals are the symbols of the formulas
"""The command from its options to its run directory."""

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from tasks.mdp.solvers import Iterate, Solver

CONFIGS = sorted((ROOT / "configs/tasks").glob("mdp*.yaml"))
SOLVED = {"contraction", "orders", "policy", "sweeps"}
LEARNED = {"gap", "gradient_norm"}
LEARNER = ("--learner", "Reinforce", "--learner.updates", "10", "--learner.seeds", "3")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs_offline(run_task, config):
    out, metrics = run_task("mdp", "--config", config, drawn=True)
    assert (metrics["converged"], metrics["bounds_hold"]) == (1, 1)
    assert metrics["solvers_disagree"] < 1e-8
    assert metrics["gradient/disagreement"] < 1e-10
    pictures = sorted((out / "images").glob("*.png"))
    assert {picture.stem for picture in pictures} == SOLVED | LEARNED
    for picture in pictures:
        with Image.open(picture) as image:
            assert min(image.size) > 250


def test_published_sequence_stands_in_the_table(run_task):
    out, metrics = run_task("mdp", "--config", ROOT / "configs/tasks/mdp_space_exploration.yaml")
    table = run_task.rows(out / "iterates.csv")
    found = {(int(r["iteration"]), r["state"]): (float(r["value"]), r["action"]) for r in table}
    assert found[1, "FullEnergy"] == (1, "Explore")
    assert found[1, "LowEnergy"] == (1, "Conserve")
    assert found[2, "FullEnergy"] == (2.5, "Explore")
    assert found[2, "LowEnergy"] == (1.5, "Conserve")
    assert metrics["value/FullEnergy"] == pytest.approx(3.5, abs=1e-10)
    assert metrics["value/LowEnergy"] == pytest.approx(2.5, abs=1e-10)


def test_default_solves_compares_and_learns_nothing(run_task):
    out, metrics = run_task("mdp", drawn=True)
    assert {path.stem for path in (out / "images").glob("*.png")} == SOLVED
    assert [row["action"] for row in run_task.rows(out / "values.csv")] == [
        "Explore",
        "Conserve",
        "",
    ]
    assert {row["solver"] for row in run_task.rows(out / "solvers.csv")} >= {"linear programming"}
    assert len(run_task.rows(out / "orders.csv")) == 6
    assert metrics["bound"] < 1e-10


@pytest.mark.parametrize("name", ["CliffWalking-v1", "Taxi-v4"])
def test_environments_are_drawn(run_task, name):
    out, metrics = run_task("mdp", "--model", name, "--gammas", "[0.9]", drawn=True)
    assert {path.stem for path in (out / "images").glob("*.png")} == SOLVED
    assert metrics["solvers_disagree"] < 1e-8


def test_many_states_need_no_pictures_of_each(run_task):
    size = ("--garnet.states", "3000", "--garnet.branching", "3")
    solver = ("--solver", "ModifiedPolicyIteration", "--compare", "false")
    out, metrics = run_task("mdp", "--model", "garnet", *size, *solver, drawn=True)
    assert {path.stem for path in (out / "images").glob("*.png")} == {"contraction"}
    assert metrics["bound"] < 1e-9
    assert metrics["gamma"] == 0.99


def test_what_has_no_table_can_be_learned(run_task):
    out, metrics = run_task("mdp", "--model", "Blackjack-v1", "--gamma", "1", *LEARNER, drawn=True)
    assert {path.stem for path in (out / "images").glob("*.png")} == LEARNED
    assert -1 <= metrics["learner/objective"] <= 1
    assert "learner/gap" not in metrics
    assert len(run_task.rows(out / "learning.csv")) == 10


def test_gap_is_logged_for_each_update(run_task):
    out, metrics = run_task("mdp", *LEARNER, "--compare", "false")
    table = run_task.rows(out / "learning.csv")
    assert [int(row["update"]) for row in table] == list(range(11))
    assert float(table[-1]["gap"]) == pytest.approx(metrics["learner/gap"])
    assert 0 < metrics["learner/gap"] < float(table[0]["gap"])


def test_same_seed_same_result(run_task):
    options = (*LEARNER, "--compare", "false")
    (_, one), (_, two) = run_task("mdp", *options), run_task("mdp", *options)
    _, other = run_task("mdp", *options, "--seed", "1")
    assert one == two != other


def test_any_printable_name_can_be_drawn(run_task):
    name = r"$\frac{a}$ _" + "long " * 100
    table = {name: {r"$x$ and $\y$": [[1, name, 1]], "_": [[0.5, name, 2], [0.5, "$", 0]]}}
    Path("m.json").write_text(json.dumps({"transitions": table, "gamma": 0.9, "terminal": ["$"]}))
    out, metrics = run_task("mdp", "--model", "m.json", "--gammas", "[]", drawn=True)
    assert metrics["bounds_hold"] == 1
    assert (out / "images/policy.png").exists()


def test_many_actions_fit_into_a_picture(run_task):
    size = ("--garnet.states", "5", "--garnet.actions", "3000", "--garnet.branching", "2")
    out, _ = run_task("mdp", "--model", "garnet", *size, "--compare", "false", drawn=True)
    assert (out / "images/policy.png").exists()


@pytest.mark.parametrize("gamma", [0.999, 0.0, 1e-300])
def test_extreme_discounts_give_finite_figures(run_task, gamma):
    _, metrics = run_task("mdp", "--gamma", repr(gamma), "--gammas", "[]")
    assert all(math.isfinite(value) for value in metrics.values()), metrics


class HalfWay(Solver):
    """A person's own solver: steps of half the way to Tv."""

    def iterates(self, bellman, goal=0.0):
        v, policy = np.zeros(bellman.S), np.zeros(bellman.S, dtype=np.int64)
        yield Iterate(v, policy, np.inf, 0)
        for count in itertools.count(1):
            Tv, policy = np.empty_like(v), policy.copy()
            low, high = bellman.improve(v, policy, Tv)
            v = (v + Tv) / 2
            residual = (1 + bellman.gamma) / 2 * max(high, -low)
            yield Iterate(v, policy, residual, count * bellman.S)


def test_an_own_solver_is_an_option(run_task):
    own = ("--solver", f"{__name__}.HalfWay", "--solver.tolerance", "1e-6")
    _, metrics = run_task("mdp", *own)
    assert metrics["value/FullEnergy"] == pytest.approx(3.5, abs=1e-6)
    assert (metrics["converged"], metrics["bounds_hold"]) == (1, 1)


@pytest.mark.parametrize("name", ["mdp", "game"])
def test_help_waits_for_nothing_heavy(name):
    program = (
        "import sys, cli\n"
        f"try: cli.main(['task', '{name}', '--help'])\n"
        "except SystemExit: assert not {'scipy', 'numba', 'gymnasium', 'matplotlib',"
        " 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
