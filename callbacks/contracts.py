"""What callbacks expect of a module and of its data."""

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from torch import Generator, Tensor

from elbolab.errors import UserError
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.samplers import Sampler
from lightning_modules.functional.schedule import Schedule
from lightning_modules.functional.score import Score
from lightning_modules.latent_codec import LatentCodec

__all__ = [
    "Conditional",
    "Generative",
    "LatentBased",
    "Reconstructing",
    "ScoreBased",
    "SpiralData",
    "TrueScore",
    "image_data",
    "require",
    "spiral_data",
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
        """What is left of x ``(B, *shape)`` after the latents, in data space."""
        ...


@runtime_checkable
class ScoreBased(Protocol):
    """A module that learns a score field over the noise levels of a schedule."""

    schedule: Schedule
    sampler: Sampler

    @property
    def score(self) -> Score:
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


class SpiralData(Protocol):
    """Data of known density, that can be drawn at will."""

    centres: Tensor
    sigma_0: float

    def draw(self, n: int, generator: Generator) -> Tensor:
        """``n`` independent points, ``(n, d)``, from a generator on the CPU."""
        ...


def spiral_data(trainer: Trainer) -> SpiralData:
    """The trainer's data module, where it is one of known density."""
    found: Any = trainer  # which type checkers do not see there
    return found.datamodule


def image_data(trainer: Trainer) -> LightningDataModule:
    """The images behind the trainer's latents.

    Raises:
        UserError: If its data are not latents of images.
    """
    found: Any = trainer
    if not hasattr(found.datamodule, "images"):
        raise UserError("this needs latents of images: take LatentDataModule.")
    return found.datamodule.images


def require(pl_module: LightningModule, contract: type[T], callback: object) -> T:
    """The module as what ``callback`` needs it to be.

    Raises:
        UserError: If it has not the contract's methods.
    """
    if not isinstance(pl_module, contract):
        methods = ", ".join(name for name in vars(contract) if not name.startswith("_"))
        raise UserError(
            f"{type(callback).__name__} needs a module with {methods}(); "
            f"{type(pl_module).__name__} has none: leave the callback out."
        )
    return pl_module
