"""The command from its options to its run directory."""

import json
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

import cli

CONFIGS = sorted((ROOT / "configs/tasks").glob("game*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs(run_task, config):
    out, metrics = run_task("game", "--config", config, drawn=True)
    assert (metrics["unique"], metrics["value"]) == (1, pytest.approx(0, abs=1e-9))
    pictures = sorted((out / "images").glob("*.png"))
    assert [p.stem for p in pictures] == ["exploitability", "simplex_column", "simplex_row"]
    for picture in pictures:
        with Image.open(picture) as image:
            assert min(image.size) > 300
    for row in run_task.rows(out / "solution.csv"):
        assert float(row["probability"]) == float(row["lowest"]) == float(row["highest"]) == 1 / 3


def test_files_of_payoffs_are_solved(run_task):
    """Matching pennies with a bonus: x = (2/5, 3/5) and value 1/5."""
    Path("m.csv").write_text("2,-1\n-1,1\n")
    _, metrics = run_task("game", "--payoffs", "m.csv", "--steps", 5)
    assert (metrics["value"], metrics["unique"]) == (0.2, 1)


def test_names_of_actions_come_from_json(run_task):
    Path("m.json").write_text(json.dumps({"payoffs": [[1, 2, 3]], "rows": ["only"]}))
    out, metrics = run_task(
        "game", "--payoffs", "m.json", "--dynamics", "[Extragradient]", "--steps", 3
    )
    assert (metrics["value"], metrics["unique"]) == (pytest.approx(1), 1)
    assert "row,only,1.0" in (out / "solution.csv").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--payoffs", "rock-paper"], "Did you mean 'rock-paper-scissors'?"),
        (["--payoffs", "none.csv"], "cannot read none.csv"),
        (["--payoffs", "word.csv"], "word.csv: payoffs must be numbers"),
        (["--payoffs", "ragged.csv"], "as many in every row"),
        (["--payoffs", "empty.csv"], "matrix of at least one number"),
        (["--payoffs", "nan.csv"], "payoff in row 1, column 2 is nan"),
        (["--payoffs", "broken.json"], "broken.json is no JSON"),
        (["--payoffs", "key.json"], "Did you mean 'payoffs'?"),
        (["--payoffs", "names.json"], "rows must name 1 actions, got 2"),
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--start", "[[1, 0], [1, 0, 0]]"], "start of the row player must be 3 probabilities"),
        (["--start", "[[1, 0, 0], [1, 1, 0]]"], "start of the column player"),
        (
            ["--dynamics", "[{class_path: DescentAscent, init_args: {rate: 0}}]"],
            "rate must be above 0",
        ),
        (["--dynamics", "[FictitousPlay]"], "FictitousPlay"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(run_task, options, message, capsys):
    Path("word.csv").write_text("1,two\n")
    Path("ragged.csv").write_text("1,2\n3\n")
    Path("empty.csv").write_text("")
    Path("nan.csv").write_text("1,nan\n")
    Path("broken.json").write_text("[")
    Path("key.json").write_text('{"payoff": [[1]]}')
    Path("names.json").write_text('{"payoffs": [[1]], "rows": ["a", "b"]}')
    assert cli.main(["task", "game", *options, "--run_dir", "out"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(error) == 1
    assert message in error[0]
    assert not Path("out").exists()
