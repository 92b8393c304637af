"""Image data sets: splits, binarisation, caching, and files that are wrong."""

import numpy as np
import pytest
import torch
from conftest import write_idx

from datamodules.glyphs import GlyphDataModule
from datamodules.images import ImageDataModule, check_pixels
from datamodules.mnist import MNISTDataModule
from elbolab.errors import UserError


class Ramp(ImageDataModule):
    """Images whose pixels are all equal to their own number."""

    def load(self, train):
        values = torch.arange(200 if train else 50, dtype=torch.uint8)
        return values.view(-1, 1, 1, 1).expand(-1, 1, 28, 28).contiguous(), values.long()


def batches(data: ImageDataModule, split: str):
    data.setup("fit" if split != "test" else "test")
    loader = getattr(data, f"{split}_dataloader")()
    return [torch.cat(parts) for parts in zip(*loader, strict=True)]


def test_pixels_are_scaled_to_the_unit_interval_and_stay_with_their_labels():
    x, y = batches(Ramp(val_size=20), "train")
    assert x.dtype == torch.float32
    torch.testing.assert_close(x[:, 0, 0, 0], y / 255)


def test_the_split_is_disjoint_complete_and_depends_on_its_seed_alone():
    def labels(**options):
        data = Ramp(val_size=20, **options)
        return sorted(batches(data, "train")[1].tolist()), sorted(batches(data, "val")[1].tolist())

    train, val = labels()
    assert len(val) == 20
    assert sorted(train + val) == list(range(200))
    assert labels(seed=7) == (train, val)
    assert labels(split_seed=1)[1] != val


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_binarised_pixels_are_one_with_their_grey_value_as_probability(binarize):
    x, y = batches(Ramp(val_size=20, binarize=binarize), "train")
    assert set(x.unique().tolist()) == {0.0, 1.0}
    p = y / 255
    pixels = x[0].numel()
    standard_error = (p * (1 - p) / pixels).sqrt()
    deviation = (x.flatten(1).mean(1) - p).abs()
    # Seeded; the largest of 180 standard normal deviations exceeds 5 once in 10,000 trials.
    assert bool((deviation <= 5 * standard_error).all())


def test_black_stays_black_and_white_stays_white_when_binarised():
    class Extremes(Ramp):
        def load(self, train):
            values = torch.tensor([0, 255] * 20, dtype=torch.uint8)
            return values.view(-1, 1, 1, 1).expand(-1, 1, 28, 28).contiguous(), values.long()

    x, y = batches(Extremes(val_size=4, binarize="dynamic"), "train")
    torch.testing.assert_close(x.flatten(1).mean(1), y / 255)


@pytest.mark.parametrize(("binarize", "changes"), [("static", False), ("dynamic", True)])
def test_only_dynamic_binarisation_changes_from_epoch_to_epoch(binarize, changes):
    data = Ramp(val_size=20, binarize=binarize)
    data.setup("fit")

    def epoch(number):
        loader = data.train_dataloader()
        loader.set_epoch(number)
        x, y = (torch.cat(parts) for parts in zip(*loader, strict=True))
        return x[y.argsort()]

    assert torch.equal(epoch(0), epoch(1)) is not changes
    first, second = batches(data, "val")[0], batches(data, "val")[0]
    assert torch.equal(first, second)


def test_test_images_are_the_same_for_every_batch_size_and_seed():
    small = batches(Ramp(binarize="dynamic", eval_batch_size=7), "test")[0]
    large = batches(Ramp(binarize="dynamic", eval_batch_size=50, seed=4), "test")[0]
    assert torch.equal(small, large)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"eval_batch_size": -1}, "eval_batch_size must be at least 1, got -1"),
        ({"val_size": 0}, "val_size must be at least 1, got 0"),
    ],
)
def test_impossible_sizes_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Ramp(**options)


