"""KMNIST: 60,000 + 10,000 cursive Japanese characters in MNIST's format.

Source: Clanuwat et al., *Deep Learning for Classical Japanese Literature*, 2018.
"""

from torchvision.datasets import KMNIST

from datamodules.images import check_pixels
from datamodules.mnist import MNISTDataModule

__all__ = ["KMNISTDataModule"]


class KMNISTDataModule(MNISTDataModule):
    """KMNIST in batches ``(x, y)``: x ``(B, 1, 28, 28)`` in [0, 1], y ``(B,)`` the character.

    As an out-of-distribution set it needs no more than test images, so a folder without the
    training files is accepted until somebody trains on it. Arguments and errors are those of
    `MNISTDataModule`; the files lie in ``KMNIST/raw``.
    """

    dataset = KMNIST

    def prepare_data(self) -> None:
        """Downloads what is missing (only without ``root``) and checks the test files."""
        if self.root is None and not self._complete():
            self._download()
        check_pixels(*self.load(train=False), type(self).__name__)
