"""The score model of the spiral, as a module and from the command line."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

import cli
from callbacks.monitors.hyvarinen import LevelMetric
from elbolab.errors import UserError
from lightning_modules.functional.samplers import HeunFlow
from lightning_modules.functional.schedule import LinearSchedule
from lightning_modules.score import ScoreModel
from lightning_modules.spiral_score import SpiralScore

CONFIG = ["--config", "configs/spiral_score.yaml"]
QUICK = [
    *("--data.train_size", "240", "--data.val_size", "60", "--data.test_size", "70"),
    *("--data.batch_size", "16", "--data.eval_batch_size", "32", "--data.components", "40"),
    *("--model.net.hidden", "[16]", "--model.schedule.steps", "30", "--model.schedule.beta_max"),
    *("0.4", "--model.flow_steps", "10", "--trainer.max_epochs", "2"),
    *("--trainer.log_every_n_steps", "5", "--trainer.accelerator", "cpu"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
]
"""Options that shrink the spiral experiment to 15 steps an epoch and 30 levels."""

METRICS = ["HyvarinenMonitor", "SpiralQuality"]
BEST = "BestCheckpoint"


def callbacks(*more: str) -> list[str]:
    """The cheap ones, and ``more``, in place of the shipped ones."""
    quality = {"class_path": METRICS[1], "init_args": {"num_samples": 200}}
    best = {"class_path": BEST, "init_args": {"monitor": "val/hyvarinen", "mode": "min"}}
    chosen = [{"class_path": METRICS[0]}, quality, best, *({"class_path": m} for m in more)]
    return ["--trainer.callbacks", json.dumps(chosen)]


FIT = ["fit", *CONFIG, *QUICK, *callbacks()]


def metrics(run: str) -> dict[str, float]:
    return json.loads((Path(run) / "metrics.json").read_text())


@pytest.fixture
def model() -> ScoreModel:
    torch.manual_seed(0)
    return ScoreModel((5,), schedule=lambda: LinearSchedule(20, 0.05, 0.5), flow_steps=None)


def test_a_score_model_knows_no_plane(model):
    x = torch.randn(7, 5)
    assert model.sample(7, torch.Generator().manual_seed(0)).shape == (7, 5)
    assert model.log_prob(x).shape == (7,)
    output = model.training_step((x,), 0)
    assert output["k"].shape == output["by_level"]["hyvarinen"].shape == (7,)
    torch.testing.assert_close(output["loss"], output["by_level"]["hyvarinen"].mean())
    assert set(model.validation_step((x,), 0)["by_level"]) == {"hyvarinen"}


def test_samples_depend_on_the_generator_alone(model):
    first = model.sample(4, torch.Generator().manual_seed(1))
    torch.manual_seed(99)
    assert torch.equal(first, model.sample(4, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, model.sample(4, torch.Generator().manual_seed(2)))


def test_an_untrained_linear_flow_has_the_density_of_its_samples():
    """With s = −x the flow is the identity: log p is that of N(0, I)."""
    model = ScoreModel((2,), schedule=lambda: LinearSchedule(50, 0.01, 0.3), sampler=HeunFlow)
    model.score.forward = lambda x, k: -x
    model.score.with_trace = lambda x, k: (-x, torch.full_like(x[:, 0], -2.0))
    x = torch.randn(9, 2)
    normal = torch.distributions.Normal(0, 1).log_prob(x).sum(1)
    torch.testing.assert_close(model.log_prob(x), normal)
    start = model.noise(6, torch.Generator().manual_seed(3))
    samples = model.sample(6, torch.Generator().manual_seed(3))
    torch.testing.assert_close(samples, start)


def test_the_average_follows_the_weights_and_is_not_trained(model):
    weight, values = model.net.last.bias, []
    for value in (1.0, 2.0, 4.0):
        with torch.no_grad():
            weight.fill_(value)
        model.average.update_parameters(model.net)
        values.append(float(model.score.last.bias[0].detach()))
    # The first update copies; n = 1 and 2 keep (1 + n)/(10 + n), below the decay of 0.999.
    second = 1 + (1 - 2 / 11) * (2 - 1)
    assert values == pytest.approx([1, second, second + (1 - 3 / 12) * (4 - second)])
    (group,) = model.configure_optimizers().param_groups
    assert sum(p.numel() for p in group["params"]) == sum(p.numel() for p in model.net.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (1, 28, 28)}, "vectors"),
        ({"shape": (0,)}, "vectors"),
        ({"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\), got 1.0"),
        ({"flow_steps": 301}, r"flow_steps must be in \[1, 300\], got 301"),
        (
            {"sampler": lambda: HeunFlow(0)},
            r"sampler.steps must be in \[1, 300\], got 0",
        ),
    ],
)
def test_impossible_models_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        ScoreModel(**({"shape": (2,)} | options))


def test_a_spiral_score_without_known_data_says_so():
    with pytest.raises(UserError, match="needs data whose density is known"):
        SpiralScore((2,)).validation_step((torch.randn(3, 2),), 0)


def test_level_metric_means_are_exact_whatever_the_batches():
    generator = torch.Generator().manual_seed(0)
    k = torch.randint(1, 31, (200,), generator=generator)
    values = torch.randn(200, generator=generator)
    for size in (1, 64, 200):
        metric = LevelMetric(30, 4, ["a"]).set_dtype(torch.float64)
        for part, value in zip(k.split(size), values.split(size), strict=True):
            metric.update(part, a=value)
        overall, bands = metric.compute()
        assert float(overall["a"]) == pytest.approx(float(values.double().mean()))
        assert list(bands["a"]) == ["001-008", "009-015", "016-023", "024-030"]
        for label, mean in bands["a"].items():
            low, high = map(int, label.split("-"))
            wanted = values[(k >= low) & (k <= high)].double().mean()
            assert float(mean) == pytest.approx(float(wanted))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Path:
    """A run directory of the small experiment, fitted once; copy it before writing to it."""
    folder = tmp_path_factory.mktemp("fitted") / "out"
    shipped = str(ROOT / "configs/spiral_score.yaml")
    typed = ["fit", "--config", shipped, *QUICK, *callbacks(), "--run_dir", str(folder)]
    assert cli.main(typed) == 0
    return folder


def test_fit_and_test_leave_every_promised_figure(workplace, fitted):
    shutil.copytree(fitted, "out")
    tested = []
    for size in ("7", "70"):
        assert cli.main(["test", "--run_dir", "out", "--data.eval_batch_size", size]) == 0
        tested.append(metrics("out"))
    names = ["hyvarinen", "hyvarinen_true", "fisher_divergence", "on_spiral", "on_spiral_true"]
    names += ["sliced_w2", "sliced_w2_true", "sliced_w2_data", "log_prob", "log_prob_true"]
    names += ["fisher_divergence_band/001-005", "hyvarinen_band/026-030"]
    assert {f"test/{name}" for name in names} <= set(tested[0])
    assert {"train/hyvarinen", "val/hyvarinen", "val/fisher_divergence"} <= set(tested[0])
    excess = tested[0]["test/hyvarinen"] - tested[0]["test/hyvarinen_true"]
    assert tested[0]["test/hyvarinen_excess"] == pytest.approx(excess, rel=1e-4)
    assert tested[0]["test/fisher_divergence"] > 0
    assert tested[0]["test/on_spiral"] < 0.6 < tested[0]["test/on_spiral_true"] <= 1
    assert tested[0]["test/sliced_w2_true"] < tested[0]["test/sliced_w2"]
    steady = ["log_prob", "log_prob_true", "on_spiral", "sliced_w2", "fisher_divergence"]
    for name in [*steady, "hyvarinen_true"]:  # whatever the batch size
        assert tested[0][f"test/{name}"] == pytest.approx(tested[1][f"test/{name}"], rel=1e-5)


def test_a_checkpoint_carries_the_truth(fitted):
    path = fitted / "checkpoints/best.ckpt"
    loaded = SpiralScore.load_from_checkpoint(path, weights_only=True)
    assert loaded.truth.centres.shape == (40, 2)
    assert loaded.truth.sigma_0 == 0.05
    assert loaded.sample(3).shape == (3, 2)


@pytest.mark.parametrize("step", [6, 21])
def test_an_interrupted_and_resumed_run_is_bit_identical(workplace, fitted, step):
    stop = ["--trainer.callbacks+=doubles.StopAt", f"--trainer.callbacks.step={step}"]
    with pytest.raises(SystemExit) as stopped:
        cli.main([*FIT, "--run_dir", "cut", *stop])
    assert stopped.value.code == 128 + signal.SIGTERM
    assert cli.main([*FIT, "--run_dir", "cut", "--ckpt_path", "last"]) == 0
    whole, cut = (torch.load(f / "checkpoints/last.ckpt", weights_only=True)
                  for f in (fitted, Path("cut")))  # fmt: skip
    assert whole["global_step"] == cut["global_step"] == 30
    assert any(name.startswith("average.module.") for name in whole["state_dict"])
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, cut["state_dict"][name]), name


@pytest.mark.parametrize("loss", ["Sliced", "Denoising"])
def test_the_other_losses_are_one_option(workplace, loss):
    assert cli.main([*FIT, "--run_dir", "out", "--model.loss", loss]) == 0
    assert {f"train/{loss.lower()}", "val/hyvarinen"} <= set(metrics("out"))


def test_any_sampler_takes_any_grid_from_the_command_line(workplace):
    chosen = ["--model.sampler", "HeunFlow", "--model.sampler.steps", "12"]
    grid = ["--model.sampler.grid", "FineGrid", "--model.sampler.grid.power", "0.7"]
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"]
    assert cli.main([*FIT, *chosen, *grid, *short, "--run_dir", "out"]) == 0
    assert cli.main(["predict", "--run_dir", "out", "--num_samples", "5"]) == 0
    assert np.isfinite(np.load("out/predictions/samples.npy")).all()


def test_every_picture_is_drawn(workplace):
    chosen = ["ScoreFieldPicture", "ScoreTrajectories"]
    given = json.loads(callbacks(*chosen)[1])
    given[3]["init_args"] = {"levels": [2, 30], "arrows": 5}
    given[4]["init_args"] = {"num_points": 20, "frames": 4, "snapshots": 3}
    typed = [*FIT[:-1], json.dumps(given), "--run_dir", "out", "--trainer.max_epochs", "1"]
    assert cli.main(typed) == 0
    drawn = {path.name for path in Path("out/images").iterdir()}
    names = ["forward_process", "loss_curve", "no_score_walk", "noise_bands"]
    names += ["reverse_trajectory", "samples_compared", "score_field"]
    assert drawn == {f"{name}.png" for name in names} | {"reverse_trajectory.gif"}
    with Image.open("out/images/reverse_trajectory.gif") as film:
        assert film.n_frames == 4


def test_own_points_need_one_line_and_no_truth(workplace):
    np.save("mine.npy", np.random.default_rng(0).normal(size=(300, 2)))
    data = ["--data", "FilePointsDataModule", "--data.path", "mine.npy", "--model", "ScoreModel"]
    monitor = json.dumps([{"class_path": METRICS[0]}])
    small = ["--trainer.max_epochs", "1", "--trainer.callbacks", monitor, *QUICK[-8:]]
    assert cli.main(["fit", *data, *small, "--run_dir", "out"]) == 0
    assert "val/hyvarinen" in metrics("out")
    assert "val/fisher_divergence" not in metrics("out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.schedule.steps", "0"], "must be at least 1, got 0"),
        (["--model.schedule.beta_max", "1.5"], "must be in (0, 1)"),
        (["--data.components", "0"], "components must be in [1, 100000], got 0"),
        (["--data.sigma_0", "0"], "sigma_0 must be above 0"),
        (
            ["--model.sampler.steps", "400"],
            r"sampler.steps must be in [1, ",
        ),
        (["--model.loss", "Hyvarinnen"], "Hyvarinnen"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(workplace, capsys, options, message):
    before = sorted(Path().rglob("*"))
    assert cli.main([*FIT, *options, "--run_dir", "out"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert message in line
    assert sorted(Path().rglob("*")) == before


def test_predict_writes_samples_and_log_densities(workplace, fitted):
    shutil.copytree(fitted, "out")
    assert cli.main(["predict", "--run_dir", "out", "--num_samples", "9"]) == 0
    shapes = {p.stem: np.load(p).shape for p in Path("out/predictions").iterdir()}
    assert shapes == {"samples": (9, 2), "log_prob": (70,), "log_prob_true": (70,)}
    assert Path("out/images/predicted_samples.png").exists()
