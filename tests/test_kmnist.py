"""KMNIST: a folder with test images alone serves as the strange set."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_idx

import cli
from datamodules.anomaly import MNISTAgainstKMNIST
from datamodules.mnist import KMNISTDataModule
from elbolab.batches import Origin
from elbolab.errors import UserError


@pytest.fixture
def both(tiny_mnist):
    """A root with MNIST and 30 test images of KMNIST whose labels are not known."""
    pixels = np.random.default_rng(1).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    write_idx(tiny_mnist / "KMNIST/raw/t10k-images-idx3-ubyte", pixels)
    labels = np.full(30, 255, dtype=np.uint8)
    write_idx(tiny_mnist / "KMNIST/raw/t10k-labels-idx1-ubyte", labels)
    return tiny_mnist


def test_test_images_alone_are_accepted(both):
    data = KMNISTDataModule(root=str(both))
    data.prepare_data()
    data.setup("test")
    assert sum(len(x) for x, _ in data.test_dataloader()) == 30


def test_training_on_test_images_alone_names_the_missing_file(both):
    data = KMNISTDataModule(root=str(both))
    with pytest.raises(UserError, match="no file .*KMNIST/raw/train-images-idx3-ubyte"):
        data.setup("fit")


def test_mnist_against_kmnist_takes_one_folder(both):
    data = MNISTAgainstKMNIST(root=str(both), val_size=20, calibration_size=15)
    data.prepare_data()
    data.setup("test")
    origin = torch.cat([batch[2] for batch in data.test_dataloader()])
    assert [int((origin == part).sum()) for part in Origin] == [15, 25, 30]


def test_a_missing_strange_set_is_named_before_a_test_but_not_needed_to_train(tiny_mnist):
    data = MNISTAgainstKMNIST(root=str(tiny_mnist), val_size=20, calibration_size=15)
    data.setup("fit")
    assert sum(len(batch[0]) for batch in data.train_dataloader()) == 100
    with pytest.raises(UserError, match="no file .*KMNIST/raw/t10k-images-idx3-ubyte"):
        data.prepare_data()


def test_an_empty_strange_set_is_refused(both):
    path = both / "KMNIST/raw/t10k-images-idx3-ubyte"
    write_idx(path, np.zeros((0, 28, 28), dtype=np.uint8))
    write_idx(both / "KMNIST/raw/t10k-labels-idx1-ubyte", np.zeros(0, dtype=np.uint8))
    data = MNISTAgainstKMNIST(root=str(both), val_size=20, calibration_size=15)
    with pytest.raises(UserError, match="KMNISTDataModule has no test images|is no IDX file"):
        data.setup("test")


@pytest.mark.real_data
def test_the_105_images_are_accepted_as_they_are(data_root):
    data = MNISTAgainstKMNIST(root=str(data_root))
    data.prepare_data()
    data.setup("test")
    origin = torch.cat([batch[2] for batch in data.test_dataloader()])
    assert [int((origin == part).sum()) for part in Origin] == [5000, 5000, 105]


@pytest.mark.real_data
def test_a_small_flow_tells_kmnist_from_mnist_after_half_an_epoch(workplace, data_root):
    typed = ["--config", "configs/nice.yaml", "--data.root", str(data_root)]
    small = ["--model.hidden", "[256, 256]", "--data.val_size", "1000"]
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "150"]
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
    options = [*small, *short, "--trainer.check_val_every_n_epoch", "1", *quiet]
    assert cli.main(["fit", *typed, *options, "--run_dir", "run"]) == 0
    assert cli.main(["test", "--run_dir", "run", *quiet]) == 0
    found = json.loads(Path("run/metrics.json").read_text())
    assert found["test/log_likelihood"] > 1000
    assert found["test/auroc"] > 0.99
    assert found["test/type_ii_errors"] <= 10
