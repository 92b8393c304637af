"""Runs side by side: tables, differences with their errors, pictures."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import yaml
from conftest import ROOT
from PIL import Image
from scipy import stats

import cli
from elbolab.comparison import Comparison, Estimate, compare


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs on the same 500 examples, the second with them in another order; one task."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    shared = noise.normal(-100, 30, 500)
    for name, dim, gain in (("a", 2, 0.0), ("b", 5, 1.0), ("c", 20, 3.0)):
        elbo = shared + gain + noise.normal(0, 2, 500)
        order = noise.permutation(500)
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        model = {"class_path": "lightning_modules.vae.VAE", "init_args": {"latent_dim": dim}}
        (run / "config.yaml").write_text(yaml.safe_dump({"model": model, "seed_everything": 0}))
        metrics = {"test/elbo": elbo.mean(), "test/elbo_standard_error": stats.sem(elbo)}
        metrics |= {"test/kl": 20.0 + dim, "val/elbo": 0.0}
        (run / "metrics.json").write_text(json.dumps(metrics))
        np.savez(run / "test_examples.npz", example=np.arange(500)[order], elbo=elbo[order])
    game = tmp_path / "runs" / "game"
    game.mkdir()
    (game / "config.yaml").write_text("payoffs: rock\n")
    (game / "metrics.json").write_text('{"game/value": 0.0, "game/gap": null}')
    return tmp_path / "runs"


def values(run):
    with np.load(run / "test_examples.npz") as file:
        return file["elbo"][np.argsort(file["example"])]


def test_columns_hold_figures_errors_and_what_differs(runs):
    table = compare([runs / "a", runs / "b"])
    assert table["run"] == [str(runs / "a"), str(runs / "b")]
    assert table["latent_dim"] == ["2", "5"]
    assert "seed_everything" not in table
    assert table["test/kl"] == [22.0, 25.0]
    assert table["test/elbo"] == [pytest.approx(values(runs / n).mean()) for n in "ab"]
    assert table["test/elbo_standard_error"] == [
        pytest.approx(stats.sem(values(runs / n))) for n in "ab"
    ]
    assert "val/elbo" not in table


def test_differences_are_paired_over_the_same_examples(runs):
    comparison = Comparison([runs / n for n in "abc"], reference=runs / "a")
    column = comparison.differences["test/elbo"]
    assert math.isnan(column[0].value)
    for estimate, name in zip(column[1:], "bc", strict=True):
        gap = values(runs / name) - values(runs / "a")
        assert estimate.paired
        assert estimate.value == pytest.approx(gap.mean(), rel=1e-12)
        assert estimate.error == pytest.approx(stats.sem(gap), rel=1e-12)
        assert estimate.error < 0.1 * stats.sem(values(runs / name))
    assert not comparison.differences["test/kl"][1].paired


@pytest.mark.parametrize("spoil", ["missing", "other", "fewer"])
def test_differences_of_other_examples_are_not_paired(runs, spoil):
    path = runs / "b" / "test_examples.npz"
    if spoil == "missing":
        path.unlink()
    else:
        kept = slice(0, 400) if spoil == "fewer" else slice(None)
        shift = 1 if spoil == "other" else 0
        np.savez(path, example=np.arange(500)[kept] + shift, elbo=np.zeros(500)[kept])
    (estimate,) = Comparison([runs / "a", runs / "b"], reference="a").differences["test/elbo"][1:]
    theirs = json.loads((runs / "b/metrics.json").read_text())["test/elbo_standard_error"]
    errors = stats.sem(values(runs / "a")), theirs
    assert not estimate.paired
    assert estimate.error == pytest.approx(math.hypot(*errors))


def test_runs_are_sorted_and_figures_chosen(runs):
    table = compare([runs / n for n in "abc"], metrics=["test/k*"], sort="test/kl")
    assert table["test/kl"] == [40.0, 25.0, 22.0]
    assert "test/elbo" not in table
    assert compare([runs / n for n in "cab"], sort="-test/kl")["test/kl"] == [22.0, 25.0, 40.0]


def test_a_task_has_its_own_figures(runs):
    table = compare([runs / "game"])
    assert table["game/value"] == [0.0]
    assert math.isnan(table["game/gap"][0])


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-99.487, 0.3012, "-99.49 ± 0.30"),
        (-99.487, 12.4, "-99 ± 12"),
        (0.5, 0.00012, "0.50000 ± 0.00012"),
        (3.0, math.nan, "3"),
        (math.nan, math.nan, ""),
    ],
)
def test_figures_are_shown_to_two_digits_of_their_error(value, error, text):
    assert str(Estimate(value, error)) == text


FORMATS = {
    "text": "test/elbo",
    "csv": "run,latent_dim,test/elbo,test/elbo_standard_error,test/kl",
    "markdown": "| run | latent_dim | test/elbo | test/kl |",
    "latex": r"run & latent\_dim & test/elbo & test/kl \\",
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_written(runs, capsys, kind):
    assert cli.main(["compare", "runs/a", "runs/b", "--format", kind]) == 0
    shown = capsys.readouterr().out
    assert FORMATS[kind] in shown
    assert len(shown.splitlines()) >= 3
    assert cli.main(["compare", "runs/a", "--format", kind, "--output", "table"]) == 0
    assert (runs.parent / "table").read_text()


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_a_picture_is_drawn(runs, ending):
    name = f"out.{ending}"
    assert cli.main(["compare", "runs/a", "runs/b", "runs/c", "--plot", name]) == 0
    if ending == "png":
        assert min(Image.open(runs.parent / name).size) > 150
    assert (runs.parent / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ([], "no runs to compare"),
        (["runs/a", "runs/none"], "no run in runs/none"),
        (["runs/a", "--metrics", "tset/*"], "no run has a figure tset/*"),
        (["runs/a", "--sort", "test/elbow"], "Did you mean 'test/elbo'?"),
        (["runs/a", "--differences", "runs/b"], "runs/b is not among the runs"),
        (["runs/a", "--format", "word"], "must be one of 'text'"),
        (["runs/a", "--plot", "a.docx"], "pictures end in one of"),
        (["runs/a", "--sorted", "x"], "unknown option --sorted. Did you mean '--sort'?"),
    ],
)
def test_mistakes_are_one_line(runs, capsys, typed, message):
    assert cli.main(["compare", *typed]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["config.yaml", "metrics.json", "test_examples.npz"])
def test_a_damaged_file_is_named(runs, capsys, damage):
    (runs / "b" / damage).write_bytes(b"{[")
    assert cli.main(["compare", "runs/a", "runs/b", "--differences", "runs/a"]) == 2
    error = capsys.readouterr().err
    assert damage in error
    assert len(error.splitlines()) == 1


def test_comparing_needs_no_torch():
    program = "import sys, elbolab.compare_command; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
