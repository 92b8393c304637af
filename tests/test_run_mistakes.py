"""What is wrong with a run, or with what is asked of it: one line each."""

import shutil

import numpy as np
import pytest
import torch
import yaml

import elbolab
from elbolab.errors import UserError

GREY = np.full((3, 28, 28), 0.5)


def refused(question):
    """The one line with which a question is refused."""
    with pytest.raises(UserError) as caught:
        question()
    line = str(caught.value)
    assert line.isprintable()
    return line


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (GREY * 255, "divide bytes by 255"),
        (-GREY, "must be in [0, 1], got values from -0.5 to -0.5"),
        (np.where(np.arange(28) == 3, np.nan, GREY), "84 values that are no finite number"),
        (GREY.astype(int), "got int64"),
        (GREY.astype(complex), "got complex128"),
        (GREY.astype(str), "got <U"),
        (GREY > 0, "got bool"),
        (np.ones((3, 28, 28), np.uint8), "binary images as floats"),
        (GREY[:, :14], "(N, 1, 28, 28) or (N, 28, 28) or one of them, got (3, 14, 28)"),
        (GREY[..., None], "Move the channels forward"),
        (GREY[:0], "no images"),
        (0.5, "got ()"),
        ([[0.1, 0.2], [0.3]], "no array"),
    ],
)
def test_images_are_checked(tiny_runs, images, words):
    run = elbolab.load(tiny_runs["vae"])
    for question in (run.elbo, run.log_likelihood, run.reconstruct):
        assert words in refused(lambda ask=question: ask(images))


def test_images_come_in_many_kinds(tiny_runs):
    run = elbolab.load(tiny_runs["gaussian"])
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (9, 1, 28, 28), dtype=np.uint8)
    expected = run.elbo(pixels)
    floats = pixels.astype(np.float32) / np.float32(255)
    others = (pixels[:, 0], floats, torch.from_numpy(floats), list(floats[:, 0]))
    for other in others:
        np.testing.assert_array_equal(run.elbo(other), expected)
    np.testing.assert_allclose(run.elbo(floats.astype(float), batch_size=2), expected, rtol=1e-5)
    np.testing.assert_allclose(run.elbo(pixels[4, 0]), expected[4:5], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "question", "words"),
    [
        ("vae", lambda run: run.log_prob(GREY), "VAE has no .log_prob: it has .sample, .recon"),
        ("nice", lambda run: run.elbo(GREY), "NICE has no .elbo: it has .sample, .log_likelihood"),
        ("nice", lambda run: run.log_likelihood(GREY, samples=9), "NICE draws nothing"),
        ("vae", lambda run: run.log_likelihood(GREY, samples=0), "samples"),
        ("vae", lambda run: run.elbo(GREY, batch_size=0), "batch_size"),
        ("spiral", lambda run: run.log_likelihood(GREY), "it has .sample, .log_prob"),
        ("spiral", lambda run: run.log_prob([[1, 2, 3]]), "(N, 2) or one of them, got (1, 3)"),
        ("spiral", lambda run: run.log_prob([[np.inf, 1]]), "1 value that is no finite number"),
        ("classifier", lambda run: run.sample(3), "has no .sample: it has only .model"),
        ("vae", lambda run: run.sample(0), "n must be"),
        ("vae", lambda run: run.sample(2, seed=-1), "seed must be"),
        ("vae", lambda run: run.sample(2, y=7), "y=7: VAE knows no labels"),
        ("conditional", lambda run: run.sample(2, guidance=2), "say which, such as y=7"),
        ("conditional", lambda run: run.sample(2, y=10), "labels must be in 0 … 9, got 10"),
        ("game", lambda run: run.model, "is a task's run, which has no .model"),
        ("game", lambda run: run.test(), "is a task's run"),
        ("game", lambda run: run.elbo(GREY), "is a task's run"),
        ("vae", lambda run: run.test(data={"batchsize": 3}), "Did you mean"),
    ],
)
def test_what_a_model_cannot_answer(tiny_runs, name, question, words):
    assert words in refused(lambda: question(elbolab.load(tiny_runs[name])))


def test_no_run(tmp_path, tiny_runs):
    assert "no run in" in refused(lambda: elbolab.load(tmp_path))
    near = tiny_runs["vae"].with_name("vea")
    assert f"Did you mean '{tiny_runs['vae']}'?" in refused(lambda: elbolab.load(near))
    wrong = {"checkpoint": "first"}
    assert "'best' or 'last'" in refused(lambda: elbolab.load(tiny_runs["vae"], **wrong))
    lost = elbolab.load(tiny_runs["vae"], device="cuda:99")
    assert "no device cuda:99" in refused(lambda: lost.model)


@pytest.fixture
def vae(tiny_runs, tmp_path):
    """A copy of a run, to be damaged."""
    return tiny_runs.copy("vae", tmp_path / "vae")


def load_model(run):
    return elbolab.load(run).model


def change(run, edit):
    """Edits a run's checkpoint."""
    path = run / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    edit(checkpoint)
    torch.save(checkpoint, path)


def test_data_that_are_gone(vae, tmp_path):
    config = yaml.safe_load((vae / "config.yaml").read_text())
    gone = {"class_path": "datamodules.mnist.MNISTDataModule", "init_args": {"root": "/gone"}}
    (vae / "config.yaml").write_text(yaml.safe_dump({**config, "data": gone}))
    run = elbolab.load(vae)
    assert run.sample(2).shape == (2, 1, 28, 28)
    line = refused(lambda: run.data)
    assert "/gone" in line
    assert "data={'root': '…'}" in line


