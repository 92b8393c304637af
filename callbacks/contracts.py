"""The contracts of modules and data with callbacks, and the one place where they are checked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from pytorch_lightning import LightningModule, Trainer
from torch import Generator, Tensor

from elbolab.batches import LabelledBatch
from elbolab.errors import UserError
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.samplers import Sampler
from lightning_modules.functional.schedule import Schedule
from lightning_modules.functional.score import DifferentiableScore
from lightning_modules.latent_codec import LatentCodec

__all__ = [
    "Conditional",
    "FromFiles",
    "Generative",
    "ImageLoaders",
    "KnownDensity",
    "LatentBased",
    "LatentImages",
    "Reconstructing",
    "ScoreBased",
    "TrueScore",
    "require",
    "require_data",
]

T = TypeVar("T")


@runtime_checkable
class Generative(Protocol):
    """A module that can be sampled."""

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` draws in data space, ``(n, *shape)``."""
        ...


@runtime_checkable
class Reconstructing(Protocol):
    """A module that can encode and decode what it is shown."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """Examples x ``(B, *shape)`` encoded and decoded again, in data space."""
        ...


@runtime_checkable
class ScoreBased(Protocol):
    """A module that learns a score field over the noise levels of a schedule."""

    schedule: Schedule
    sampler: Sampler

    @property
    def score(self) -> DifferentiableScore:
        """The learned score field."""
        ...

    def noise(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` points of N(0, I), where sampling starts."""
        ...


@runtime_checkable
class TrueScore(ScoreBased, Protocol):
    """A score model of data whose score is known."""

    @property
    def truth(self) -> MixtureScore:
        """The exact score and log-density at every level."""
        ...


@runtime_checkable
class LatentBased(ScoreBased, Generative, Protocol):
    """A module that samples in a VAE's latent space and decodes to images."""

    @property
    def codec(self) -> LatentCodec:
        """The VAE and the statistics of its latents."""
        ...

    def trajectory(
        self, n: int, generator: Generator | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """The way of ``n`` latents from noise to samples, (level, ``(n, d)``)."""
        ...


@runtime_checkable
class Conditional(Protocol):
    """A module that can be asked for samples of a label."""

    guidance: float

    @property
    def classes(self) -> int:
        """The number of labels 0, 1, …."""
        ...

    def sample(
        self,
        n: int,
        generator: Generator | None = None,
        y: Tensor | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """``n`` draws of labels y ``(n,)``, with that weight of guidance."""
        ...


@runtime_checkable
class KnownDensity(Protocol):
    """A data module whose examples lie around a curve and can be drawn at will."""

    centres: Tensor
    """Points of the curve in its order, ``(M, d)``."""
    sigma_0: float
    """Standard deviation of the examples around it."""

    def draw(self, n: int, generator: Generator) -> Tensor:
        """``n`` independent points, ``(n, d)``, from a generator on the CPU."""
        ...


class ImageLoaders(Protocol):
    """A data module whose batches are a `LabelledBatch` of images."""

    def train_dataloader(self) -> Any:
        """Batches of training images."""
        ...

    def val_dataloader(self) -> Any:
        """Batches of validation images."""
        ...

    def test_dataloader(self) -> Any:
        """Batches of test images."""
        ...


@runtime_checkable
class FromFiles(Protocol):
    """A data module whose examples come from files."""

    def source_files(self) -> list[Path]:
        """The files, whose hashes a run's provenance keeps."""
        ...


@runtime_checkable
class LatentImages(Protocol):
    """A data module whose examples are latents of images."""

    images: ImageLoaders
    """Those images."""

    def latents(self, split: str) -> LabelledBatch:
        """All of a split in the images' order, complete on every process."""
        ...


def require(module: LightningModule, contract: type[T], callback: object) -> T:
    """The module as what ``callback`` needs it to be.

    Raises:
        UserError: If it has not the contract's methods.
    """
    return _fulfilling(module, contract, callback, "a module")


def require_data(trainer: Trainer, contract: type[T], callback: object) -> T:
    """The trainer's data module as what ``callback`` needs it to be.

    Raises:
        UserError: If there is none, or it has not the contract's methods.
    """
    data = getattr(trainer, "datamodule", None)  # which type checkers do not see there
    return _fulfilling(data, contract, callback, "a data module")


def _fulfilling(given: Any, contract: type[T], callback: object, kind: str) -> T:
    missing = [name for name in _members(contract) if not _has(given, name)]
    if missing:
        owner = "there is none" if given is None else f"{type(given).__name__} has none"
        raise UserError(
            f"{type(callback).__name__} needs {kind} with {', '.join(missing)}; {owner}: leave the "
            "callback out."
        )
    return given


def _members(contract: type) -> list[str]:
    """Names of a contract's methods, with ``()``, and of its attributes."""
    names: dict[str, None] = {}
    for part in contract.__mro__:
        if getattr(part, "_is_protocol", False) and part is not Protocol:
            names |= dict.fromkeys(vars(part).get("__annotations__", {}))
            names |= {
                f"{name}()" if callable(value) else name: None
                for name, value in vars(part).items()
                if not name.startswith("_")
            }
    return list(names)


def _has(given: object, member: str) -> bool:
    # The class first: asking an object for a property would compute it, and a module's may not be
    # there before its setup.
    name = member.removesuffix("()")
    return hasattr(type(given), name) or hasattr(given, name)
