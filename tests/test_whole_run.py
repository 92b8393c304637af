"""A fit is whole by itself: what models bring, a picture that fails, the last epoch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from jsonargparse import Namespace
from pytorch_lightning import LightningModule

import cli
from callbacks.monitors.accuracy import AccuracyMonitor
from callbacks.monitors.elbo import ElboMonitor, EvidenceMetric
from callbacks.pictures.images import SampleGrid
from callbacks.run.own_callbacks import own_callbacks, with_own_callbacks
from lightning_modules.classifier import DigitClassifier
from lightning_modules.vae import VAE

QUIET = [
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    *("--trainer.enable_model_summary", "false"),
]
SMALL = {
    "VAE": ["--model.hidden", "[16]", "--model.latent_dim", "2", "--model.nll_samples", "3"],
    "NICE": ["--model.hidden", "[16]"],
    "DigitClassifier": ["--model.channels", "[4, 4]"],
}
GLYPHS = [
    *("--data", "GlyphDataModule", "--data.train_size", "300", "--data.test_size", "70"),
    *("--data.val_size", "60", "--trainer.max_epochs", "1"),
]
LEFT = {
    "VAE": ("val/elbo", {"samples", "reconstructions", "latent_space", "elbo_curve"}),
    "NICE": ("val/log_likelihood", {"samples", "log_likelihood"}),
    "DigitClassifier": ("val/accuracy", {"error_curve"}),
}


def metrics(run: str) -> dict[str, float]:
    return json.loads(Path(run, "metrics.json").read_text())


@pytest.mark.parametrize("model", LEFT)
def test_a_fit_without_a_configuration_leaves_a_whole_run(workplace, model):
    figure, pictures = LEFT[model]
    typed = ["fit", *GLYPHS, "--model", model, *SMALL[model], *QUIET, "--run_dir", "out"]
    assert cli.main(typed) == 0
    assert figure in metrics("out")
    assert pictures <= {path.stem for path in Path("out/images").iterdir()}
    assert Path("out/checkpoints/best.ckpt").exists()
    assert cli.main(["test", "--run_dir", "out", *QUIET]) == 0
    assert figure.replace("val", "test") in metrics("out")


def test_points_of_ones_own_leave_a_whole_run(workplace):
    np.save("mine.npy", np.random.default_rng(0).normal(size=(300, 2)))
    data = ["--data", "FilePointsDataModule", "--data.path", "mine.npy", "--model", "ScoreModel"]
    typed = ["--trainer.max_epochs", "1", *QUIET, "--run_dir", "out"]
    small = ["--model.net.hidden", "[16]", "--model.schedule.steps", "20"]
    assert cli.main(["fit", *data, *typed, *small]) == 0
    assert "val/hyvarinen" in metrics("out")
    assert {"samples_compared.png", "loss_curve.png"} <= {
        path.name for path in Path("out/images").iterdir()
    }
    assert Path("out/checkpoints/best.ckpt").exists()


def names(model: type, *named: str, checkpoints: bool = True) -> list[str]:
    given = [Namespace(class_path=path) for path in named]
    path = f"{model.__module__}.{model.__qualname__}"
    chosen = with_own_callbacks(path, given or None, checkpoints)
    return [callback.class_path.rpartition(".")[-1] for callback in chosen]


class OwnMonitor(ElboMonitor):
    """A kind of its own."""


def test_what_is_named_is_not_brought_again():
    named = ["callbacks.pictures.images.SampleGrid"]
    assert names(VAE, *named) == ["SampleGrid", "ElboMonitor", "BestCheckpoint"]
    named = [f"{__name__}.OwnMonitor", "pytorch_lightning.callbacks.ModelCheckpoint"]
    assert names(VAE, *named) == ["OwnMonitor", "ModelCheckpoint"]
    assert names(DigitClassifier, checkpoints=False) == ["AccuracyMonitor"]
    assert names(LightningModule) == []


def test_an_empty_list_of_callbacks_stays_empty():
    path = "lightning_modules.vae.VAE"
    assert with_own_callbacks(path, []) == []


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_configurations_name_all_that_their_models_bring(config):
    content = yaml.safe_load(config.read_text())
    named = [entry["class_path"].rpartition(".")[-1] for entry in content["trainer"]["callbacks"]]
    picture = Namespace(class_path="callbacks.pictures.images.DigitRows")
    brought = with_own_callbacks(content["model"]["class_path"], [picture])[1:]
    assert {callback.class_path.rpartition(".")[-1] for callback in brought} <= set(named)


def test_in_python_a_model_brings_them_too():
    kinds = [type(callback) for callback in own_callbacks(DigitClassifier((1, 28, 28)))]
    assert kinds[0] is AccuracyMonitor
    assert [kind.__name__ for kind in kinds] == ["AccuracyMonitor", "BestCheckpoint"]


def test_a_defect_in_a_picture_does_not_end_the_training(fit, monkeypatch, caplog):
    def broken(self, trainer, module):
        assert not module.training
        raise ZeroDivisionError("the picture is wrong")

    whole = fit("whole")
    monkeypatch.setattr(SampleGrid, "draw", broken)
    with pytest.warns(UserWarning, match="SampleGrid could not draw") as said:
        run = fit("broken", "--trainer.max_epochs", "11")
    texts = [str(warning.message) for warning in said if "could not draw" in str(warning.message)]
    assert "the training goes on" in texts[0]
    assert "in broken" in texts[0]  # where the defect is
    assert "could not draw 2 times, first after epoch 10 (ZeroDivisionError" in texts[-1]
    assert (run / "images/elbo_curve.png").exists()
    assert not (run / "images/samples.png").exists()
    assert json.loads((run / "metrics.json").read_text()).keys() == metrics(str(whole)).keys()


def test_the_best_checkpoint_knows_the_last_epoch(fit):
    run = fit("out", "--trainer.max_epochs", "3", "--trainer.check_val_every_n_epoch", "2")
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    assert best["epoch"] == 2  # the ELBO still rises


@pytest.mark.parametrize("shape", [(1,), (3,)])
def test_one_latent_dimension_has_figures_like_several(shape):
    terms = {"reconstruction": (), "kl": shape, "posterior_mean": shape}
    metric = EvidenceMetric(terms)
    rows = torch.arange(4.0)
    metric.update(reconstruction=rows, kl=rows.outer(torch.ones(shape)),
                  posterior_mean=rows.outer(torch.ones(shape)))  # fmt: skip
    shown, each = ElboMonitor().figures("val", metric)
    assert float(shown["active_units"]) == shape[0]
    assert len(each) == (shape[0] if shape[0] > 1 else 0)
