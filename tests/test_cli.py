"""The command line as a person uses it, right and wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, SMALL
from doubles import Bomb
from latent_space import write_vae_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cli
from lightning_modules.vae import VAE

GLYPHS = ["--config", "configs/vae_glyphs.yaml"]
PICTURES = {
    "elbo_curve",
    "kl_against_reconstruction",
    "latent_space",
    "reconstructions",
    "samples",
}


def metrics(run: Path) -> dict[str, float]:
    return json.loads((run / "metrics.json").read_text())


def test_a_fit_leaves_a_complete_run_directory(fit):
    run = fit("out")
    assert {p.name for p in run.iterdir()} >= {
        "config.yaml",
        "metrics.json",
        "checkpoints",
        "images",
    }
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert {p.stem for p in (run / "images").iterdir()} == PICTURES
    found = metrics(run)
    for stage in ("train", "val"):
        bound = found[f"{stage}/reconstruction"] - found[f"{stage}/kl"]
        assert found[f"{stage}/elbo"] == pytest.approx(bound, rel=1e-6)
    assert 0 <= found["val/active_units"] <= 4


def test_tensorboard_has_scalars_pictures_projector_and_hyperparameters(fit):
    run = fit("out")
    events = EventAccumulator(str(run))
    events.Reload()
    scalars = events.Tags()["scalars"]
    assert {"train/elbo", "train/elbo_step", "val/elbo", "val/kl_dimension/03"} <= set(scalars)
    assert len(events.Scalars("train/elbo_step")) == 6  # 30 steps, one point every five
    assert set(events.Tags()["images"]) == {f"images/{name}" for name in PICTURES}
    assert (run / "projector_config.pbtxt").exists()
    assert (run / "00030/posterior_mean/sprite.png").exists()
    best = max(point.value for point in events.Scalars("val/elbo"))
    assert events.Scalars("hp/val/elbo")[-1].value == pytest.approx(best)


def test_metrics_equal_a_computation_by_hand(fit, workplace):
    run = fit("out")
    assert cli.main(["test", "--run_dir", "out"]) == 0
    model = VAE.load_from_checkpoint(run / "checkpoints/best.ckpt", weights_only=True)
    images, _ = torch.load(
        next(Path(workplace).parent.rglob("digits-test-70-*")), weights_only=True
    )
    raw = model.encoder(images.flatten(1) / 255).view(70, 2, 4)
    mean, log_variance = raw[:, 0].double(), 15 * (raw[:, 1].double() / 15).tanh()
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
    assert metrics(run)["test/kl"] == pytest.approx(float(kl), rel=1e-5)


def test_a_test_stands_in_tensorboard_at_the_step_of_its_checkpoint(fit):
    run = fit("out")
    assert cli.main(["test", "--run_dir", "out", "--ckpt_path", "last"]) == 0
    events = EventAccumulator(str(run))
    events.Reload()
    assert [point.step for point in events.Scalars("test/elbo")] == [30]
    assert [point.value for point in events.Scalars("epoch")][-1] == 1


def test_test_figures_do_not_depend_on_the_batch_size(fit):
    run, found = fit("out"), []
    for size in ("1", "32", "70"):
        assert cli.main(["test", "--run_dir", "out", "--data.eval_batch_size", size]) == 0
        found.append(metrics(run))
    assert found[0]["test/kl"] == pytest.approx(found[1]["test/kl"], rel=1e-6)
    assert found[0]["test/kl"] == pytest.approx(found[2]["test/kl"], rel=1e-6)
    error = found[0]["test/elbo_standard_error"]
    assert abs(found[0]["test/elbo"] - found[2]["test/elbo"]) < 3 * error


def test_predict_writes_samples_and_reconstructions(fit):
    run = fit("out")
    typed = ["predict", "--run_dir", "out", "--num_samples", "5"]
    assert cli.main(typed) == 0
    shapes = {p.name: np.load(p).shape for p in (run / "predictions").iterdir()}
    assert shapes == {
        "latents.npy": (70, 4),
        "reconstructions.npy": (70, 1, 28, 28),
        "samples.npy": (5, 1, 28, 28),
    }
    first = np.load(run / "predictions/samples.npy")
    assert cli.main(typed) == 0
    np.testing.assert_array_equal(first, np.load(run / "predictions/samples.npy"))
    assert (run / "images/predicted_samples.png").exists()


def test_the_saved_configuration_can_be_given_to_every_command(fit, workplace):
    first = fit("out")
    config = str(first / "config.yaml")
    assert cli.main(["fit", "--config", config, "--run_dir", "again"]) == 0
    assert metrics(workplace / "again") == metrics(first)
    for command in ("validate", "test", "predict"):
        typed = [command, "--config", config, "--run_dir", "again", "--trainer.logger", "false"]
        assert cli.main(typed) == 0


def test_what_is_typed_wins_over_the_runs_configuration_and_its_checkpoint(fit, capsys):
    run = fit("out")
    assert cli.main(["fit", "--config", str(run / "config.yaml"), "--run_dir", "wide",
                     "--model.hidden", "[16]"]) == 0  # fmt: skip
    saved = yaml.safe_load(Path("wide/config.yaml").read_text())
    assert saved["model"]["init_args"]["hidden"] == [16]
    # The checkpoint's own hidden: [32] must not come back: its weights do not fit then.
    typed = ["--ckpt_path", str(run / "checkpoints/best.ckpt")]
    assert cli.main(["test", "--run_dir", "wide", *typed]) == 2
    assert "is of another model: weight 'decoder.0.bias' is (32,) there and (16,)" in (
        capsys.readouterr().err
    )


def test_default_run_directories_are_numbered_and_test_takes_the_newest(workplace, capsys):
    for _ in range(2):
        assert cli.main(["fit", *GLYPHS, *SMALL, "--trainer.max_epochs", "1"]) == 0
    assert {p.name for p in Path("runs").iterdir()} == {"vae_glyphs", "vae_glyphs-2"}
    assert cli.main(["test", *GLYPHS, *SMALL]) == 0
    assert "test/elbo" in metrics(Path("runs/vae_glyphs-2"))
    assert "test/elbo" not in metrics(Path("runs/vae_glyphs"))


def test_a_run_goes_on_where_it_stopped_when_asked_for_more_epochs(fit):
    run = fit("out")
    more = ["--run_dir", "out", "--ckpt_path", "last", "--trainer.max_epochs", "3"]
    assert cli.main(["fit", *GLYPHS, *SMALL, *more]) == 0
    checkpoint = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert (checkpoint["epoch"], checkpoint["global_step"]) == (2, 45)
    assert (run / "projector_config.pbtxt").read_text().count("tensor_path") == 1


def refused(typed: list[str], capsys) -> str:
    """Runs a wrong command; returns its one line after checking that it left nothing behind."""
    before = sorted(Path().rglob("*"))
    capsys.readouterr()
    assert cli.main(typed) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert "Traceback" not in "\n".join(lines)
    assert sorted(Path().rglob("*")) == before
    return lines[-1]


FIT = ["fit", *GLYPHS, *SMALL]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["fit"], "no data and model given: name a configuration, such as --config"),
        (
            ["predict", *GLYPHS, "--num_samples", "0"],
            "num_samples must be a whole number of at least 1",
        ),
        ([*FIT, "--run_dir", "/dev/null/run"], "cannot write to /dev/null/run: Not a directory"),
        (["fti"], "no command 'fti'. Did you mean 'fit'?"),
        ([*FIT, "--model.latent_dim", "0"], "latent_dim must be at least 1, got 0"),
        ([*FIT, "--model.latent_dim", "many"], "latent_dim must be int, got many"),
        ([*FIT, "--model.latnt_dim", "3"], "no option 'latnt_dim'. Did you mean 'latent_dim'?"),
        ([*FIT, "--trainer.max_epoch", "3"], "Did you mean '--trainer.max_epochs'?"),
        ([*FIT, "--model", "VEA"], "no class 'VEA'. Did you mean 'VAE'?"),
        ([*FIT, "--model.prior", "StandardPrior"], "Did you mean 'StandardNormalPrior'?"),
        (
            [*FIT, "--data", "datamodules.mnist.MNISTDatamodule"],
            "no class 'MNISTDatamodule'. Did you mean 'MNISTDataModule'?",
        ),
        (["fit", "--config", "configs/vea.yaml"], "Did you mean 'configs/vae.yaml'?"),
        ([*FIT, "--trainer.accelerator", "gpuu"], "gpuu"),
        (["fit", *GLYPHS, "--data.root", "x"], "no option 'root'"),
        (
            ["fit", "--config", "configs/vae.yaml", "--data.root", "nowhere"],
            "no file nowhere/MNIST/raw/train-images-idx3-ubyte",
        ),
        ([*FIT, "--data.val_size", "300"], "val_size 300 leaves nothing to train on"),
        (["test", "--run_dir", "runs/none"], "no run in runs/none: it has no config.yaml"),
        (["test", *GLYPHS, *SMALL], "no checkpoint runs/vae_glyphs/checkpoints/best.ckpt"),
        ([*FIT, "--ckpt_path", "last"], "no checkpoint runs/vae_glyphs/checkpoints/last.ckpt"),
        ([*FIT, "--ckpt_path", "none.ckpt"], "no checkpoint none.ckpt"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(workplace, capsys, typed, message):
    assert message in refused(typed, capsys)


def test_an_existing_run_directory_is_never_overwritten(fit, capsys):
    run = fit("out")
    before = metrics(run)
    message = refused([*FIT, "--run_dir", "out"], capsys)
    assert "run directory out exists: go on with --ckpt_path last" in message
    assert metrics(run) == before


def test_a_damaged_configuration_is_refused(workplace, capsys):
    Path("broken.yaml").write_text("model: [a\n b: c")
    refused(["fit", "--config", "broken.yaml"], capsys)
    Path("wrong.yaml").write_text("trainer:\n  max_epoch: 3\n")
    message = refused(["fit", *GLYPHS, "--config", "wrong.yaml"], capsys)
    assert "Did you mean" in message
    assert "max_epochs" in message


@pytest.mark.parametrize("content", [b"damaged", b""])
def test_a_corrupt_checkpoint_is_refused_before_anything_is_written(workplace, capsys, content):
    Path("bad.ckpt").write_bytes(content)
    assert "bad.ckpt is" in refused([*FIT, "--ckpt_path", "bad.ckpt"], capsys)


def test_a_checkpoint_with_code_in_it_is_refused_and_does_not_run(workplace, capsys):
    torch.save({"state_dict": {}, "extra": Bomb(Path("it_ran"))}, "evil.ckpt")
    assert "evil.ckpt is refused" in refused([*FIT, "--ckpt_path", "evil.ckpt"], capsys)


def test_a_picture_that_the_model_cannot_give_is_refused_by_name(workplace, capsys):
    options = ["--trainer.callbacks+=SampleGrid", "--model", "doubles.Mute"]
    typed = ["fit", "--data", "GlyphDataModule", *SMALL[:10], *SMALL[14:], *options]
    assert "SampleGrid needs a module with sample(); Mute has none" in refused(typed, capsys)


def test_help_of_every_command(capsys):
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    for command in ("fit", "validate", "test", "predict", "task"):
        assert command in shown
    with pytest.raises(SystemExit) as end:
        cli.main(["predict", "--help"])
    assert end.value.code == 0
    assert "--num_samples" in capsys.readouterr().out


def test_ctrl_c_is_one_line_and_exit_code_130(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lightning_cli.run", interrupted)
    assert cli.main(["fit"]) == 130
    assert capsys.readouterr().err.strip() == "stopped"


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_survives_a_fast_run(workplace, tiny_mnist, config):
    text = config.read_text()
    if "vae_run" in text:
        write_vae_run(Path("vae"), dim=2 if "2d" in config.stem else 3)
        data = ["--data.vae_run", "vae"]
    else:
        root = ["--data.root", str(tiny_mnist)]
        data = [*(root if "mnist" in text.lower() else SMALL[:4]), "--data.val_size", "20"]
    typed = ["--config", str(config), "--trainer.fast_dev_run", "2", "--trainer.accelerator", "cpu"]
    assert cli.main(["fit", *typed, *data]) == 0
    assert not Path("runs").exists()
