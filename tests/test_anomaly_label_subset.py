"""Some classes of a data set as a data set of their own."""

import pytest
import torch

import cli
from datamodules.images import ImageDataModule, LabelSubset
from elbolab.errors import UserError


class Numbered(ImageDataModule):
    """Images 0 … 99 whose pixels and tens are their number; labels are their last digit."""

    def load(self, train):
        values = torch.arange(100, dtype=torch.uint8) + (0 if train else 100)
        return values.view(-1, 1, 1, 1).expand(-1, 1, 28, 28), values.long() % 10


def test_a_subset_holds_all_images_of_its_labels_and_no_others():
    data = LabelSubset(Numbered(), [3, 7], val_size=5)
    images, labels = data.load(train=False)
    assert images[:, 0, 0, 0].tolist() == [n for n in range(100, 200) if n % 10 in (3, 7)]
    assert labels.tolist() == [3, 7] * 10
    data.setup("fit")
    assert sum(len(x) for x, _ in data.train_dataloader()) == 15
    assert data.shape == (1, 28, 28)


def test_labels_that_no_image_bears_are_refused():
    with pytest.raises(UserError, match="labels must name at least one"):
        LabelSubset(Numbered(), [])
    with pytest.raises(UserError, match=r"no image of Numbered has the label 12.*\[0, 1, 2"):
        LabelSubset(Numbered(), [12]).load(train=True)


def test_the_shipped_hard_pair_replaces_the_data_of_another_configuration(workplace, tiny_mnist):
    pair = "configs/data/mnist_without_ones.yaml"
    typed = ["--config", "configs/nice_glyphs.yaml", "--config", pair]
    roots = [f"--data.{part}.data.root={tiny_mnist}" for part in ("inside", "outside")]
    short = ["--data.inside.val_size", "20", "--data.calibration_size", "20"]
    trial = ["--trainer.fast_dev_run", "2", "--trainer.accelerator", "cpu"]
    assert cli.main(["fit", *typed, *roots, *short, *trial]) == 0
