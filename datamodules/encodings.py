"""The posteriors of all images of a data set, kept in a file for the next time."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.images import ImageDataModule
from datamodules.kept_tensors import keep_tensors, kept_tensors
from datamodules.tensor_batches import TensorBatches
from lightning_modules.latent_codec import LatentCodec

__all__ = ["EncodedImages", "encode_images"]


class EncodedImages(NamedTuple):
    """The posteriors of N images.

    Attributes:
        mean: Their means, ``(N, d)``.
        deviation: Their standard deviations, ``(N, d)``.
        labels: Of the images, int64 ``(N,)``.
    """

    mean: Tensor
    deviation: Tensor
    labels: Tensor


def encode_images(
    codec: LatentCodec, images: ImageDataModule, kept: Path
) -> dict[str, EncodedImages]:
    """Encodes the splits ``train``, ``val`` and ``test``, or reads what an earlier call wrote.

    Args:
        codec: The encoder.
        images: The images, prepared.
        kept: File that holds the result; it counts only for the same weights and images, and
            is written where it can be.
    """
    for stage in ("fit", "test"):
        images.setup(stage)
    loaders = {
        "train": images.train_dataloader(),
        "val": images.val_dataloader(),
        "test": images.test_dataloader(),
    }
    key = _fingerprint(codec, loaders)
    earlier = kept_tensors(kept)
    if isinstance(earlier, dict) and earlier.get("key") == key:
        return {split: EncodedImages._make(earlier[split]) for split in loaders}
    encoded = {split: _encode(codec, loader) for split, loader in loaders.items()}
    keep_tensors(kept, {"key": key, **{split: tuple(each) for split, each in encoded.items()}})
    return encoded


def _encode(codec: LatentCodec, loader: TensorBatches) -> EncodedImages:
    rows = [(*codec.encode(x), y) for x, y in loader]
    return EncodedImages._make(torch.cat(parts) for parts in zip(*rows, strict=True))


def _fingerprint(codec: LatentCodec, loaders: dict[str, TensorBatches]) -> str:
    """A name for this VAE, these images and the way in which batches are made of them."""
    digest = hashlib.sha256()
    for part in codec.fingerprint():
        digest.update(part)
    for loader in loaders.values():
        transform = getattr(loader.transform, "__name__", None)
        digest.update(f"{transform} {loader.seed} {loader.shuffle}".encode())
        for tensor in loader.tensors:
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
