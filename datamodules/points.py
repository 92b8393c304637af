"""Points in the plane: the base of such data sets, and those that a person brings along."""

import warnings
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch import Generator, Tensor

from datamodules.tensor_batches import Batch, TensorBatches, Transform
from elbolab.batches import PointBatch
from elbolab.checks import check_at_least_one, check_in
from elbolab.errors import UserError, did_you_mean
from elbolab.files import one_line, read_text, shown
from elbolab.seeding import derive_seed

__all__ = ["FilePointsDataModule", "PointDataModule", "read_points"]

FARTHEST = 1e6
"""Coordinates beyond this are refused: their squares and sums lose all digits in float32."""
OUT_OF_RANGE = f"must be finite and within ±{FARTHEST:g}"

FAR = 5.0
"""Coordinates beyond this are far outside N(0, I), where score models start."""


class PointDataModule(LightningDataModule, ABC):
    """Points in memory, cut into whole `PointBatch`es on the device: x float32 ``(B, 2)``.

    A new data set writes ``points``, and ``transform`` when training draws anew in each epoch.

    Args:
        batch_size: Points per training batch and process.
        eval_batch_size: Points per batch in validation, test and prediction.
        seed: Of the batches' order and of the training's noise; the command line links it to
            ``seed_everything``.

    Raises:
        UserError: If a size is below 1.
    """

    shape: tuple[int] = (2,)

    def __init__(self, batch_size: int = 500, eval_batch_size: int = 2000, seed: int = 0) -> None:
        super().__init__()
        check_at_least_one(batch_size=batch_size, eval_batch_size=eval_batch_size)
        self.batch_size, self.eval_batch_size, self.seed = batch_size, eval_batch_size, seed
        self._splits: dict[str, Tensor] = {}

    @abstractmethod
    def points(self, split: str) -> Tensor:
        """All points of ``train``, ``val`` or ``test``, ``(N, 2)``."""

    def transform(self, batch: Batch, generator: Generator) -> Batch:
        """Returns the batch that training sees in place of this one; by default the same."""
        return batch

    def setup(self, stage: str) -> None:
        """Makes what ``stage`` needs, once."""
        needed = {"fit": ("train", "val"), "validate": ("val",)}.get(stage, ("test",))
        for split in needed:
            if split not in self._splits:
                self._splits[split] = self.points(split)

    def train_dataloader(self) -> TensorBatches:
        return self._batches("train", self.batch_size, True, self.transform)

    def val_dataloader(self) -> TensorBatches:
        return self._batches("val", self.eval_batch_size)

    def test_dataloader(self) -> TensorBatches:
        return self._batches("test", self.eval_batch_size)

    def predict_dataloader(self) -> TensorBatches:
        return self._batches("test", self.eval_batch_size)

    def _batches(
        self, split: str, size: int, shuffle: bool = False, transform: Transform | None = None
    ) -> TensorBatches:
        return TensorBatches.for_trainer(
            self.trainer,
            [self._splits[split]],
            size,
            shuffle=shuffle,
            seed=self.seed,
            transform=transform,
            kind=PointBatch._make,
        )


