"""``elbolab.load``: every family and every task in a few lines, and its figures checked."""

import ast
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY_RUNS

import cli
import elbolab

TASKS = [name for name, command in TINY_RUNS.items() if command[0] == "task"]
VAES = ["vae", "gaussian", "categorical", "exponential", "learned_prior", "iwae"]
IMAGE_MODELS = [*VAES, "nice", "latent", "conditional"]


def test_images(run):
    """All test images of a run, as the command tests them."""
    return np.concatenate([batch[0].numpy() for batch in run.data.test_dataloader()])


test_images.__test__ = False


def everything(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("name", VAES)
def test_a_vae_and_its_own_figures(tiny_runs, name):
    run = elbolab.load(tiny_runs[name])
    images, before = test_images(run), everything(run.path)
    metrics = run.test()
    elbo = run.elbo(images, batch_size=7)
    assert elbo.dtype == np.float64
    assert elbo.mean() == pytest.approx(metrics["test/elbo"], rel=1e-6)
    assert elbo.std() / np.sqrt(60) == pytest.approx(metrics["test/elbo_standard_error"], rel=1e-4)
    if "test/nll" in metrics:
        likelihood = run.log_likelihood(images)
    else:
        with pytest.warns(UserWarning, match="nll_unnormalised"):
            likelihood = run.log_likelihood(images)
    nll = metrics.get("test/nll", metrics.get("test/nll_unnormalised"))
    assert likelihood.mean() == pytest.approx(-nll, rel=1e-6)
    assert run.reconstruct(images).shape == images.shape
    assert everything(run.path) == before


def test_nice_is_exact(tiny_runs):
    run = elbolab.load(tiny_runs["nice"])
    images = test_images(run)
    likelihood = run.log_likelihood(images, batch_size=11)
    assert likelihood.mean() == pytest.approx(run.test()["test/log_likelihood"], rel=1e-6)
    y = torch.from_numpy(images[:1]) * 255 / 256
    log_det = run.model(y)[1].detach()
    jacobian = torch.autograd.functional.jacobian(lambda v: run.model(v)[0], y).reshape(784, 784)
    assert float(log_det) == pytest.approx(float(torch.linalg.slogdet(jacobian)[1]), abs=1e-2)


def test_a_score_model_of_points(tiny_runs):
    run = elbolab.load(tiny_runs["spiral"])
    points = test_images(run)
    log_prob = run.log_prob(points, batch_size=9)
    assert log_prob.mean() == pytest.approx(run.test()["test/log_prob"], rel=1e-5)
    assert run.sample(8).shape == (8, 2)
    assert run.log_prob([0.5, 0.5]).shape == (1,)


def test_a_conditional_model_is_asked_for_labels(tiny_runs):
    run = elbolab.load(tiny_runs["conditional"])
    sevens = run.sample(6, y=7, guidance=2)
    assert sevens.shape == (6, 1, 28, 28)
    np.testing.assert_array_equal(sevens, run.sample(6, y=[7] * 6, guidance=2))
    assert not np.array_equal(sevens, run.sample(6, y=3, guidance=2))
    assert run.log_prob(np.zeros((3, 4))).shape == (3,)


def test_a_classifier_has_its_model_data_and_test(tiny_runs):
    run = elbolab.load(tiny_runs["classifier"])
    x, y = next(iter(run.data.test_dataloader()))
    assert run.model(x).shape == (len(y), 10)
    assert 0 <= run.test()["test/accuracy"] <= 1


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_samples_are_those_of_predict(tiny_runs, tmp_path, name):
    run = elbolab.load(tiny_runs[name])
    samples = run.sample(5, seed=3)
    assert samples.dtype == np.float32
    assert samples.shape == (5, 1, 28, 28)
    assert 0 <= samples.min() <= samples.max() <= 1
    if name == "vae":
        copy = tiny_runs.copy(name, tmp_path / name)
        typed = ["predict", "--run_dir", str(copy), "--num_samples", "5", "--seed_everything", "3"]
        assert cli.main(typed) == 0
        np.testing.assert_array_equal(samples, np.load(copy / "predictions/samples.npy"))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_figures_tables_and_pictures(tiny_runs, name):
    run = elbolab.load(tiny_runs[name])
    assert run.config
    assert run.metrics
    assert all(tag.startswith(f"{name}/") for tag in run.metrics)
    for table in run.tables.values():
        assert len({len(column) for column in table.values()}) == 1
    if name == "qwop":
        assert run.tables["optimisers"]["max"].max() == run.metrics["qwop/distance"]
    assert run.curves.keys() >= run.metrics.keys()
    assert all(path.exists() for path in run.pictures.values())


def test_curves_end_where_the_figures_do(tiny_runs):
    run = elbolab.load(tiny_runs["vae"])
    steps, values = run.curves["val/elbo"]
    assert steps.tolist() == [2]
    assert values[-1] == pytest.approx(run.metrics["val/elbo"], rel=1e-6)
    assert run.config["model"]["init_args"]["latent_dim"] == 4


def test_pictures_show_themselves(tiny_runs):
    pictures = elbolab.load(tiny_runs["vae"]).pictures
    assert pictures.show("samples").size[0] > 100
    assert pictures._repr_html_().count("data:image/png;base64,") == len(pictures)
    with pytest.raises(elbolab.errors.UserError, match="Did you mean 'samples'"):
        pictures.show("sampels")
    assert "val/elbo" in elbolab.load(tiny_runs["vae"])._repr_html_()


def test_differences_of_two_models_on_the_same_images(tiny_runs):
    a, b = (elbolab.load(tiny_runs[name]) for name in ("gaussian", "learned_prior"))
    images = test_images(a)
    gap = b.elbo(images) - a.elbo(images)
    assert gap.mean() == pytest.approx(b.test()["test/elbo"] - a.test()["test/elbo"], rel=1e-5)
    table = elbolab.compare([a.path, b.path], metrics=["val/elbo"], reference=a.path)
    expected = b.metrics["val/elbo"] - a.metrics["val/elbo"]
    assert table["difference/val/elbo"][1] == pytest.approx(expected)


def test_a_moved_run_and_a_checkpoint_alone_are_the_same_model(tiny_runs, tmp_path):
    run = elbolab.load(tiny_runs["conditional"])
    images = run.sample(4, y=1)
    moved = elbolab.load(tiny_runs.copy("conditional", tmp_path / "elsewhere"))
    np.testing.assert_array_equal(images, moved.sample(4, y=1))
    alone = (moved.path / "checkpoints/last.ckpt").rename(tmp_path / "alone.ckpt")
    np.testing.assert_array_equal(images, elbolab.load(alone).sample(4, y=1))
    inside = elbolab.load(moved.path / "checkpoints/best.ckpt")
    assert inside.config == run.config
    assert elbolab.load(alone).metrics == {}


def test_asking_changes_no_state_of_the_process(tiny_runs):
    run = elbolab.load(tiny_runs["vae"])
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    run.test()
    run.sample(3)
    run.elbo(np.zeros((2, 28, 28)))
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_one_test_leaves_arithmetic_as_it_was(tiny_runs):
    run = elbolab.load(tiny_runs["classifier"])
    smallest = torch.full((1,), torch.finfo(torch.float32).tiny)
    for flushed in (False, True):
        torch.set_flush_denormal(flushed)
        run.test()
        assert bool((smallest / 2).any()) != flushed


def test_type_checkers_know_the_names():
    stub = ast.parse((ROOT / "elbolab/__init__.pyi").read_text())
    homes = {
        alias.asname: node.module
        for node in ast.walk(stub)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == elbolab.HOMES
    assert {*homes} <= {*dir(elbolab)}
    with pytest.raises(AttributeError, match="no attribute 'Loader'"):
        elbolab.Loader  # noqa: B018


def test_options_of_a_test_may_be_others(tiny_runs):
    run = elbolab.load(tiny_runs["gaussian"], checkpoint="last")
    small = run.test(data={"eval_batch_size": 7}, seed_everything=5)
    assert small["test/elbo"] == pytest.approx(run.test()["test/elbo"], rel=1e-6)
    fewer = elbolab.load(tiny_runs["gaussian"], data={"test_size": 20})
    assert len(test_images(fewer)) == 20
    assert fewer.test()["test/elbo"] == pytest.approx(fewer.elbo(test_images(fewer)).mean())


def test_importing_and_looking_cost_no_torch(tiny_runs):
    looks = "run.config, run.metrics, run.tables, run.curves, run.pictures, run.provenance"
    program = "\n".join(
        [
            "import sys, elbolab",
            "assert not {'torch', 'numpy', 'yaml'} & set(sys.modules)",
            f"run = elbolab.load({str(tiny_runs['game'])!r})",
            looks,
            "assert 'torch' not in sys.modules",
        ]
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.filterwarnings("ignore:BernoulliLikelihood")  # the page is about binary images
def test_the_page_about_runs_works(tiny_runs, tmp_path, monkeypatch):
    page = (ROOT / "docs/runs.md").read_text()
    section = page.partition("## In Python")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.+?)```", section, re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "runs").mkdir()
    names = {"vae": "vae", "conditional_score": "conditional", "spiral_score": "spiral"}
    for shown, name in {**names, "game": "game"}.items():
        (tmp_path / "runs" / shown).symlink_to(tiny_runs[name])
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(block, {})
