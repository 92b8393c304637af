"""From images to standardised latents and back: a frozen VAE as score models use it."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Generator, Tensor
from torch.distributions.constraints import real

from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory
from lightning_modules.checkpoints import trained_checkpoint
from lightning_modules.vae import VAE

__all__ = ["CODEC", "LatentCodec", "trained_codec"]

CODEC = "codec"
"""Where a score model's checkpoint keeps its codec."""

CARRIED = ("hyper_parameters", "state_dict", "pytorch-lightning_version")
"""What of a VAE's checkpoint is needed to build it again."""


class LatentCodec:
    """A frozen VAE and the statistics that standardise its latents: u = (z − m)/c.

    No ``nn.Module``, so that a score model can hold it as an attribute and still has no weights but
    its own.

    Args:
        checkpoint: A VAE's checkpoint as Lightning wrote it; what resuming needs may be missing.
        source: What to call it when something is wrong with it.

    Raises:
        UserError: If it is no VAE's, or its latents are not vectors over R^d.
    """

    def __init__(self, checkpoint: dict[str, Any], source: str) -> None:
        if "latent_dim" not in checkpoint.get("hyper_parameters", {}):
            raise UserError(f"{source} is no checkpoint of a VAE: latents are a VAE's.")
        self.carried = {name: checkpoint[name] for name in CARRIED}
        self.vae = _built(self.carried).requires_grad_(False).eval()
        if self.vae.posterior.support is not real or len(self.vae.latent_shape) != 1:
            raise UserError(
                f"{source}: the latents of {type(self.vae.posterior).__name__} are not vectors in "
                "R^d, where score models live; take a VAE with DiagonalGaussianPosterior."
            )
        self.shift, self.scale = torch.zeros(self.dim), torch.ones(self.dim)

    @property
    def dim(self) -> int:
        """d, the number of latent dimensions."""
        return self.vae.latent_dim

    def to(self, device: torch.device) -> "LatentCodec":
        """Moves the VAE and the statistics to a device, and returns the codec."""
        self.vae.to(device)
        self.shift, self.scale = self.shift.to(device), self.scale.to(device)
        return self

    @torch.no_grad()
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z|x), ``(B, d)`` each, for images x ``(B, *shape)``."""
        q = self.vae.encode(x)
        return q.mean, q.stddev

    def standardise(self, z: Tensor) -> Tensor:
        """u = (z − m)/c for latents z ``(B, d)``."""
        return (z - self.shift) / self.scale

    @torch.no_grad()
    def decode(self, u: Tensor) -> Tensor:
        """Images ``(B, *shape)`` in [0, 1] for standardised latents u ``(B, d)``."""
        return self.vae.decode(u * self.scale + self.shift).mean

    @torch.no_grad()
    def prior_samples(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` images ``(n, *shape)`` from the VAE's own prior."""
        return self.vae.sample(n, generator)

    def same_as(self, other: "LatentCodec") -> bool:
        """Whether both are the same VAE with the same statistics."""
        mine, theirs = self._tensors(), other._tensors()
        return mine.keys() == theirs.keys() and all(
            mine[name].shape == theirs[name].shape
            and torch.allclose(mine[name].cpu(), theirs[name].cpu(), rtol=1e-4, atol=1e-6)
            for name in mine
        )

    def fingerprint(self) -> Iterator[bytes]:
        """Bytes that tell this VAE from any other: its hyperparameters and its weights."""
        yield repr(self.carried["hyper_parameters"]).encode()
        for tensor in self.vae.state_dict().values():
            yield tensor.cpu().numpy().tobytes()

    def to_checkpoint(self) -> dict[str, Any]:
        """Plain values and tensors from which `from_checkpoint` builds the codec again."""
        return {"vae": self.carried, "shift": self.shift.cpu(), "scale": self.scale.cpu()}

    @classmethod
    def from_checkpoint(cls, saved: dict[str, Any], source: str) -> "LatentCodec":
        """The codec that `to_checkpoint` described."""
        codec = cls(saved["vae"], source)
        codec.shift, codec.scale = saved["shift"], saved["scale"]
        return codec

    def _tensors(self) -> dict[str, Tensor]:
        return {**self.vae.state_dict(), "shift": self.shift, "scale": self.scale}


def trained_codec(run: RunDirectory) -> LatentCodec:
    """The codec of a finished run: of its VAE, or the one that a score model carries.

    Raises:
        UserError: If there is no such run, or it is not whole, or of another kind.
    """
    checkpoint = trained_checkpoint(run, "latent_vae")
    path = str(run.checkpoint("best"))
    if CODEC in checkpoint:
        return LatentCodec.from_checkpoint(checkpoint[CODEC], path)
    return LatentCodec(checkpoint, path)


def _built(carried: dict[str, Any]) -> VAE:
    buffer = io.BytesIO()
    torch.save(carried, buffer)
    buffer.seek(0)
    file = cast(Path, buffer)  # a file will do where Lightning's annotation wants a path
    return VAE.load_from_checkpoint(file, map_location="cpu", weights_only=True)
