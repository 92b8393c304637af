"""The command from its options to its run directory."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

import cli
from tasks.command import main

CONFIGS = sorted((ROOT / "configs/tasks").glob("mdp*.yaml"))
SOLVED = {"contraction", "orders", "policy", "sweeps"}
LEARNED = {"gap", "gradient_norm"}
LEARNER = ("--learner", "Reinforce", "--learner.updates", "10", "--learner.seeds", "3")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*options, drawn=False):
    """Runs the task and returns its directory and its metrics without their prefix."""
    name = f"out{len(list(Path().glob('out*')))}"
    with pytest.MonkeyPatch.context() as patch:
        if not drawn:
            patch.setattr("elbolab.pictures.write_picture", lambda *_: None)
        assert main(["mdp", *map(str, options), "--run_dir", name]) == 0
    found = json.loads(Path(name, "metrics.json").read_text())
    return Path(name), {key.removeprefix("mdp/"): value for key, value in found.items()}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs_offline(config):
    out, metrics = run("--config", config, drawn=True)
    assert (metrics["converged"], metrics["bounds_hold"]) == (1, 1)
    assert metrics["solvers_disagree"] < 1e-8
    assert metrics["gradient/disagreement"] < 1e-10
    pictures = sorted((out / "images").glob("*.png"))
    assert {picture.stem for picture in pictures} == SOLVED | LEARNED
    for picture in pictures:
        with Image.open(picture) as image:
            assert min(image.size) > 250


def test_published_sequence_stands_in_the_table():
    out, metrics = run("--config", ROOT / "configs/tasks/mdp_space_exploration.yaml")
    table = rows(out / "iterates.csv")
    found = {(int(r["iteration"]), r["state"]): (float(r["value"]), r["action"]) for r in table}
    assert found[1, "FullEnergy"] == (1, "Explore")
    assert found[1, "LowEnergy"] == (1, "Conserve")
    assert found[2, "FullEnergy"] == (2.5, "Explore")
    assert found[2, "LowEnergy"] == (1.5, "Conserve")
    assert metrics["value/FullEnergy"] == pytest.approx(3.5, abs=1e-10)
    assert metrics["value/LowEnergy"] == pytest.approx(2.5, abs=1e-10)


def test_default_solves_compares_and_learns_nothing():
    out, metrics = run(drawn=True)
    assert {path.stem for path in (out / "images").glob("*.png")} == SOLVED
    assert [row["action"] for row in rows(out / "values.csv")] == ["Explore", "Conserve", ""]
    assert {row["solver"] for row in rows(out / "solvers.csv")} >= {"linear programming"}
    assert len(rows(out / "orders.csv")) == 6
    assert metrics["bound"] < 1e-10


@pytest.mark.parametrize("name", ["CliffWalking-v1", "Taxi-v4"])
def test_environments_are_drawn(name):
    out, metrics = run("--model", name, "--gammas", "[0.9]", drawn=True)
    assert {path.stem for path in (out / "images").glob("*.png")} == SOLVED
    assert metrics["solvers_disagree"] < 1e-8


def test_many_states_need_no_pictures_of_each():
    size = ("--garnet.states", "3000", "--garnet.branching", "3")
    solver = ("--solver", "ModifiedPolicyIteration", "--compare", "false")
    out, metrics = run("--model", "garnet", *size, *solver, drawn=True)
    assert {path.stem for path in (out / "images").glob("*.png")} == {"contraction"}
    assert metrics["bound"] < 1e-9
    assert metrics["gamma"] == 0.99


def test_what_has_no_table_can_be_learned():
    out, metrics = run("--model", "Blackjack-v1", "--gamma", "1", *LEARNER, drawn=True)
    assert {path.stem for path in (out / "images").glob("*.png")} == LEARNED
    assert -1 <= metrics["learner/objective"] <= 1
    assert "learner/gap" not in metrics
    assert len(rows(out / "learning.csv")) == 10


def test_gap_is_logged_for_each_update():
    out, metrics = run(*LEARNER, "--compare", "false")
    table = rows(out / "learning.csv")
    assert [int(row["update"]) for row in table] == list(range(11))
    assert float(table[-1]["gap"]) == pytest.approx(metrics["learner/gap"])
    assert 0 < metrics["learner/gap"] < float(table[0]["gap"])


def test_same_seed_same_result():
    options = (*LEARNER, "--compare", "false")
    assert run(*options)[1] == run(*options)[1] != run(*options, "--seed", "1")[1]


SHORT = {"transitions": {"a": {"go": [[0.5, "a", 1]]}}, "gamma": 0.5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "FrozenLke-v1"], "Did you mean 'FrozenLake-v1'?"),
        (["--model", "none.npz"], "cannot read none.npz"),
        (["--model", "short.json"], "state 'a', action 'go' must have probabilities that sum to 1"),
        (["--model", "Blackjack-v1"], "environment Blackjack-v1 has no P"),
        (["--model", "Blackjack-v1", "--learner", "ExactGradient"], "take --learner Reinforce"),
        (["--model", "CartPole-v1", "--learner", "Reinforce"], "observations must be discrete"),
        (["--gamma", "1"], "with gamma = 1 every policy must end, and from state 'FullEnergy'"),
        (["--gamma", "1.2"], "gamma must lie in [0, 1], got 1.2"),
        (["--gammas", "[0.5, 1]"], "gammas must lie in [0, 1), got 1"),
        (["--solver", "PolicyItration"], "PolicyItration"),
        (["--solver.tolerance", "0"], "solver.tolerance must be positive"),
        (["--garnet.states", "0"], "garnet.states must be at least 1"),
        ([*LEARNER, "--learner.rate", "-1"], "learner.rate must be positive"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(options, message, capsys):
    Path("short.json").write_text(json.dumps(SHORT))
    assert cli.main(["task", "mdp", *options, "--run_dir", "out"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(error) == 1
    assert message in error[0]
    assert not Path("out").exists()


@pytest.mark.parametrize("module", ["task", "game_task"])
def test_help_waits_for_no_numerical_library(module):
    program = (
        f"import sys, tasks.mdp.{module}; heavy = 'numpy scipy matplotlib numba gymnasium torch'; "
        "sys.exit(' '.join(set(heavy.split()) & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["mdp", "game"])
def test_help_waits_for_nothing_heavy(name):
    program = (
        "import sys, cli\n"
        f"try: cli.main(['task', '{name}', '--help'])\n"
        "except SystemExit: assert not {'numpy', 'scipy', 'numba', 'gymnasium', 'matplotlib',"
        " 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
