"""Two image data sets side by side: one to learn, and one that should look strange afterwards."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Generator, Tensor

from datamodules.glyphs import GlyphDataModule
from datamodules.images import ImageDataModule
from datamodules.mnist import KMNISTDataModule, MNISTDataModule
from datamodules.tensor_batches import Batch, TensorBatches
from elbolab.batches import MarkedBatch, Origin
from elbolab.checks import check_in
from elbolab.errors import UserError
from elbolab.seeding import derive_seed

__all__ = ["AnomalyDataModule", "GlyphsAgainstLetters", "MNISTAgainstKMNIST"]


class AnomalyDataModule(LightningDataModule):
    """Trains on one image data set and tests on it and on another one.

    Training and validation batches are those of ``inside``; a batch to test or to predict is a
    `MarkedBatch`. All test images of both sets are in one pass: no
    image is used to train or to choose a checkpoint, and none sets the threshold that it is
    judged by.

    Args:
        inside: The in-distribution set.
        outside: The out-of-distribution set; only its test images are used.
        calibration_size: Images of the inside test set that set the threshold, at least 2; the
            others are tested.
        calibration_seed: Which images those are.
        seed: Of the inside set's batches; the command line links it to ``seed_everything``.

    Raises:
        UserError: If the calibration size is out of range; when the data is set up, if the outside
            set is empty or its images have another shape.
    """

    def __init__(
        self,
        inside: ImageDataModule,
        outside: ImageDataModule,
        calibration_size: int = 5000,
        calibration_seed: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_in("[2, inf)", calibration_size=calibration_size)
        self.inside, self.outside = inside, outside
        self.inside.seed = seed
        self.shape = inside.shape
        self.calibration_size, self.calibration_seed = calibration_size, calibration_seed
        self._test: Batch = ()

    def prepare_data(self) -> None:
        """Fetches and checks the inside set; the outside one too, where it is needed."""
        self.inside.prepare_data()
        if self.trainer is None or self.trainer.testing or self.trainer.predicting:
            self.outside.prepare_data()

    def setup(self, stage: str) -> None:
        """Loads what ``stage`` needs, once."""
        if stage in ("fit", "validate"):
            self.inside.setup(stage)
        elif not self._test:
            inside, outside = _test_set(self.inside), _test_set(self.outside)
            self._check(len(inside[0]), outside[0])
            columns = zip(self._marked(*inside), _whole(*outside, Origin.OUTSIDE), strict=True)
            self._test = MarkedBatch._make(torch.cat(pair) for pair in columns)

    def source_files(self) -> list[Path]:
        """The files of both sets of images."""
        parts = (getattr(data, "source_files", list) for data in (self.inside, self.outside))
        return [path for files in parts for path in files()]

    def train_dataloader(self) -> TensorBatches:
        self.inside.trainer = self.trainer
        return self.inside.train_dataloader()

    def val_dataloader(self) -> TensorBatches:
        self.inside.trainer = self.trainer
        return self.inside.val_dataloader()

    def test_dataloader(self) -> TensorBatches:
        return TensorBatches.for_trainer(
            self.trainer, self._test, self.inside.eval_batch_size, kind=MarkedBatch._make
        )

    def predict_dataloader(self) -> TensorBatches:
        return self.test_dataloader()

    def _marked(self, x: Tensor, y: Tensor) -> MarkedBatch:
        """Test images of the inside set with their origins."""
        generator = Generator().manual_seed(derive_seed(self.calibration_seed, "calibration"))
        chosen = torch.randperm(len(x), generator=generator)[: self.calibration_size]
        x, y, origin, index = _whole(x, y, Origin.INSIDE)
        return MarkedBatch(x, y, origin.index_fill(0, chosen, Origin.CALIBRATION), index)

    def _check(self, tested: int, outside: Tensor) -> None:
        if self.calibration_size >= tested:
            raise UserError(
                f"calibration_size {self.calibration_size} leaves nothing to test: the test set of "
                f"{type(self.inside).__name__} has {tested} images."
            )
        if tuple(outside.shape[1:]) != tuple(self.shape):
            raise UserError(
                f"{type(self.outside).__name__} has images of shape {tuple(outside.shape[1:])}, "
                f"{type(self.inside).__name__} of {tuple(self.shape)}: they must be equal."
            )


def _test_set(data: ImageDataModule) -> tuple[Tensor, Tensor]:
    """All test images of a data module in its own order, on the CPU, and their labels."""
    if len(data.load(train=False)[0]) == 0:
        raise UserError(f"{type(data).__name__} has no test images.")
    data.trainer = None  # which would deal them out to processes
    data.setup("test")
    x, y = zip(*data.test_dataloader(), strict=True)
    return torch.cat(x), torch.cat(y)


def _whole(x: Tensor, y: Tensor, origin: Origin) -> MarkedBatch:
    """A test set of one origin as one batch."""
    return MarkedBatch(x, y, torch.full((len(x),), int(origin)), torch.arange(len(x)))


class MNISTAgainstKMNIST(AnomalyDataModule):
    """Digits to learn, cursive Japanese characters to tell from them.

    Args:
        root: Folder that holds ``MNIST/raw`` and ``KMNIST/raw``; without it both are downloaded to
            ``~/.cache/elbolab``.
        calibration_size: Test images of MNIST that set the threshold.
        calibration_seed: Which images those are.
        seed: Of the batches' order; the command line links it to ``seed_everything``.
        kwargs: Those of `MNISTDataModule`: batch sizes, validation split.
    """

    def __init__(
        self,
        root: str | None = None,
        calibration_size: int = 5000,
        calibration_seed: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        inside = MNISTDataModule(root, **kwargs)
        outside = KMNISTDataModule(root)
        super().__init__(inside, outside, calibration_size, calibration_seed, seed)


class GlyphsAgainstLetters(AnomalyDataModule):
    """The embedded digits to learn, letters of the same fonts to tell from them; no download.

    Args:
        test_size: Test images of digits, and of letters.
        calibration_size: Test images of digits that set the threshold.
        calibration_seed: Which images those are.
        seed: Of the batches' order; the command line links it to ``seed_everything``.
        kwargs: Those of `GlyphDataModule`: training images, batch sizes, validation split.
    """

    def __init__(
        self,
        test_size: int = 10_000,
        calibration_size: int = 5000,
        calibration_seed: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        inside = GlyphDataModule(test_size=test_size, **kwargs)
        outside = GlyphDataModule("letters", train_size=1, test_size=test_size)
        super().__init__(inside, outside, calibration_size, calibration_seed, seed)
