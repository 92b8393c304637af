"""Images of a data set that bear certain labels, to learn some classes and meet others later."""

from typing import Any

import torch

from datamodules.images import ImageDataModule, LabelledImages
from elbolab.errors import UserError

__all__ = ["LabelSubset"]


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
        if not kept.any():
            raise UserError(
                f"no image of {type(self.data).__name__} has a label of {self.labels}: "
                f"its labels are {sorted({*labels.tolist()})}."
            )
        return images[kept], labels[kept]
