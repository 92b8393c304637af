"""The judge and what it measures, against other libraries and by hand; the commands end to end."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from latent_space import write_vae_run
from scipy.linalg import sqrtm
from sklearn.neighbors import NearestNeighbors
from test_ddp import TWO, command

import cli
from callbacks.monitors.accuracy import ClassMetric
from callbacks.monitors.generation_quality import GenerationQuality, frechet_distance
from elbolab.errors import UserError
from lightning_modules.classifier import DigitClassifier
from lightning_modules.functional.sample_quality import coverage, recall

QUIET = [
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    *("--trainer.enable_model_summary", "false"),
]
FIT = [
    *("fit", "--config", "configs/conditional_score.yaml", *QUIET),
    *("--trainer.max_epochs", "2", "--data.batch_size", "40"),
    *("--model.net.hidden", "[16, 16]", "--model.schedule.steps", "20"),
    *("--model.schedule.beta_max", "0.5"),
]


def sets(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    real = torch.randn(300, 4, generator=generator)
    return real, 0.8 * torch.randn(250, 4, generator=generator) + 0.5


def radii(x, k):
    return NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, k]


def test_recall_and_coverage_are_those_of_brute_force():
    real, generated = sets()
    distance = np.linalg.norm(real.numpy()[:, None] - generated.numpy()[None], axis=2)
    wanted = (distance <= radii(generated, 3)[None]).any(1).mean()
    assert recall(real, generated, rows=70) == pytest.approx(wanted, abs=1e-9)
    wanted = (distance.min(1) <= radii(real, 5)).mean()
    assert coverage(real, generated, rows=70) == pytest.approx(wanted, abs=1e-9)
    assert coverage(real, real) == recall(real, real) == 1
    assert coverage(real, generated + 100) == recall(real, generated + 100) == 0
    with pytest.raises(UserError, match="5 neighbours need more than 5 examples, got 5"):
        coverage(real[:5], generated)


def test_frechet_distance_is_the_closed_form_of_scipy():
    real, generated = (x.double() for x in sets(1))
    covariances = [np.cov(x.numpy().T) for x in (real, generated)]
    gap = (real.mean(0) - generated.mean(0)).square().sum().item()
    cross = np.trace(sum(covariances) - 2 * sqrtm(covariances[0] @ covariances[1]).real)
    assert frechet_distance(real, generated).item() == pytest.approx(gap + cross, rel=1e-4)


def test_class_metric_does_not_depend_on_the_batches():
    generator = torch.Generator().manual_seed(0)
    label, entropy = torch.randint(4, (50,), generator=generator), torch.rand(50)
    correct = (torch.rand(50, generator=generator) < 0.7).float()
    metric = ClassMetric(5)
    for part in zip(label.split(7), correct.split(7), entropy.split(7), strict=True):
        metric.update(*part)
    found = metric.compute()
    assert found["accuracy"] == pytest.approx(correct.mean().item())
    assert found["cross_entropy"] == pytest.approx(entropy.mean().item())
    for y in range(4):
        assert found[f"accuracy_label/{y}"] == pytest.approx(correct[label == y].mean().item())
    assert "accuracy_label/4" not in found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (784,)}, r"takes images \(c, h, w\)"),
        ({"shape": (1, 28, 3)}, "4 × 4 pixels or more"),
        ({"channels": (0, 4)}, "channels must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
    ],
)
def test_impossible_classifiers_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        DigitClassifier(**({"shape": (1, 28, 28)} | options))


def test_a_label_beyond_the_classes_is_named():
    model = DigitClassifier((1, 8, 8), classes=3)
    with pytest.raises(UserError, match="label 3 is not among the 3 classes"):
        model.validation_step((torch.rand(2, 1, 8, 8), torch.tensor([0, 3])), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 10}, "num_samples must be above 10"),
        ({"guidance": [float("nan")]}, "guidance must be at least -1, got nan"),
    ],
)
def test_impossible_judgements_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        GenerationQuality(**options)


@pytest.fixture(scope="module")
def made(tmp_path_factory, cache) -> Path:
    """Runs of an untrained VAE, a classifier of glyphs and a short conditional model."""
    place = tmp_path_factory.mktemp("made")
    (place / "configs").symlink_to(ROOT / "configs")
    glyphs = ["--data", "GlyphDataModule", "--data.train_size", "1200", "--data.val_size", "200"]
    small = [*glyphs, "--data.test_size", "100", "--model.channels", "[8, 16]", *QUIET]
    typed = ["fit", "--config", "configs/digit_classifier.yaml", *small]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XDG_CACHE_HOME", str(cache))
        write_vae_run(Path("runs/latent_vae"))
        assert cli.main([*typed, "--trainer.max_epochs", "2", "--data.batch_size", "50"]) == 0
        assert cli.main([*FIT, "--run_dir", "run"]) == 0
    return place


@pytest.fixture
def runs(workplace, made) -> Path:
    """The same runs in an empty place; the test of the model takes 40 samples."""
    for name in ("runs", "run"):
        shutil.copytree(made / name, workplace / name)
    shrink("run")
    return workplace


def shrink(run: str, **options: str) -> None:
    config = Path(run, "config.yaml")
    text = config.read_text().replace("num_samples: 10000", "num_samples: 40")
    for old, new in options.items():
        text = text.replace(old, new)
    config.write_text(text)


def metrics(run: str) -> dict[str, float]:
    return json.loads(Path(run, "metrics.json").read_text())


def test_fit_test_and_predict_judge_and_draw(runs, caplog):
    assert metrics("runs/digit_classifier")["val/accuracy"] > 0.3  # ten classes, two epochs
    assert cli.main(["test", "--run_dir", "run"]) == 0
    assert "is right on" in caplog.text
    found = metrics("run")
    for w in ("0", "0.5", "1", "2"):
        by_digit = [found[f"test/conditional_accuracy_label/{d}/guidance_{w}"] for d in range(10)]
        overall = found[f"test/conditional_accuracy/guidance_{w}"]
        assert np.mean(by_digit) == pytest.approx(overall, abs=1e-6)
    assert sum(found[f"test/class_share/{d}"] for d in range(10)) == pytest.approx(1)
    for name in ("samples", "vae_prior", "training_images", "guidance_2"):
        assert found[f"test/frechet/{name}"] >= 0
        assert 0 <= found[f"test/coverage/{name}"] <= 1
    assert found["test/coverage/training_images"] > found["test/coverage/vae_prior"]
    pictures = {path.stem for path in Path("run/images").glob("*.png")}
    assert pictures >= {
        *("digit_rows", "latent_process", "decoded_trajectory", "samples_compared"),
        *("guidance_tradeoff", "label_likelihoods"),
    }
    assert 0 <= found["test/bayes_accuracy"] <= 1
    asked = ["--labels", "7", "--num_samples", "12", "--guidance", "2"]
    assert cli.main(["predict", "--run_dir", "run", *asked]) == 0
    assert np.load("run/predictions/samples.npy").shape == (12, 1, 28, 28)
    assert np.load("run/predictions/sample_labels.npy").tolist() == [7] * 12
    seven = np.load("run/predictions/samples.npy")
    assert cli.main(["predict", "--run_dir", "run", *asked]) == 0
    assert (np.load("run/predictions/samples.npy") == seven).all()
    assert cli.main(["predict", "--run_dir", "run", "--num_samples", "14"]) == 0
    labels = np.load("run/predictions/sample_labels.npy").tolist()
    assert labels == sorted(labels)
    assert set(np.bincount(labels, minlength=10)) == {1, 2}


def test_wrong_wishes_are_one_line_each(runs, capsys):
    write_vae_run(Path("runs/wide"), dim=5)
    wrong = {
        ("predict", "--labels", "12"): "labels must be in 0 … 9, got 12",
        ("predict", "--guidance", "nan"): "guidance must be float, got nan",
        ("test", "--data.vae_run", "runs/wide"): "examples of shape (3,), the data's are (5,)",
        ("test", "--data.vae_run", "runs/none"): "make that run with 'python cli.py fit",
    }
    before = sorted(Path("run").rglob("*"))
    capsys.readouterr()
    for (name, *options), message in wrong.items():
        assert cli.main([name, "--run_dir", "run", *options]) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert message in said, said
    assert {p for p in Path("run").rglob("*") if "tfevents" not in p.name} == {
        p for p in before if "tfevents" not in p.name
    }
    shrink("run", digit_classifier="latent_vae")
    assert cli.main(["test", "--run_dir", "run"]) == 2
    assert "is no checkpoint of a DigitClassifier" in capsys.readouterr().err
    typed = ["predict", "--run_dir", "runs/digit_classifier", "--labels", "3"]
    assert cli.main(typed) == 2
    assert "DigitClassifier knows no labels" in capsys.readouterr().err


def test_an_interrupted_and_resumed_run_is_bit_identical(runs):
    cut = ["--run_dir", "cut"]
    assert cli.main([*FIT, *cut, "--trainer.max_steps", "9"]) == 0  # within the second epoch
    assert cli.main([*FIT, *cut, "--ckpt_path", "last", "--trainer.max_steps", "-1"]) == 0
    one, two = (torch.load(f"{r}/checkpoints/last.ckpt", weights_only=True) for r in ("run", "cut"))
    assert one["global_step"] == two["global_step"] == 12
    for name, value in one["state_dict"].items():
        assert torch.equal(value, two["state_dict"][name]), name


def test_two_processes_train_and_test_like_one(runs):
    command(*FIT, *TWO, "--run_dir", "two")
    shrink("two")
    command("test", "--run_dir", "two", *TWO)
    two = metrics("two")
    one_process = ["--trainer.devices", "1", "--trainer.strategy", "auto"]
    assert cli.main(["test", "--run_dir", "two", *one_process]) == 0
    one = metrics("two")
    for name in one:
        if name.startswith(("test/frechet", "test/conditional", "test/class_share", "test/judge")):
            assert two[name] == pytest.approx(one[name], rel=1e-5, abs=1e-6), name
