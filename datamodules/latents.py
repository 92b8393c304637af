"""Latents of a trained VAE: what latent score models are fitted to."""

from pathlib import Path

import torch
from pytorch_lightning import LightningDataModule
from torch import Generator, Tensor

from datamodules.encodings import EncodedImages, encode_images
from datamodules.images import ImageDataModule
from datamodules.run_images import images_of
from datamodules.tensor_batches import Batch, TensorBatches
from elbolab.batches import LabelledBatch
from elbolab.checks import check_at_least_one
from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory
from lightning_modules.latent_codec import trained_codec

__all__ = ["LatentDataModule"]


class LatentDataModule(LightningDataModule):
    """Standardised latents of images with their labels, encoded once by a VAE that was fitted.

    A batch is a `LabelledBatch` of latents u float32 ``(B, d)``, every dimension of mean 0 and
    variance 1 over the training images, with the images' labels. The images are those that the VAE
    was fitted to, with its division into training, validation and test set. Their posteriors are
    kept in the VAE's run directory, in ``latents.pt``, and used as long as weights and images stay
    the same.

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
        self.codec = trained_codec(run)
        self.images = images or images_of(run)
        if self.images.shape != tuple(self.codec.vae.shape):
            raise UserError(
                f"the VAE of {vae_run} takes images {tuple(self.codec.vae.shape)}, "
                f"{type(self.images).__name__} has {self.images.shape}."
            )
        self.shape = (self.codec.dim,)
        self.fresh_samples, self.seed = fresh_samples, seed
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self._kept = run.path / "latents.pt"
        self._checkpoint = run.checkpoint("best")
        self._encoded: dict[str, EncodedImages] = {}

    def source_files(self) -> list[Path]:
        """The checkpoint that holds the VAE."""
        return [self._checkpoint]

    def prepare_data(self) -> None:
        """Fetches the images, encodes them and keeps the result, on one process."""
        self.images.prepare_data()
        encode_images(self.codec, self.images, self._kept)

    def setup(self, stage: str) -> None:
        """Encodes what is not kept, and standardises with the statistics of the training images."""
        if self._encoded:
            return
        self._encoded = encode_images(self.codec, self.images, self._kept)
        train = self._encoded["train"]
        # The variance of fresh samples is that of the means and the posteriors' own together.
        own = train.deviation.square().mean(0) if self.fresh_samples else 0
        self.codec.shift = train.mean.mean(0)
        self.codec.scale = (train.mean.var(0) + own).sqrt().clamp_min(1e-6)

    def latents(self, split: str) -> LabelledBatch:
        """All of ``train``, ``val`` or ``test`` in the images' order: u at the posteriors' means.

        Complete on every process, on the CPU.
        """
        encoded = self._encoded[split]
        return LabelledBatch(self.codec.standardise(encoded.mean), encoded.labels)

    def train_dataloader(self) -> TensorBatches:
        return self._batches("train", self.batch_size, shuffle=True)

    def val_dataloader(self) -> TensorBatches:
        return self._batches("val", self.eval_batch_size)

    def test_dataloader(self) -> TensorBatches:
        return self._batches("test", self.eval_batch_size)

    def predict_dataloader(self) -> TensorBatches:
        return self._batches("test", self.eval_batch_size)

    def _batches(self, split: str, batch_size: int, shuffle: bool = False) -> TensorBatches:
        tensors: list[Tensor] = [*self.latents(split)]
        if self.fresh_samples:
            tensors.append(self._encoded[split].deviation / self.codec.scale)
        return TensorBatches.for_trainer(
            self.trainer,
            tensors,
            batch_size,
            shuffle=shuffle,
            seed=self.seed,
            transform=_drawn if self.fresh_samples else None,
            kind=LabelledBatch._make,
        )


def _drawn(batch: Batch, generator: Generator) -> Batch:
    """Draws latents with the given means and deviations: (u, y, deviation) becomes (u, y)."""
    u, labels, deviation = batch
    noise = torch.randn(u.shape, generator=generator, device=u.device)
    return u + deviation * noise, labels
