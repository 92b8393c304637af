"""MNIST and KMNIST, downloaded through torchvision or read from a folder.

60,000 + 10,000 images each. Sources: LeCun, Cortes & Burges, *The MNIST database of handwritten
digits*; Clanuwat et al., *Deep Learning for Classical Japanese Literature*, 2018.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor
from torchvision.datasets import KMNIST, MNIST
from torchvision.datasets.mnist import read_image_file, read_label_file

from datamodules.images import ImageDataModule, LabelledImages, check_pixels
from elbolab.cache import cache_folder
from elbolab.errors import UserError

__all__ = ["KMNISTDataModule", "MNISTDataModule"]

CLASSES = 10
"""Labels in both data sets."""


class MNISTDataModule(ImageDataModule):
    """MNIST in batches ``(x, y)``: x ``(B, 1, 28, 28)`` in [0, 1], y ``(B,)`` in 0 … 9.

    Args:
        root: Folder that holds ``MNIST/raw/*-ubyte`` (torchvision's layout), read as it is and
            never written. Without it the files are kept in ``~/.cache/elbolab``, and downloaded
            there when they are missing.
        kwargs: Those of `ImageDataModule`: batch sizes, validation split, binarisation, seeds.

    Raises:
        UserError: If a size is out of range; when the data is prepared, if a file is missing,
            damaged or cannot be downloaded.
    """

    dataset: ClassVar[type[MNIST]] = MNIST
    """The torchvision class that knows the folder's name and where to download from."""

    def __init__(self, root: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root

    @property
    def folder(self) -> Path:
        """Where the four IDX files lie."""
        base = Path(self.root).expanduser() if self.root is not None else cache_folder()
        return base / self.dataset.__name__ / "raw"

    def source_files(self) -> list[Path]:
        """The IDX files that are there."""
        return sorted(self.folder.glob("*-ubyte"))

    def prepare_data(self) -> None:
        """Downloads what is missing (only without ``root``) and checks every file."""
        if self.root is None and not self._complete():
            self._download()
        for train in (True, False):
            check_pixels(*self.load(train), type(self).__name__)

    def load(self, train: bool) -> LabelledImages:
        """Reads the 60,000 training or the 10,000 test images and their labels."""
        prefix = "train" if train else "t10k"
        images = _read(self.folder / f"{prefix}-images-idx3-ubyte", read_image_file)
        labels = _read(self.folder / f"{prefix}-labels-idx1-ubyte", read_label_file)
        if len(labels) and int(labels.max()) >= CLASSES:
            raise UserError(
                f"{self.folder}/{prefix}-labels-idx1-ubyte: labels must be in 0 … {CLASSES - 1}, "
                f"got {int(labels.max())}."
            )
        return images.unsqueeze(1), labels

    def _complete(self) -> bool:
        return len(list(self.folder.glob("*-ubyte"))) == 4  # images and labels, train and test

    def _download(self) -> None:
        try:
            self.dataset(str(cache_folder()), download=True)
        except (RuntimeError, OSError) as error:
            raise UserError(
                f"cannot download {self.dataset.__name__}: give a folder that holds "
                f"{self.dataset.__name__}/raw/*-ubyte with --data.root FOLDER, "
                "or use the embedded digits with --config configs/vae_glyphs.yaml."
            ) from error


class KMNISTDataModule(MNISTDataModule):
    """Cursive Japanese characters in MNIST's format, y ``(B,)`` one of ten.

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


def _read(path: Path, read: Callable[[str], Tensor]) -> Tensor:
    """Reads one IDX file, or says what is wrong with it."""
    if not path.exists():
        raise UserError(
            f"no file {path}: --data.root must name the folder above "
            f"'{path.parent.parent.name}/raw', or be left out to download the data."
        )
    try:
        return read(str(path))
    # torchvision asserts the header and lets torch fail on the rest, each in its own way.
    except (AssertionError, ValueError, TypeError, RuntimeError, IndexError, KeyError) as error:
        raise UserError(
            f"{path} is no IDX file of the expected kind, or is cut off "
            f"({path.stat().st_size} bytes): delete it and download it again."
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
