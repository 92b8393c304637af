"""The spiral and a person's own points as data modules."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from datamodules.points import FilePointsDataModule, read_points
from datamodules.spiral import SpiralDataModule, spiral_centres
from elbolab.errors import UserError


def training_points(data: SpiralDataModule, epoch: int = 0) -> torch.Tensor:
    loader = data.train_dataloader()
    loader.set_epoch(epoch)
    return torch.cat([x for (x,) in loader])


def spiral(**options) -> SpiralDataModule:
    sizes = {"train_size": 2000, "val_size": 400, "test_size": 4000, "batch_size": 64}
    data = SpiralDataModule(**(sizes | options))
    data.setup("fit")
    data.setup("test")
    return data


def test_centres_lie_on_an_archimedean_spiral():
    centres = spiral_centres(500, 3, 2.0).double()
    radius = centres.norm(dim=1)
    assert 1.99 < float(radius[-1]) < 2
    assert ((radius.diff() / (2 / 500) - 1).abs() < 1e-3).all()
    # The angle grows in proportion to the radius: three turns over radius 2.
    angle = torch.atan2(centres[:, 1], centres[:, 0])
    off = (angle - 3 * 2 * math.pi * radius / 2) / (2 * math.pi)
    assert float((off - off.round()).abs().max()) < 1e-4


def test_points_have_the_mixtures_moments():
    x, n = spiral().points("test").double(), 4000
    centres = spiral_centres(500, 3, 2.0).double()
    variance = centres.var(0, unbiased=False) + 0.05**2
    assert ((x.mean(0) - centres.mean(0)).abs() < 4 * (variance / n).sqrt()).all()
    assert ((x.var(0) / variance - 1).abs() < 4 * (2 / n) ** 0.5).all()
    distance, _ = cKDTree(centres).query(x)
    assert (distance < 4.5 * 0.05).all()


def test_training_points_are_new_in_each_epoch_and_a_function_of_the_seed():
    first = training_points(spiral())
    torch.manual_seed(99)
    assert torch.equal(first, training_points(spiral()))
    assert not torch.equal(first, training_points(spiral(), epoch=1))
    assert not torch.equal(first, training_points(spiral(seed=1)))
    assert first.shape == (2000, 2)


def test_training_points_take_all_components_in_turn():
    data = spiral(sigma_0=1e-6, components=50)
    _, nearest = cKDTree(data.centres).query(training_points(data))
    assert (np.bincount(nearest, minlength=50) == 40).all()


def test_evaluation_points_do_not_depend_on_the_training_seed():
    assert torch.equal(spiral().points("test"), spiral(seed=5).points("test"))
    assert not torch.equal(spiral().points("test"), spiral(eval_seed=5).points("test"))
    assert not torch.equal(spiral().points("val"), spiral().points("test")[:400])


@pytest.mark.parametrize(
    ("name", "value"),
    [("components", 0), ("train_size", 0), ("val_size", -1), ("test_size", 0), ("batch_size", 0),
     ("eval_batch_size", 0), ("turns", 0.0), ("scale", math.nan), ("sigma_0", -0.1),
     ("sigma_0", math.inf)],
)  # fmt: skip
def test_impossible_spirals_are_refused(name, value):
    with pytest.raises(UserError, match=f"{name} must be .*, got {value}"):
        SpiralDataModule(**{name: value})


def written(path, content):
    path.write_text(content) if isinstance(content, str) else np.save(path, content)
    return path


def test_points_are_read_from_csv_and_npy(tmp_path):
    values = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    text = "\n".join(f"{x:.9g},{y:.9g}" for x, y in values) + "\n\n"
    for path in (written(tmp_path / "a.csv", text), written(tmp_path / "a.npy", values)):
        np.testing.assert_array_equal(read_points(path).numpy(), values)


def test_points_are_split_once_into_disjoint_parts(tmp_path):
    values = np.arange(200.0).reshape(100, 2) / 200
    data = FilePointsDataModule(str(written(tmp_path / "a.npy", values)), seed=3)
    data.setup("fit")
    data.setup("test")
    parts = {s: {tuple(r) for r in data.points(s).tolist()} for s in ("train", "val", "test")}
    assert [len(p) for p in parts.values()] == [80, 10, 10]
    assert len(set.union(*parts.values())) == 100
    assert {tuple(r) for (b,) in data.train_dataloader() for r in b.tolist()} == parts["train"]


def test_a_missing_file_is_named_with_the_nearest(tmp_path):
    written(tmp_path / "points.csv", "1,2")
    with pytest.raises(UserError, match=r"no file .*point.csv. Did you mean '.*points.csv'\?"):
        read_points(tmp_path / "point.csv")


def test_points_far_from_noise_give_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="coordinates reach 300"):
        read_points(written(tmp_path / "a.csv", "300,1\n2,3\n"))


def test_impossible_shares_are_refused(tmp_path):
    path = written(tmp_path / "a.npy", np.zeros((50, 2)))
    with pytest.raises(UserError, match=r"val_share must be in \(0, 0.5\), got 0.7"):
        FilePointsDataModule(str(path), val_share=0.7)
