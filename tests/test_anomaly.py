"""Anomaly detection from end to end: data side by side, the report, its figures and its errors."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cli
from callbacks.monitors.anomaly import gathered
from datamodules.anomaly import AnomalyDataModule, GlyphsAgainstLetters
from datamodules.images import ImageDataModule
from elbolab.batches import Origin
from elbolab.errors import UserError

SMALL = [
    *("--data.train_size", "300", "--data.test_size", "90", "--data.val_size", "60"),
    *("--data.calibration_size", "40", "--data.batch_size", "30"),
    *("--model.hidden", "[32]", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
]
SCORES = ("Likelihood", "Typicality", "LikelihoodAndComplexity")


class Flat(ImageDataModule):
    """Images whose pixels are all equal to their own number; ``tests`` of them to test."""

    def __init__(self, tests: int = 50, side: int = 4, **options) -> None:
        super().__init__(val_size=20, **options)
        self.tests, self.side = tests, side
        self.shape = (1, side, side)

    def load(self, train):
        values = torch.arange(200 if train else self.tests, dtype=torch.uint8)
        return values.view(-1, 1, 1, 1).expand(-1, 1, self.side, self.side), values.long()


def whole_test(data: AnomalyDataModule) -> list[torch.Tensor]:
    data.setup("test")
    return [torch.cat(parts) for parts in zip(*data.test_dataloader(), strict=True)]


def test_all_test_images_come_once_with_their_origin_and_place():
    data = AnomalyDataModule(Flat(eval_batch_size=7), Flat(30), calibration_size=20)
    x, y, origin, index = whole_test(data)
    assert [int((origin == part).sum()) for part in Origin] == [20, 30, 30]
    ours, theirs = origin != Origin.OUTSIDE, origin == Origin.OUTSIDE
    assert sorted(index[ours].tolist()) == list(range(50))
    assert sorted(index[theirs].tolist()) == list(range(30))
    torch.testing.assert_close(x[:, 0, 0, 0], index / 255)
    assert torch.equal(y, index)


def test_the_calibration_images_depend_on_their_seed_alone():
    def chosen(**options):
        _, _, origin, index = whole_test(
            AnomalyDataModule(Flat(), Flat(), calibration_size=20, **options)
        )
        return sorted(index[origin == Origin.CALIBRATION].tolist())

    assert chosen() == chosen(seed=5)
    assert chosen() != chosen(calibration_seed=1)
    assert chosen() != list(range(20))


def test_training_is_that_of_the_inside_set_and_takes_the_seed():
    data, alone = AnomalyDataModule(Flat(), Flat(), 20, seed=3), Flat(seed=3)
    data.setup("fit")
    alone.setup("fit")
    for name in ("train_dataloader", "val_dataloader"):
        first, second = next(iter(getattr(data, name)())), next(iter(getattr(alone, name)()))
        assert torch.equal(first[0], second[0])


@pytest.mark.parametrize(
    ("outside", "size", "message"),
    [
        (Flat(0), 20, "Flat has no test images"),
        (Flat(30, side=6), 20, r"shape \(1, 6, 6\), Flat of \(1, 4, 4\): they must be equal"),
        (Flat(), 50, "calibration_size 50 leaves nothing to test: .* Flat has 50 images"),
    ],
)
def test_sets_that_do_not_go_together_are_refused(outside, size, message):
    with pytest.raises(UserError, match=message):
        AnomalyDataModule(Flat(), outside, size).setup("test")


def test_too_few_calibration_images_are_refused():
    with pytest.raises(UserError, match="calibration_size must be at least 2, got 1"):
        GlyphsAgainstLetters(calibration_size=1)


@pytest.fixture
def nice(workplace) -> Callable[..., int]:
    def run(command: str, *options: str) -> int:
        typed = ["--config", "configs/nice_glyphs.yaml", *SMALL] if command == "fit" else []
        return cli.main([command, *typed, "--run_dir", "run", *options])

    return run


def metrics() -> dict[str, float]:
    return json.loads(Path("run/metrics.json").read_text())


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("run/predictions/anomaly.csv").open()))


def test_a_run_is_judged_and_every_figure_follows_from_the_table_of_images(nice):
    assert [nice("fit"), nice("test"), nice("predict", "--num_samples", "4")] == [0, 0, 0]
    found, table = metrics(), rows()
    assert len(table) == 180
    by_set = {
        name: np.array([float(r["log_likelihood"]) for r in table if r["set"] == name])
        for name in ("calibration", "inside", "outside")
    }
    threshold = by_set["calibration"].mean() - 3 * by_set["calibration"].std(ddof=1)
    assert found["test/threshold"] == pytest.approx(threshold, abs=0.01)
    inside, outside = by_set["inside"], by_set["outside"]
    assert found["test/type_i_errors"] == (inside < threshold).sum()
    assert found["test/type_ii_errors"] == (outside >= threshold).sum()
    labels = [1] * len(inside) + [0] * len(outside)
    expected = roc_auc_score(labels, np.concatenate([inside, outside]))
    assert found["test/auroc"] == pytest.approx(expected, abs=1e-4)
    flagged = [r for r in table if float(r["score"]) < threshold]
    assert [r["flagged"] for r in table].count("1") == len(flagged)
    ours = np.concatenate([by_set["calibration"], inside])
    assert found["test/log_likelihood"] == pytest.approx(ours.mean(), abs=0.01)
    bits = 8 - ours.mean() / (784 * np.log(2))
    assert found["test/bits_per_dim"] == pytest.approx(bits, abs=1e-4)
    for name in SCORES[1:]:
        assert 0 <= found[f"test/{name}/auroc"] <= 1
    pictures = {path.stem for path in Path("run/images").iterdir()}
    assert pictures == {"log_likelihood", "samples", "predicted_samples", "anomaly_histograms",
                        "anomaly_roc", "anomaly_extremes"}  # fmt: skip
    events = EventAccumulator("run")
    events.Reload()
    assert "test/precision_recall" in events.Tags()["tensors"]
    assert [point.step for point in events.Scalars("test/auroc")] == [16]


def test_figures_do_not_depend_on_the_batch_size(nice):
    assert nice("fit") == 0
    assert nice("test", "--data.eval_batch_size", "180") == 0
    first = metrics()
    assert nice("test", "--data.eval_batch_size", "7") == 0
    assert metrics() == pytest.approx(first, rel=1e-5)


def test_images_of_two_processes_are_put_together_in_the_order_of_the_data(monkeypatch):
    def batches(rank):
        data = AnomalyDataModule(Flat(eval_batch_size=7), Flat(30), calibration_size=20)
        data.setup("test")
        loader = data.test_dataloader()
        loader.rank, loader.world_size = rank, world
        return [(x[:, 0, 0, 0], x, origin, index) for x, _, origin, index in loader]

    def gather(shards, _):
        shards[:] = [batches(rank) for rank in range(world)]

    monkeypatch.setattr("torch.distributed.all_gather_object", gather)
    world = 1
    alone = gathered(SimpleNamespace(world_size=1), batches(0))
    world = 2
    both = gathered(SimpleNamespace(world_size=2), batches(0))
    for ours, theirs in zip(alone, both, strict=True):
        assert torch.equal(ours, theirs)


def test_another_pair_is_a_matter_of_configuration(nice, tiny_mnist):
    typed = [
        *("--data", "AnomalyDataModule", "--data.calibration_size", "20"),
        *("--data.inside", "MNISTDataModule", "--data.inside.root", str(tiny_mnist)),
        *("--data.inside.val_size", "20", "--data.outside", "GlyphDataModule"),
        *("--data.outside.characters", "letters", "--data.outside.test_size", "30"),
        *("--data.outside.train_size", "20"),
    ]
    config = ["--config", "configs/nice_glyphs.yaml", *SMALL[10:], *typed]
    assert cli.main(["fit", *config, "--run_dir", "run"]) == 0
    assert nice("test") == 0
    assert 0 <= metrics()["test/auroc"] <= 1


def test_a_report_without_anything_strange_to_judge_is_refused(nice, capsys):
    assert nice("fit") == 0
    plain = ["--data", "GlyphDataModule", *SMALL[:4]]
    assert nice("test", *plain) == 2
    assert "AnomalyReport needs out-of-distribution images" in capsys.readouterr().err