class FilePointsDataModule(PointDataModule):
    """Points of one's own from ``.csv`` (two numbers a line, no header) or ``.npy`` ``(N, 2)``.

    They are used as they are, so they should lie about within [−2, 2]². For `ScoreModel`, not for
    `SpiralScore`: nobody knows their density.

    Args:
        path: The file.
        val_share: Share of the points kept for validation, in (0, 0.5).
        test_share: Share kept for testing, in (0, 0.5).
        split_seed: Which points those are.
        batch_size: Points per training batch and process.
        eval_batch_size: Points per batch in validation, test and prediction.
        seed: Of the batches' order.

    Raises:
        UserError: If the file is missing or holds anything but finite pairs of numbers, if a share
            or size is out of range, or if a part would be empty.
    """

    def __init__(
        self,
        path: str,
        val_share: float = 0.1,
        test_share: float = 0.1,
        split_seed: int = 0,
        batch_size: int = 500,
        eval_batch_size: int = 2000,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed)
        check_in("(0, 0.5)", val_share=val_share, test_share=test_share)
        self.path = Path(path)
        points = read_points(self.path)
        generator = Generator().manual_seed(derive_seed(split_seed, "split"))
        shuffled = points[torch.randperm(len(points), generator=generator)]
        val, test = int(val_share * len(points)), int(test_share * len(points))
        if min(val, test) < 1:
            raise UserError(
                f"{path}: {len(points)} points leave none to validate or test on; bring more, or "
                "larger shares."
            )
        parts = shuffled.split([val, test, len(points) - val - test])
        self._parts: dict[str, Tensor] = dict(zip(("val", "test", "train"), parts, strict=True))

    def source_files(self) -> list[Path]:
        """The one file."""
        return [self.path]

    def points(self, split: str) -> Tensor:
        return self._parts[split]


def read_points(path: Path) -> Tensor:
    """Points ``(N, 2)``, float32, from a ``.csv`` or ``.npy`` file.

    Raises:
        UserError: Naming the file, what is wrong, and in which line or row.
    """
    readers = {".csv": _read_csv, ".npy": _read_npy}
    if path.suffix not in readers:
        raise UserError(f"{one_line(path)}: points must be in a .csv or .npy file.")
    if not path.is_file():
        near = did_you_mean(str(path), [str(p) for p in path.parent.glob(f"*{path.suffix}")])
        raise UserError(f"no file {one_line(path)}.{near}")
    points = readers[path.suffix](path)
    if len(points) == 0:
        raise UserError(f"{path} holds no points.")
    if (reach := np.abs(points).max()) > FAR:
        warnings.warn(
            f"{path}: coordinates reach {reach:.3g}; score models start from N(0, I) and learn "
            "best what lies within about [−2, 2]: shift and scale the points.",
            stacklevel=2,
        )
    return torch.from_numpy(points.astype(np.float32))


def _read_csv(path: Path) -> np.ndarray:
    lines = enumerate(read_text(path).splitlines(), 1)
    points = [_point(line, f"{path}, line {number},") for number, line in lines if line.strip()]
    return np.array(points).reshape(-1, 2)


def _point(line: str, where: str) -> tuple[float, float]:
    cells = line.split(",")
    if len(cells) != 2:
        raise UserError(
            f"{where} has {len(cells)} columns, wanted two numbers (x,y): '{shown(line)}'."
        )
    try:
        x, y = (float(cell) for cell in cells)
    except ValueError as error:
        hint = ": such a file has no header" if "line 1," in where else ""
        raise UserError(f"{where} is no pair of numbers{hint}: '{shown(line)}'.") from error
    if not max(abs(x), abs(y)) <= FARTHEST:  # not a number is not within it either
        raise UserError(f"{where} {OUT_OF_RANGE}, got '{shown(line)}'.")
    return x, y


def _read_npy(path: Path) -> np.ndarray:
    try:
        points = np.load(path, allow_pickle=False)
    except Exception as error:  # of a damaged file NumPy says so in many ways
        raise UserError(
            f"{path} is damaged or no .npy file of numbers ({shown(str(error))})."
        ) from error
    if not isinstance(points, np.ndarray):
        raise UserError(f"{path} holds several arrays: save one with np.save.")
    if points.dtype.kind not in "fiu":
        raise UserError(f"{path}: wanted real numbers, got {points.dtype}.")
    if points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"{path}: wanted two columns (x, y), got shape {points.shape}.")
    within = (np.abs(points.astype(np.float64)) <= FARTHEST).all(1)
    if len(wrong := np.flatnonzero(~within)):
        row = points[wrong[0]].tolist()
        raise UserError(f"{path}, row {wrong[0] + 1}, {OUT_OF_RANGE}, got {row}.")
    return points
