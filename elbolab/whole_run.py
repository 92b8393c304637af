"""How a model names the callbacks that its run needs, without knowing them."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["WholeRun"]


@dataclass(frozen=True)
class WholeRun:
    """The callbacks that make a model's run a whole one, as class paths.

    A model has one as its class attribute ``whole_run``. Paths and not classes, as in a
    configuration: models know no callbacks.

    Attributes:
        figures: What logs the figures that the run is judged by.
        monitor: The figure by which the best checkpoint is chosen, such as ``val/elbo``.
        mode: Whether the best is its maximum or its minimum.
        pictures: What draws.
    """

    figures: tuple[str, ...]
    monitor: str
    mode: Literal["min", "max"]
    pictures: tuple[str, ...] = ()
