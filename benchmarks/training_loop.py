"""How fast the base VAE trains: a hand-written loop, this framework, and Lightning's defaults.

    python benchmarks/training_loop.py --root FOLDER      with FOLDER/MNIST/raw/*-ubyte

All three train the same model with the same batches of 64 on the same number of threads. They take
turns, several rounds in one process, and each round's ratios are those of neighbours in time, so
that a machine whose speed drifts does not favour one of them. Timed is training alone, between
the first and the last step of an epoch, with everything that happens during it: logging, progress
bar and callbacks. Validation, pictures and checkpoints after the epoch are the same few seconds
however long the epoch is, and are left out for all three.
"""

import argparse
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import TQDMProgressBar
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from callbacks.monitors.elbo import ElboMonitor
from callbacks.pictures.epoch_picture import Reconstructions, SampleGrid
from callbacks.pictures.latent_space import LatentSpace
from callbacks.run.checkpoints import BestCheckpoint, SafeCheckpointIO
from callbacks.run.profiling import Unprofiled, check_for_gpus_once
from callbacks.run.resume import ExactResume
from callbacks.run.run_record import RunLogger, RunRecord
from datamodules.mnist import MNISTDataModule
from elbolab.run_directory import RunDirectory
from lightning_cli import PROGRESS_REFRESH
from lightning_modules.vae import VAE

BATCH = 64


class HandWritten(nn.Module):
    """The base model as one would write it for a single experiment."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 40)
        )
        self.decoder = nn.Sequential(
            nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 784)
        )

    def loss(self, x: Tensor) -> Tensor:
        """Negative bound, mean over the batch x ``(B, 784)``."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        return (reconstruction + kl) / len(x)


class LightningDefaults(pl.LightningModule):
    """The same model as Lightning's own tutorials would have it: a DataLoader and ``self.log``."""

    def __init__(self) -> None:
        super().__init__()
        self.model = HandWritten()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.model.loss(batch[0].flatten(1))
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Stopwatch(pl.Callback):
    """Seconds from an epoch's first batch to its last step."""

    seconds = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.seconds = time.perf_counter() - self._started


def hand_written(root: str, count: int) -> float:
    """Images per second of a plain loop over a float tensor with fused Adam."""
    check_for_gpus_once()  # torch's own way, which importing Lightning has changed
    images, _ = MNISTDataModule(root).load(train=True)
    model, x = HandWritten(), images[:count].flatten(1).float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    started = time.perf_counter()
    for chosen in torch.randperm(len(x)).split(BATCH):
        optimizer.zero_grad()
        model.loss(x[chosen]).backward()
        optimizer.step()
    return len(x) / (time.perf_counter() - started)


def framework(root: str, count: int) -> float:
    """Images per second of ``fit`` with the shipped callbacks, logger and progress bar."""
    check_for_gpus_once()
    with tempfile.TemporaryDirectory() as folder:
        run, watch = RunDirectory(Path(folder)), Stopwatch()
        shipped = [ElboMonitor(), SampleGrid(), Reconstructions(), LatentSpace()]
        always = [RunRecord("model: {}\ndata: {}\n"), ExactResume(0)]
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            default_root_dir=folder,
            logger=RunLogger(run),
            plugins=[SafeCheckpointIO()],
            profiler=Unprofiled(),
            num_sanity_val_steps=0,
            enable_model_summary=False,
            callbacks=[
                TQDMProgressBar(refresh_rate=PROGRESS_REFRESH),
                *shipped,
                BestCheckpoint("val/elbo", "max"),
                *always,
                watch,
            ],
        )
        data = MNISTDataModule(root, batch_size=BATCH, val_size=60_000 - count)
        trainer.fit(VAE(shape=(1, 28, 28)), datamodule=data)
        return count / watch.seconds


def lightning_defaults(root: str, count: int) -> float:
    """Images per second of Lightning with torchvision's data set and its own defaults."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # as Lightning's import leaves it
    data = Subset(MNIST(root, train=True, transform=ToTensor()), range(count))
    loader = DataLoader(data, BATCH, shuffle=True)
    with tempfile.TemporaryDirectory() as folder:
        watch = Stopwatch()
        trainer = pl.Trainer(
            max_epochs=1, accelerator="cpu", default_root_dir=folder, callbacks=[watch]
        )
        trainer.fit(LightningDefaults(), loader)
        return count / watch.seconds


CONTESTANTS: dict[str, Callable[[str, int], float]] = {
    "hand-written loop": hand_written,
    "elbolab fit": framework,
    "Lightning defaults": lightning_defaults,
}


def main() -> None:
    """Runs all rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=20_000, help="per epoch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    rounds = [
        {name: run(options.root, options.images) for name, run in CONTESTANTS.items()}
        for _ in range(options.rounds + 1)
    ][1:]  # the first round warms up
    print(f"\n{options.rounds} rounds of {options.images} images, {options.threads} threads")
    _print_table(rounds)


def _print_table(rounds: list[dict[str, float]]) -> None:
    print("| | images/s, median (min – max) | × hand-written | × Lightning defaults |")
    print("|---|---|---|---|")
    for name in CONTESTANTS:
        speeds = sorted(r[name] for r in rounds)
        shown = f"{median(speeds):,.0f} ({speeds[0]:,.0f} – {speeds[-1]:,.0f})"
        to_hand, to_default = (
            median(r[name] / r[other] for r in rounds)
            for other in ("hand-written loop", "Lightning defaults")
        )
        print(f"| {name} | {shown} | {to_hand:.2f} | {to_default:.2f} |")


if __name__ == "__main__":
    main()
