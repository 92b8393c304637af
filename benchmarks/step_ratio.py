"""A fit's steps against hand-written ones, one by one in turns: exact enough on a busy machine.

    python benchmarks/step_ratio.py vae --root FOLDER        or score, or nice

A fit of the shipped configuration and a hand-written loop run in two threads of one process, and
each takes a step when the other has ended one, so that no drift of the machine favours either.
Timed is processor time of the thread alone, with denormal numbers flushed for both and one thread
of torch's. A ratio is that of two neighbours; ``ELBOLAB_TRAINING_LOOP=lightning`` measures
Lightning's own loop. Steps of two threads, later epochs and Lightning's defaults are measured by
``training_loop.py``.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pytorch_lightning as pl
import torch
from hand_written import EXPERIMENTS, TimedExperiment, batches

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import lightning_cli  # noqa: E402

WARM_UP = 30
"""Steps that are left out."""


class Turns(pl.Callback):
    """Lets another loop take a step after each of the fit's.

    Args:
        experiment: What both train.
        root: The folder of its data.
    """

    def __init__(self, experiment: TimedExperiment, root: str) -> None:
        self.experiment, self.root = experiment, root
        self.fit: list[float] = []
        self.hand: list[float] = []
        self._theirs, self._ours = threading.Semaphore(0), threading.Semaphore(0)
        self._began: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        threading.Thread(target=self._by_hand, daemon=True).start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self._began is not None:
            self.fit.append(time.thread_time() - self._began)
        self._theirs.release()
        self._ours.acquire()
        self._began = time.thread_time()

    def _by_hand(self) -> None:
        x, model = self.experiment.tensor(self.root), self.experiment.model()
        optimizer = torch.optim.Adam(model.parameters(), lr=self.experiment.lr, fused=True)
        after = getattr(model, "after_step", lambda: None)
        for batch in batches(x, self.experiment.batch):
            self._theirs.acquire()
            began = time.thread_time()
            optimizer.zero_grad()
            model.loss(batch).backward()
            optimizer.step()
            after()
            self.hand.append(time.thread_time() - began)
            self._ours.release()


def fit_in_turns(turns: Turns, steps: int) -> None:
    """Runs the fit, which takes the other loop along."""
    experiment, own = turns.experiment, lightning_cli.ElbolabCLI._last_callbacks
    lightning_cli.ElbolabCLI._last_callbacks = lambda self: [*own(self), turns]
    with tempfile.TemporaryDirectory() as folder:
        typed = ["fit", "--config", str(ROOT / experiment.config), "--run_dir", f"{folder}/run"]
        typed += ["--data.root", turns.root] if experiment.on_images else []
        typed += ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", str(steps)]
        typed += ["--trainer.limit_val_batches", "1", "--trainer.accelerator", "cpu"]
        lightning_cli.run(typed)


def main() -> None:
    """Prints medians and quartiles."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", choices=EXPERIMENTS)
    parser.add_argument("--root", default="data", help="folder that holds MNIST/raw and KMNIST/raw")
    parser.add_argument("--steps", type=int, default=200, help="no more than an epoch has")
    options = parser.parse_args()
    torch.set_num_threads(1)
    turns = Turns(EXPERIMENTS[options.model], options.root)
    fit_in_turns(turns, options.steps)
    pairs = list(zip(turns.hand, turns.fit, strict=False))[WARM_UP:]
    low, middle, high = quantiles([hand / fit for hand, fit in pairs], n=4)
    by_hand, fit = (1e6 * median(times) for times in zip(*pairs, strict=True))
    loop = os.environ.get("ELBOLAB_TRAINING_LOOP", "lean")
    print(
        f"{options.model}, {loop} loop, {len(pairs)} pairs: hand {by_hand:,.0f} µs, fit {fit:,.0f}"
    )
    print(f"× hand-written: {middle:.3f} (quartiles {low:.3f} – {high:.3f})")


if __name__ == "__main__":
    main()
