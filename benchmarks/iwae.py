"""What importance weights cost: seconds per epoch for K draws, against a hand-written loop.

    python benchmarks/iwae.py --root FOLDER      with FOLDER/MNIST/raw/*-ubyte

Both train 784-200-200-50 with tanh on dynamically binarised images in batches of 20, as
configs/iwae.yaml does. They take turns, several rounds in one process. Timed is training alone;
seconds are scaled from ``--images`` to an epoch of 55,000. The encoder runs once per image however
many draws there are, so that the cost grows more slowly than K.
"""

import tempfile
import time
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from timing import benchmark_parser, in_turns, median_ratio, silence_lightning, spread, timed
from torch import Tensor, nn

from callbacks.monitors.elbo import ElboMonitor
from callbacks.run.checkpoints import SafeCheckpointIO
from callbacks.run.profiling import Unprofiled, check_for_gpus_once
from callbacks.run.resume import ExactResume
from callbacks.run.run_record import RunLogger
from datamodules.mnist import MNISTDataModule
from elbolab.run_directory import RunDirectory
from lightning_modules.functional.bounds import ImportanceWeighted
from lightning_modules.vae import VAE

BATCH = 20
EPOCH = 55_000


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


class HandWrittenIWAE(nn.Module):
    """The importance-weighted auto-encoder as one would write it for a single experiment."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 100)
        )
        self.decoder = nn.Sequential(
            nn.Linear(50, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, 784)
        )

    def loss(self, x: Tensor, samples: int) -> Tensor:
        """Negative bound of ``samples`` draws, mean over the batch x ``(B, 784)``."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        noise = torch.randn(samples, *mean.shape)
        z = mean + (0.5 * log_variance).exp() * noise
        bce = F.binary_cross_entropy_with_logits(
            self.decoder(z), x.expand(samples, -1, -1), reduction="none"
        ).sum(-1)
        ratio = 0.5 * (noise.square() + log_variance - z.square()).sum(-1)
        return -(ratio - bce).logsumexp(0).mean()


def train_by_hand(root: str, count: int, samples: int) -> float:
    """Seconds for ``count`` images."""
    check_for_gpus_once()
    images, _ = MNISTDataModule(root).load(train=True)
    model, grey = HandWrittenIWAE(), images[:count].flatten(1).float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-4, fused=True)

    def epoch() -> None:
        for chosen in torch.randperm(count).split(BATCH):
            optimizer.zero_grad()
            model.loss(torch.bernoulli(grey[chosen]), samples).backward()
            optimizer.step()

    return timed(epoch)[0]


def train_by_framework(root: str, count: int, samples: int) -> float:
    """Seconds for ``count`` images of ``fit``."""
    check_for_gpus_once()
    with tempfile.TemporaryDirectory() as folder:
        watch = Stopwatch()
        trainer = pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            default_root_dir=folder,
            logger=RunLogger(RunDirectory(Path(folder))),
            plugins=[SafeCheckpointIO()],
            profiler=Unprofiled(),
            limit_val_batches=0,
            enable_model_summary=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            callbacks=[ElboMonitor(), ExactResume(0), watch],
        )
        data = MNISTDataModule(root, batch_size=BATCH, val_size=60_000 - count, binarize="dynamic")
        model = VAE(
            shape=(1, 28, 28),
            latent_dim=50,
            hidden=(200, 200),
            activation=nn.Tanh,
            bound=lambda: ImportanceWeighted(samples),
            optimizer=lambda p: torch.optim.Adam(p, lr=1e-3, eps=1e-4, fused=True),
        )
        trainer.fit(model, datamodule=data)
        return watch.seconds


CONTESTANTS = {"hand-written": train_by_hand, "elbolab": train_by_framework}


def main() -> None:
    """Runs all rounds and prints the table."""
    parser = benchmark_parser(__doc__, rounds=3)
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--images", type=int, default=4000, help="per run")
    parser.add_argument("--draws", type=int, nargs="+", default=[1, 5, 50])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    silence_lightning()
    contestants = {
        f"{name} {samples}": partial(train, options.root, options.images, samples)
        for samples, (name, train) in product(options.draws, CONTESTANTS.items())
    }
    seconds = in_turns(contestants, options.rounds, warm_up=1)
    epochs = {n: [t * EPOCH / options.images for t in took] for n, took in seconds.items()}
    print(f"\n{options.rounds} rounds of {options.images} images, {options.threads} threads")
    _print_table(epochs, options.draws)


def _print_table(seconds: dict[str, list[float]], draws: list[int]) -> None:
    print("| K | hand-written, s per epoch | elbolab, s per epoch | × hand-written | × K = 1 |")
    print("|---|---|---|---|---|")
    for samples in draws:
        hand, ours = seconds[f"hand-written {samples}"], seconds[f"elbolab {samples}"]
        ratio, growth = (median_ratio(ours, x) for x in (hand, seconds[f"elbolab {draws[0]}"]))
        print(f"| {samples} | {spread(hand)} | {spread(ours)} | {ratio:.2f} | {growth:.1f} |")


if __name__ == "__main__":
    main()