def test_a_split_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(UserError, match="val_size 200 leaves nothing to train on"):
        Ramp(val_size=200).setup("fit")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.rand(3, 1, 2, 2), torch.zeros(3), r"must be bytes .* got torch.float32; convert"),
        (torch.full((3, 1, 2, 2), torch.nan), torch.zeros(3), "torch.float32 with 12 NaN"),
        (
            torch.zeros(3, 2, 2, dtype=torch.uint8),
            torch.zeros(3),
            r"\(N, c, h, w\), got \(3, 2, 2\)",
        ),
        (
            torch.zeros(3, 1, 2, 2, dtype=torch.uint8),
            torch.zeros(4).long(),
            "3 images but 4 labels",
        ),
    ],
    ids=["float", "NaN", "rank", "count"],
)
def test_tensors_that_are_no_labelled_images_are_refused(images, labels, message):
    with pytest.raises(UserError, match=message):
        check_pixels(images, labels, "mine")


def test_glyphs_are_rendered_once_and_then_read_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    small = {"train_size": 60, "test_size": 20, "val_size": 10}
    first = GlyphDataModule(**small)
    first.prepare_data()
    files = list((tmp_path / "elbolab/glyphs").iterdir())
    assert len(files) == 2
    monkeypatch.setattr("datamodules.glyph_images.render_glyphs", None)
    images, labels = GlyphDataModule(**small).load(train=True)
    assert images.shape == (60, 1, 28, 28)
    assert torch.equal(labels, first.load(train=True)[1])


def test_training_and_test_glyphs_differ(workplace):
    data = GlyphDataModule(train_size=50, test_size=50, val_size=5)
    train, test = (data.load(train=train)[0].flatten(1) for train in (True, False))
    assert float(torch.cdist(train.float(), test.float()).min()) > 0


def test_letters_have_labels_of_their_own(workplace):
    _, labels = GlyphDataModule(characters="letters", train_size=60, val_size=5).load(train=True)
    assert len(labels.unique()) == 12


def test_mnist_reads_torchvisions_layout(tiny_mnist):
    data = MNISTDataModule(root=str(tiny_mnist), val_size=20)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    assert sum(len(x) for x, _ in data.train_dataloader()) == 100
    raw = np.frombuffer((tiny_mnist / "MNIST/raw/t10k-images-idx3-ubyte").read_bytes()[16:], "u1")
    x = torch.cat([x for x, _ in data.test_dataloader()])
    np.testing.assert_allclose(x.numpy().ravel() * 255, raw, atol=1e-4)


def damage(root, kind):
    raw = root / "MNIST/raw"
    images, labels = raw / "train-images-idx3-ubyte", raw / "train-labels-idx1-ubyte"
    if kind == "missing":
        images.unlink()
    elif kind == "truncated":
        images.write_bytes(images.read_bytes()[:5000])
    elif kind == "magic":
        images.write_bytes(b"\x89PNG" + images.read_bytes()[4:])
    elif kind == "empty":
        images.write_bytes(b"")
    elif kind == "labels":
        write_idx(labels, np.zeros(119, dtype=np.uint8))
    elif kind == "float":
        write_idx(images, np.zeros((120, 28, 28), dtype=">f4"), kind=13)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no file .*train-images-idx3-ubyte: --data.root must name"),
        ("truncated", r"train-images-idx3-ubyte is no IDX file .* \(5000 bytes\)"),
        ("magic", "train-images-idx3-ubyte is no IDX file"),
        ("empty", r"train-images-idx3-ubyte is no IDX file .* \(0 bytes\)"),
        ("labels", "120 images but 119 labels"),
        ("float", "train-images-idx3-ubyte is no IDX file of the expected kind"),
    ],
)
def test_damaged_files_are_named(tiny_mnist, kind, message):
    damage(tiny_mnist, kind)
    with pytest.raises(UserError, match=message):
        MNISTDataModule(root=str(tiny_mnist)).prepare_data()


def test_no_download_possible_says_what_else_to_do(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", unreachable)
    with pytest.raises(UserError, match="--data.root FOLDER.*vae_glyphs.yaml"):
        MNISTDataModule().prepare_data()
