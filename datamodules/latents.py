"""Latents of a trained VAE: what latent score models are fitted to."""

import hashlib
import io
import warnings
from argparse import ArgumentError
from collections.abc import Iterable
from pathlib import Path

import torch
import yaml
from jsonargparse import ArgumentParser
from pytorch_lightning import LightningDataModule
from torch import Generator, Tensor

from datamodules.images import ImageDataModule
from datamodules.tensor_batches import Batch, TensorBatches
from elbolab.checks import check_at_least_one
from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory, write_atomically
from lightning_modules.checkpoints import read_checkpoint, trained_checkpoint
from lightning_modules.latent_codec import CODEC, LatentCodec

__all__ = ["LatentDataModule"]

SPLITS = ("train", "val", "test")
Encoded = dict[str, tuple[Tensor, Tensor, Tensor]]
"""Of each split posterior means and standard deviations ``(N, d)``, and labels ``(N,)``."""


class LatentDataModule(LightningDataModule):
    """Standardised latents of images with their labels, encoded once by a VAE that was fitted.

    A batch is ``(u, y)``: u float32 ``(B, d)``, every dimension of mean 0 and variance 1 over the
    training images, y int64 ``(B,)``. The images are those that the VAE was fitted to, with its
    division into training, validation and test set. What the encoder found is kept in the VAE's run
    directory, in ``latents.pt``, and used as long as weights and images stay the same.

    Args:
        vae_run: Run directory of the VAE, or of a score model, which carries its VAE.
        images: Other images; by default those of the VAE's own configuration.
        fresh_samples: Whether training draws z ~ q(z|x) anew in each epoch, and evaluation too, in
            place of the posterior's mean.
        batch_size: Latents per training batch and process.
        eval_batch_size: Latents per batch in validation, test and prediction.
        seed: Of the batches' order and of fresh samples; the command line links it to
            ``seed_everything``.

    Raises:
        UserError: If there is no such run, or it is not whole, or no VAE's; if a size is below 1.
    """

    def __init__(
        self,
        vae_run: str,
        images: ImageDataModule | None = None,
        fresh_samples: bool = False,
        batch_size: int = 500,
        eval_batch_size: int = 2000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_at_least_one(batch_size=batch_size, eval_batch_size=eval_batch_size)
        run = RunDirectory(Path(vae_run))
        self.codec = _codec_of(run)
        self.images = images or _images_of(run)
        if self.images.shape != tuple(self.codec.vae.shape):
            raise UserError(
                f"the VAE of {vae_run} takes images {tuple(self.codec.vae.shape)}, "
                f"{type(self.images).__name__} has {self.images.shape}."
            )
        self.shape = (self.codec.dim,)
        self.fresh_samples, self.seed = fresh_samples, seed
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self._kept, self._encoded = run.path / "latents.pt", Encoded()

    def prepare_data(self) -> None:
        """Fetches the images, encodes them and keeps the result, on one process."""
        self.images.prepare_data()
        self._encode()

    def setup(self, stage: str) -> None:
        """Encodes what is not kept, and standardises with the statistics of the training images."""
        if self._encoded:
            return
        self._encoded = self._encode()
        mean, deviation, _ = self._encoded["train"]
        # The variance of fresh samples is that of the means and the posteriors' own together.
        own = deviation.square().mean(0) if self.fresh_samples else 0
        self.codec.shift = mean.mean(0)
        self.codec.scale = (mean.var(0) + own).sqrt().clamp_min(1e-6)

    def train_dataloader(self) -> TensorBatches:
        return self._batches("train", self.batch_size, shuffle=True)

    def val_dataloader(self) -> TensorBatches:
        return self._batches("val", self.eval_batch_size)

    def test_dataloader(self) -> TensorBatches:
        return self._batches("test", self.eval_batch_size)

    def predict_dataloader(self) -> TensorBatches:
        return self._batches("test", self.eval_batch_size)

    def _batches(self, split: str, batch_size: int, shuffle: bool = False) -> TensorBatches:
        mean, deviation, labels = self._encoded[split]
        u = self.codec.standardise(mean)
        fresh = self.fresh_samples
        return TensorBatches.for_trainer(
            self.trainer,
            [u, labels, deviation / self.codec.scale] if fresh else [u, labels],
            batch_size,
            shuffle=shuffle,
            seed=self.seed,
            transform=_drawn if fresh else None,
        )

    def _encode(self) -> Encoded:
        """What is kept, if it is of these weights and images; otherwise the encoder's answer."""
        for stage in ("fit", "test"):
            self.images.setup(stage)
        found = (
            self.images.train_dataloader(),
            self.images.val_dataloader(),
            self.images.test_dataloader(),
        )
        loaders = dict(zip(SPLITS, found, strict=True))
        key = _digest(self.codec, loaders.values())
        if (kept := self._read(key)) is not None:
            return kept
        encoded = {split: self._through_encoder(loader) for split, loader in loaders.items()}
        buffer = io.BytesIO()
        torch.save({"key": key, **encoded}, buffer)
        try:
            write_atomically(self._kept, buffer.getvalue())
        except OSError as error:
            warnings.warn(f"latents are not kept: cannot write {self._kept}: {error}", stacklevel=2)
        return encoded

    def _read(self, key: str) -> Encoded | None:
        try:
            saved = read_checkpoint(self._kept)
        except UserError:  # none there, or damaged: encoding again costs seconds
            return None
        return {split: saved[split] for split in SPLITS} if saved.get("key") == key else None

    def _through_encoder(self, loader: TensorBatches) -> tuple[Tensor, Tensor, Tensor]:
        rows = [(*self.codec.encode(x), y) for x, y in loader]
        mean, deviation, labels = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return mean, deviation, labels


def _drawn(batch: Batch, generator: Generator) -> Batch:
    """Means, labels and deviations to draws and labels."""
    u, labels, deviation = batch
    noise = torch.randn(u.shape, generator=generator, device=u.device)
    return u + deviation * noise, labels


def _codec_of(run: RunDirectory) -> LatentCodec:
    checkpoint = trained_checkpoint(run, "latent_vae")
    path = str(run.checkpoint("best"))
    if CODEC in checkpoint:
        return LatentCodec.from_checkpoint(checkpoint[CODEC], path)
    return LatentCodec(checkpoint, path)


def _images_of(run: RunDirectory) -> ImageDataModule:
    """The data module of the run's configuration, or of its VAE's where its data are latents."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageDataModule, "data", required=True)
    try:
        data = yaml.safe_load(run.config.read_text())["data"]
        if vae_run := data["init_args"].get("vae_run"):
            return _images_of(RunDirectory(Path(vae_run)))
        config = parser.parse_object({"data": data})
    except (OSError, yaml.YAMLError, KeyError, TypeError, ArgumentError) as error:
        raise UserError(
            f"{run.config} names no data set of images: give one with --data.images, such as "
            "--data.images MNISTDataModule."
        ) from error
    return parser.instantiate_classes(config)["data"]


def _digest(codec: LatentCodec, loaders: Iterable[TensorBatches]) -> str:
    """A name for this VAE, these images and what is made of them."""
    digest = hashlib.sha256(repr(codec.carried["hyper_parameters"]).encode())
    for tensor in codec.vae.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    for loader in loaders:
        made = getattr(loader.transform, "__name__", None)
        digest.update(f"{made} {loader.seed} {loader.shuffle}".encode())
        for tensor in loader.tensors:
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
