"""Images held in memory as bytes: the base of every such data set, and parts of one by label."""

from abc import ABC, abstractmethod
from typing import Any, Literal, get_args

import torch
from pytorch_lightning import LightningDataModule
from torch import Generator, Tensor

from datamodules.tensor_batches import Batch, TensorBatches
from elbolab.batches import LabelledBatch
from elbolab.checks import check_at_least_one
from elbolab.errors import UserError
from elbolab.seeding import derive_seed

__all__ = ["Binarize", "ImageDataModule", "LabelSubset", "LabelledImages", "check_pixels"]

Binarize = Literal["none", "static", "dynamic"]
LabelledImages = tuple[Tensor, Tensor]
"""Images uint8 ``(N, c, h, w)`` and labels int64 ``(N,)``."""


def check_pixels(images: Tensor, labels: Tensor, name: str) -> None:
    """Refuses what is no set of images with labels: wrong types, wrong ranks, or other labels.

    Raises:
        UserError: Naming ``name``, what it holds and what is wanted.
    """
    if images.dtype != torch.uint8:
        nans = int(images.isnan().sum()) if images.is_floating_point() else 0
        kind = f"{images.dtype}" + (f" with {nans} NaN" if nans else "")
        raise UserError(
            f"{name}: pixels must be bytes (uint8, 0 to 255), got {kind}; "
            "convert values in [0, 1] with (255 * x).round().to(torch.uint8)."
        )
    if images.dim() != 4:
        raise UserError(f"{name}: images must be (N, c, h, w), got {tuple(images.shape)}.")
    if labels.dim() != 1 or labels.is_floating_point() or labels.is_complex():
        kind = f"{labels.dtype} {tuple(labels.shape)}"
        raise UserError(f"{name}: labels must be whole numbers (N,), got {kind}.")
    if len(images) != len(labels):
        raise UserError(f"{name}: {len(images)} images but {len(labels)} labels.")
    if len(labels) and int(labels.min()) < 0:
        raise UserError(f"{name}: labels must be at least 0, got {int(labels.min())}.")


