"""Diffusion in the latent space of a VAE."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

from elbolab.errors import UserError
from elbolab.whole_run import WholeRun
from lightning_modules.latent_codec import CODEC, LatentCodec
from lightning_modules.score import ScoreModel

__all__ = ["LatentScore", "LatentSource"]


@runtime_checkable
class LatentSource(Protocol):
    """A data module whose examples are standardised latents of a VAE."""

    codec: LatentCodec


class LatentScore(ScoreModel):
    """`ScoreModel` of a frozen VAE's standardised latents; its samples are decoded to images.

    The VAE comes with the data, which are a `LatentSource`. A checkpoint carries it with the
    statistics of the latents, so that sampling needs nothing else.

    Args:
        kwargs: Those of `ScoreModel`.
    """

    whole_run = WholeRun(
        figures=("callbacks.monitors.hyvarinen.HyvarinenMonitor",),
        monitor="val/hyvarinen",
        mode="min",
        pictures=(
            "callbacks.pictures.images.SampleGrid",
            "callbacks.pictures.latent_pictures.LatentProcess",
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._codec: LatentCodec | None = None

    @property
    def codec(self) -> LatentCodec:
        """The VAE with the statistics of its latents, on this module's device.

        Raises:
            UserError: If there is none yet: neither data nor a checkpoint has given it.
        """
        if self._codec is None:
            raise UserError(
                f"{type(self).__name__} needs latents of a VAE: take LatentDataModule, or load a "
                "checkpoint, which carries its VAE."
            )
        return self._codec.to(self.device)

    def setup(self, stage: str) -> None:
        data = getattr(self._trainer, "datamodule", None)
        if isinstance(data, LatentSource):
            self.decode_with(data.codec)
        self.codec  # noqa: B018  says what is missing before anything is trained

    def decode_with(self, codec: LatentCodec) -> None:
        """Takes a copy of the codec whose latents the model is fitted to.

        Raises:
            UserError: If the model has one already, of other latents.
        """
        if self._codec is not None and not codec.same_as(self._codec):
            raise UserError(
                "the data's latents are those of another VAE than the checkpoint's: give the VAE "
                "run that the model was fitted to with --data.vae_run."
            )
        self._codec = deepcopy(codec)  # the data's own stays on the data's device

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` images ``(n, *image shape)`` in [0, 1]: the decoder's means at sampled latents."""
        return self.codec.decode(self.sample_latents(n, generator))

    def sample_latents(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` standardised latents, ``(n, d)``."""
        return super().sample(n, generator)

    @torch.no_grad()
    def trajectory(
        self, n: int, generator: Generator | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """The way of ``n`` latents from noise to samples: (level, ``(n, d)``) from K down to 0."""
        x = self.noise(n, generator)
        yield from self.sampler.trajectory(self.score, x, self.schedule, generator)

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        return {"latents": batch[0]}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[CODEC] = self.codec.to_checkpoint()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if CODEC not in checkpoint:
            raise UserError(
                f"the checkpoint carries no VAE: it is not one of {type(self).__name__}."
            )
        self.decode_with(LatentCodec.from_checkpoint(checkpoint[CODEC], "the checkpoint"))