def test_a_latent_run_whose_vae_has_moved(tiny_runs, tmp_path):
    config = yaml.safe_load((tiny_runs["latent"] / "config.yaml").read_text())
    run = tiny_runs.copy("latent", tmp_path / "latent")
    config["data"]["init_args"]["vae_run"] = "/gone"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    line = refused(lambda: elbolab.load(run).data)
    assert "run directory /gone does not exist" in line
    assert "data={'vae_run': '…'}" in line
    there = elbolab.load(run, data={"vae_run": str(tiny_runs["gaussian"])})
    assert there.data.shape == (4,)


@pytest.mark.parametrize(
    "name", ["datamodules.glyphs.GoneDataModule", "datamodules.gone.Gone", "nowhere.Gone", "Gone"]
)
def test_data_of_a_class_that_is_gone(vae, name):
    config = yaml.safe_load((vae / "config.yaml").read_text())
    config["data"]["class_path"] = name
    (vae / "config.yaml").write_text(yaml.safe_dump(config))
    assert name.rpartition(".")[2] in refused(lambda: elbolab.load(vae).data)
    assert elbolab.load(vae).model.latent_dim == 4


def test_data_of_a_class_that_has_another_name_now(vae):
    config = yaml.safe_load((vae / "config.yaml").read_text())
    config["data"]["class_path"] = "datamodules.kmnist.KMNISTDataModule"
    (vae / "config.yaml").write_text(yaml.safe_dump(config))
    assert "datamodules.mnist.KMNISTDataModule" in refused(lambda: elbolab.load(vae).data)


@pytest.mark.parametrize(
    "name", ["lightning_modules.vae.Gone", "lightning_modules.gone.VAE", "nowhere.VAE"]
)
def test_a_model_of_a_class_that_is_gone(vae, name):
    change(vae, lambda saved: saved["hyper_parameters"].update(_class_path=name))
    assert name.rpartition(".")[2] in refused(lambda: load_model(vae))


def test_nothing_is_imported_for_a_checkpoint(vae, monkeypatch):
    (vae.parent / "strange.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(vae.parent)
    foreign = {"class_path": "strange.Thing"}
    change(vae, lambda saved: saved["hyper_parameters"].update(activation=foreign))
    assert "names strange.Thing, which is no class of this" in refused(lambda: load_model(vae))


def test_a_class_of_ones_own_is_imported_where_the_configuration_names_it(vae, monkeypatch):
    (vae.parent / "of_ones_own.py").write_text(
        "from lightning_modules.vae import VAE\n\n\nclass Mine(VAE):\n    pass\n"
    )
    monkeypatch.syspath_prepend(vae.parent)
    change(vae, lambda saved: saved["hyper_parameters"].update(_class_path="of_ones_own.Mine"))
    alone = shutil.copy(vae / "checkpoints/best.ckpt", vae.parent / "alone.ckpt")
    assert "names of_ones_own.Mine" in refused(lambda: load_model(alone))
    config = yaml.safe_load((vae / "config.yaml").read_text())
    config["model"]["class_path"] = "of_ones_own.Mine"
    (vae / "config.yaml").write_text(yaml.safe_dump(config))
    assert type(load_model(vae)).__name__ == "Mine"


@pytest.mark.parametrize("config", [{"model": 3, "data": 4}, {"model": {}, "data": {}}])
def test_a_configuration_that_names_nothing(vae, config):
    (vae / "config.yaml").write_text(yaml.safe_dump(config))
    assert "names no data.class_path" in refused(lambda: elbolab.load(vae).data)
    assert load_model(vae).latent_dim == 4


def test_a_test_in_python_is_one_process(vae):
    config = yaml.safe_load((vae / "config.yaml").read_text())
    config["trainer"] |= {"devices": 2, "strategy": "ddp"}
    (vae / "config.yaml").write_text(yaml.safe_dump(config))
    run = elbolab.load(vae)
    images = np.concatenate([x.numpy() for x, _ in run.data.test_dataloader()])
    assert run.test()["test/elbo"] == pytest.approx(run.elbo(images).mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda saved: saved.pop("state_dict"), "no state_dict"),
        (lambda saved: saved["state_dict"].popitem(), "does not fit VAE as it is now"),
        (lambda saved: saved["hyper_parameters"].update(hidden=[7]), "does not fit VAE"),
        (lambda saved: saved["hyper_parameters"].update(prior={"class_path": "a.B"}), "a.B"),
        (lambda saved: saved["hyper_parameters"].pop("shape"), "shape"),
    ],
)
def test_a_checkpoint_of_an_older_version(vae, edit, words):
    change(vae, edit)
    assert words in refused(lambda: load_model(vae))


def test_a_model_that_was_fitted_in_python(vae):
    change(vae, lambda saved: saved["hyper_parameters"].pop("_class_path"))
    assert elbolab.load(vae).model.latent_dim == 4
    alone = shutil.copy(vae / "checkpoints/best.ckpt", vae.parent / "alone.ckpt")
    assert "load it with that class" in refused(lambda: elbolab.load(alone).model)
    assert "is a checkpoint alone" in refused(lambda: elbolab.load(alone).data)


def test_files_that_are_damaged(vae):
    best = vae / "checkpoints/best.ckpt"
    best.write_bytes(best.read_bytes()[:1000])
    assert "best.ckpt is damaged" in refused(lambda: load_model(vae))
    best.unlink()
    assert "checkpoint='last'" in refused(lambda: load_model(vae))
    (vae / "config.yaml").write_text("model: [")
    assert "config.yaml is damaged" in refused(lambda: elbolab.load(vae).data)
    assert elbolab.load(vae, checkpoint="last").model.latent_dim == 4
    (vae / "metrics.json").write_text("{")
    assert "metrics.json" in refused(lambda: elbolab.load(vae).metrics)
    (vae / "table.csv").write_text("a,b\n1\n")
    assert "table.csv is no table" in refused(lambda: elbolab.load(vae).tables)
