"""The command from its options to its run directory."""

import json
import math
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

from tasks.game.dynamics import DescentAscent, Extragradient, MultiplicativeWeights

GRADIENTS = [DescentAscent, Extragradient, MultiplicativeWeights]

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


def test_one_kind_of_dynamics_may_be_compared_with_itself(run_task):
    """Two rates: both stand in the table, the second with a number."""
    kinds = "[DescentAscent, {class_path: DescentAscent, init_args: {rate: 0.5}}]"
    out, metrics = run_task("game", "--dynamics", kinds, "--steps", 9)
    one, two = metrics["exploitability/DescentAscent"], metrics["exploitability/DescentAscent_2"]
    assert one != two
    last = run_task.rows(out / "exploitability.csv")[-1]
    assert (float(last["DescentAscent"]), float(last["DescentAscent_2"])) == (one, two)


def test_any_printable_name_can_be_drawn(run_task):
    names = [r"$\frac{a}$", "_", "long " * 100]
    Path("m.json").write_text(json.dumps({"payoffs": [[1, 2, 3]] * 3, "rows": names}))
    out, _ = run_task("game", "--payoffs", "m.json", "--steps", 3, drawn=True)
    assert (out / "images/simplex_row.png").exists()


@pytest.mark.parametrize("payoffs", ["1e99,-1e99\n-1e99,1e99", "1e-99,0\n0,1e-99", "1e16,1e16"])
def test_extreme_payoffs_give_finite_figures(run_task, payoffs):
    Path("m.csv").write_text(payoffs)
    rates = [f"{{class_path: {kind.__name__}, init_args: {{rate: 1e6}}}}" for kind in GRADIENTS]
    kinds = f"[FictitiousPlay, {', '.join(rates)}]"
    _, metrics = run_task("game", "--payoffs", "m.csv", "--dynamics", kinds, "--steps", 30)
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["unique"] == ("16" not in payoffs)