class ImageDataModule(LightningDataModule, ABC):
    """Images in [0, 1] with labels, in memory as bytes, cut into whole batches on the device.

    A batch is a `LabelledBatch`: x float32 ``(B, *shape)`` in [0, 1], y int64 ``(B,)``. A new data
    set writes ``load``, and ``prepare_data`` when something has to be fetched or checked first.

    Args:
        batch_size: Images per training batch and process.
        eval_batch_size: Images per batch in validation, test and prediction; metrics do not
            depend on it.
        val_size: Images split off the training set for validation.
        split_seed: Which images those are.
        binarize: ``none`` keeps grey pixels; ``static`` draws each pixel x ~ Bernoulli(grey value)
            once; ``dynamic`` draws the training images anew in each epoch. Validation and test
            images are drawn once in both.
        seed: Of the batches' order and dynamic binarisation; the command line links it to
            ``seed_everything``.

    Raises:
        UserError: If a size is below 1 or the binarisation unknown; when the data is loaded, if it
            is not what it should be.
    """

    shape: tuple[int, int, int] = (1, 28, 28)

    def __init__(
        self,
        batch_size: int = 64,
        eval_batch_size: int = 1000,
        val_size: int = 5000,
        split_seed: int = 0,
        binarize: Binarize = "none",
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_at_least_one(
            batch_size=batch_size, eval_batch_size=eval_batch_size, val_size=val_size
        )
        if binarize not in get_args(Binarize):
            raise UserError(f"binarize must be none, static or dynamic, got {binarize!r}.")
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_size, self.split_seed = val_size, split_seed
        self.binarize, self.seed = binarize, seed
        self._splits: dict[str, LabelledImages] = {}

    @abstractmethod
    def load(self, train: bool) -> LabelledImages:
        """Reads the official training or test set; called once per process."""

    def setup(self, stage: str) -> None:
        """Loads what ``stage`` needs, once: ``fit`` and ``validate`` the training set's split."""
        if stage in ("fit", "validate") and "train" not in self._splits:
            self._splits |= self._split(*self._checked(train=True))
        if stage in ("test", "predict") and "test" not in self._splits:
            self._splits["test"] = self._fixed("test", *self._checked(train=False))

    def train_dataloader(self) -> TensorBatches:
        return self._batches("train", self.batch_size, shuffle=True)

    def val_dataloader(self) -> TensorBatches:
        return self._batches("val", self.eval_batch_size)

    def test_dataloader(self) -> TensorBatches:
        return self._batches("test", self.eval_batch_size)

    def predict_dataloader(self) -> TensorBatches:
        return self._batches("test", self.eval_batch_size)

    def _checked(self, train: bool) -> LabelledImages:
        images, labels = self.load(train)
        check_pixels(images, labels, type(self).__name__)
        if tuple(images.shape[1:]) != tuple(self.shape):
            raise UserError(
                f"{type(self).__name__}: images are {tuple(images.shape[1:])}, its shape says "
                f"{tuple(self.shape)}."
            )
        return images, labels

    def _split(self, images: Tensor, labels: Tensor) -> dict[str, LabelledImages]:
        if self.val_size >= len(images):
            raise UserError(
                f"val_size {self.val_size} leaves nothing to train on: "
                f"the training set has {len(images)} images."
            )
        generator = Generator().manual_seed(derive_seed(self.split_seed, "split"))
        order = torch.randperm(len(images), generator=generator)
        val, train = order[: self.val_size], order[self.val_size :]
        splits = {"val": self._fixed("val", images[val], labels[val])}
        if self.binarize == "static":
            return splits | {"train": self._fixed("train", images[train], labels[train])}
        return splits | {"train": (images[train], labels[train])}

    def _fixed(self, split: str, images: Tensor, labels: Tensor) -> LabelledImages:
        """Binarises once and for all, unless pixels stay grey."""
        if self.binarize == "none":
            return images, labels
        generator = Generator().manual_seed(derive_seed(self.split_seed, "binarize", split))
        return _bernoulli(images, generator).mul_(255), labels

    def _batches(self, split: str, batch_size: int, shuffle: bool = False) -> TensorBatches:
        dynamic = self.binarize == "dynamic" and split == "train"
        return TensorBatches.for_trainer(
            self.trainer,
            self._splits[split],
            batch_size,
            shuffle=shuffle,
            seed=self.seed,
            transform=_binarized if dynamic else _scaled,
            kind=LabelledBatch._make,
        )


class LabelSubset(ImageDataModule):
    """Images of ``data`` whose label is one of ``labels``, in batches ``(x, y)`` as there.

    Args:
        data: The whole data set; its own batch sizes, split and binarisation do not matter.
        labels: Labels to keep, at least one.
        kwargs: Those of `ImageDataModule`: batch sizes, validation split, binarisation, seeds.

    Raises:
        UserError: If no label is given; when the data is loaded, if no image bears one of them.
    """

    def __init__(self, data: ImageDataModule, labels: list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not labels:
            raise UserError("labels must name at least one label, got [].")
        self.data, self.labels, self.shape = data, labels, data.shape

    def prepare_data(self) -> None:
        """Fetches and checks the whole data set."""
        self.data.prepare_data()

    def load(self, train: bool) -> LabelledImages:
        """The training or test images that bear one of the labels, in their order."""
        images, labels = self.data.load(train)
        kept = torch.isin(labels, torch.tensor(self.labels))
        known = sorted({*labels.tolist()})
        # A small test set may lack one of them.
        lacking = [label for label in self.labels if label not in known] if train else []
        if lacking or not kept.any():
            raise UserError(
                f"no image of {type(self.data).__name__} has the label "
                f"{(lacking or self.labels)[0]}: its labels are {known}."
            )
        return images[kept], labels[kept]


def _bernoulli(images: Tensor, generator: Generator) -> Tensor:
    """Bytes 0 and 1, x ~ Bernoulli(v / 255) for bytes v: x = [u < v], u uniform in 0 … 254."""
    noise = torch.randint(
        255, images.shape, dtype=torch.uint8, generator=generator, device=images.device
    )
    return (noise < images).to(torch.uint8)


def _scaled(batch: Batch, _: Generator) -> Batch:
    """Bytes to [0, 1]."""
    return batch[0].float().div_(255), *batch[1:]


def _binarized(batch: Batch, generator: Generator) -> Batch:
    return _bernoulli(batch[0], generator).float(), *batch[1:]
