"""What each choice in configs/spiral_score.yaml is worth: the same short training without it.

    python benchmarks/spiral_ablation.py

Each row changes one thing; the last one is the base model: x, y and t concatenated, two hidden
layers, the plain Hyvärinen loss. All see the same points in the same order.
"""

import argparse
import tempfile
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from timing import silence_lightning
from torch.optim.lr_scheduler import CosineAnnealingLR

from callbacks.monitors.hyvarinen import HyvarinenMonitor
from callbacks.monitors.spiral_quality import SpiralQuality
from callbacks.run.resume import ExactResume
from datamodules.spiral import SpiralDataModule
from lightning_modules.functional.levels import FineLevels, UniformLevels, UniformWeight
from lightning_modules.functional.score_matching import Denoising, Sliced
from lightning_modules.nets.embeddings import RawTime
from lightning_modules.nets.inputs import DampedFourier, Identity
from lightning_modules.nets.score_net import ScoreMLP
from lightning_modules.spiral_score import SpiralScore

Choices = dict[str, Any]

NET: Choices = {"inputs": DampedFourier}
MODEL: Choices = {"levels": FineLevels}

ROWS: dict[str, tuple[Choices, Choices]] = {
    "shipped": ({}, {}),
    "x itself, no Fourier features": ({"inputs": Identity}, {}),
    "equal shares of levels": ({}, {"levels": UniformLevels}),
    "λ_k = 1": ({}, {"weight": UniformWeight}),
    "t in place of log v_k": ({"embedding": RawTime}, {}),
    "score not scaled by 1/√v_k": ({"resolution": None}, {}),
    "one hidden layer less": ({"hidden": (128, 128)}, {}),
    "no averaged weights": ({}, {"ema_decay": 0.0}),
    "sliced loss": ({}, {"loss": Sliced}),
    "denoising loss": ({}, {"loss": Denoising}),
    "base model": (
        {"inputs": Identity, "embedding": RawTime, "resolution": None, "hidden": (128, 128)},
        {"levels": UniformLevels, "weight": UniformWeight, "ema_decay": 0.0},
    ),
}


def train_and_judge(net: Choices, model: Choices, epochs: int, samples: int) -> dict[str, float]:
    """The ``test`` metrics after ``epochs`` of 100 steps of 500 points."""
    torch.manual_seed(0)
    module = SpiralScore(
        (2,),
        net=partial(ScoreMLP, **(NET | net)),
        lr_scheduler=lambda optimizer: CosineAnnealingLR(optimizer, epochs),
        flow_steps=30,
        **(MODEL | model),
    )
    data = SpiralDataModule(train_size=50_000, test_size=10_000, val_size=100)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            default_root_dir=folder,
            logger=False,
            limit_val_batches=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[HyvarinenMonitor(6, 10**9), SpiralQuality(samples), ExactResume(0)],
        )
        trainer.fit(module, datamodule=data)
        (metrics,) = trainer.test(module, datamodule=data, verbose=False)
    return dict(metrics)


def main() -> None:
    """Trains all rows and prints the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--epochs", type=int, default=15, help="of 100 steps of 500 points")
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    silence_lightning()
    print("| | on_spiral / true | sliced_w2 / true | log_prob_true − log_prob, nats |")
    print("|---|---|---|---|")
    for name, (net, model) in ROWS.items():
        test = train_and_judge(net, model, options.epochs, options.samples)
        on = test["test/on_spiral"] / test["test/on_spiral_true"]
        w2 = test["test/sliced_w2"] / test["test/sliced_w2_true"]
        lost = test["test/log_prob_true"] - test["test/log_prob"]
        print(f"| {name} | {on:.3f} | {w2:.2f} | {lost:.3f} |", flush=True)


if __name__ == "__main__":
    main()
