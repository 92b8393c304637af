"""How fast training steps are: hand-written loops, this framework, and Lightning's defaults.

    python benchmarks/training_loop.py --root FOLDER      with FOLDER/{MNIST,KMNIST}/raw/*-ubyte

The base VAE, the spiral's score network and NICE, each with the same batches, on 1 and 2 threads.
Each side of a comparison runs in a process of its own, since threads keep what they started with;
the sides take turns, several rounds, and a ratio is that of neighbours in time, so that a machine
whose speed drifts does not favour one of them.

Timed is a step from the end of one to the end of the next, with all that happens in between:
fetching, logging, progress bar and callbacks. A round's figure is the median step of its epoch 0,
and of its epoch 3: with Adam, steps on MNIST get slower as first moments of black pixels become
denormal numbers, and a benchmark of a single epoch never sees it.

Sides: ``hand`` a plain loop with fused Adam; ``flushed`` the same after
``torch.set_flush_denormal(True)``; ``elbolab`` the shipped configuration through ``cli.py fit``;
``defaults`` a LightningModule with a DataLoader and ``self.log``, in ``Trainer()``.

    python benchmarks/training_loop.py --root FOLDER --whole 150

times a whole fit of the VAE, with everything that it writes, against the hand-written loop with
its own validation, once.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
from hand_written import EXPERIMENTS, LightningDefaults, TimedExperiment, batches
from timing import spread
from torch.utils.data import DataLoader

import cli
from callbacks.run.profiling import check_for_gpus_once

EPOCHS = (0, 3)
"""Those whose steps are reported."""

SIDES = ("hand", "flushed", "elbolab", "defaults")


class StepTimes(pl.Callback):
    """Writes when each step of each epoch ended.

    Args:
        path: JSON: one list of seconds for each epoch.
    """

    def __init__(self, path: str) -> None:
        self.path, self.ends = path, [[]]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.ends.append([])

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.ends[-1].append(time.perf_counter())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        Path(self.path).write_text(json.dumps(self.ends[1:]))


def hand(experiment: TimedExperiment, root: str, steps: int, path: str) -> None:
    """A plain loop."""
    check_for_gpus_once()  # torch's own way, which importing Lightning has changed
    x, model = experiment.tensor(root), experiment.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=experiment.lr, fused=True)
    after = getattr(model, "after_step", lambda: None)
    ends: list[list[float]] = []
    for _ in range(EPOCHS[-1] + 1):
        ends.append([])
        for _, batch in zip(range(steps), batches(x, experiment.batch), strict=False):
            optimizer.zero_grad()
            model.loss(batch).backward()
            optimizer.step()
            after()
            ends[-1].append(time.perf_counter())
    Path(path).write_text(json.dumps(ends))


def flushed(experiment: TimedExperiment, root: str, steps: int, path: str) -> None:
    """The same with denormal numbers rounded to 0."""
    torch.set_flush_denormal(True)
    hand(experiment, root, steps, path)


def elbolab(experiment: TimedExperiment, root: str, steps: int, path: str) -> None:
    """``fit`` with the shipped configuration, its callbacks, logger and progress bar."""
    data = ["--data.root", root] if experiment.on_images else []
    with tempfile.TemporaryDirectory() as folder:
        typed = ["fit", "--config", experiment.config, *data, "--run_dir", f"{folder}/run"]
        typed += ["--trainer.max_epochs", str(EPOCHS[-1] + 1), "--trainer.accelerator", "cpu"]
        typed += ["--trainer.limit_train_batches", str(steps), "--trainer.limit_val_batches", "1"]
        typed += ["--trainer.callbacks+=training_loop.StepTimes", "--trainer.callbacks.path", path]
        assert cli.main(typed) == 0


def defaults(experiment: TimedExperiment, root: str, steps: int, path: str) -> None:
    """Lightning with torchvision's data set and its own defaults."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # as Lightning's import leaves it
    loader = DataLoader(experiment.dataset(root), experiment.batch, shuffle=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_epochs=EPOCHS[-1] + 1,
            accelerator="cpu",
            default_root_dir=folder,
            limit_train_batches=steps,
            callbacks=[StepTimes(path)],
        )
        trainer.fit(LightningDefaults(experiment.model(), experiment.lr), loader)


def measured(name: str, side: str, threads: int, root: str, steps: int) -> list[float]:
    """Microseconds of the median step of epoch 0 and of epoch 3, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/times.json"
        typed = ["--root", root, "--steps", str(steps), "--run", name, side, path]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        program = [sys.executable, __file__, *typed]
        done = subprocess.run(program, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name}, {side}: {done.stderr}")
        ends = json.loads(Path(path).read_text())
    return [median(1e6 * (b - a) for a, b in pairwise(e)) for e in ends[::3]]


def print_steps(name: str, threads: int, options: argparse.Namespace) -> None:
    """One table: all sides of one model."""
    steps = options.steps or EXPERIMENTS[name].steps
    rounds: list[dict[str, list[float]]] = []
    for _ in range(options.rounds):
        rounds.append({s: measured(name, s, threads, options.root, steps) for s in options.sides})
        print(".", end="", file=sys.stderr, flush=True)
    print(f"\n{name}, {threads} threads, {options.rounds} rounds of {steps} steps an epoch")
    print("| | epoch | µs a step, median (min – max) | × hand | × flushed | × defaults |")
    print("|---|---|---|---|---|---|")
    for side, (number, epoch) in product(options.sides, enumerate(EPOCHS)):
        times = [r[side][number] for r in rounds]
        cells = [
            f"{median(r[other][number] / r[side][number] for r in rounds):.2f}"
            if other in options.sides
            else ""
            for other in ("hand", "flushed", "defaults")
        ]
        print(f"| {side} | {epoch} | {spread(times, ',.0f')} | {' | '.join(cells)} |", flush=True)


def whole_fit(root: str, epochs: int) -> None:
    """Seconds of a complete fit of the VAE, and of the hand-written loop with its validation."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    experiment = EXPERIMENTS["vae"]
    started = time.perf_counter()
    train, validation = experiment.tensor(root).split([55_000, 5_000])
    model = experiment.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=experiment.lr, fused=True)
    for epoch in range(epochs):
        for batch in batches(train, experiment.batch):
            optimizer.zero_grad()
            model.loss(batch).backward()
            optimizer.step()
        with torch.no_grad():
            print(f"epoch {epoch}: validation {model.loss(validation):.3f}", file=sys.stderr)
    by_hand = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        typed = ["fit", "--config", experiment.config, "--data.root", root]
        typed += ["--run_dir", f"{folder}/run", "--trainer.max_epochs", str(epochs)]
        started = time.perf_counter()
        subprocess.run([sys.executable, cli.__file__, *typed], check=True, capture_output=True)
        fit = time.perf_counter() - started
    print(f"{epochs} epochs: by hand {by_hand:.0f} s, fit {fit:.0f} s: {by_hand / fit:.2f} ×")


def main(args: Iterable[str] | None = None) -> None:
    """Measures and prints tables; with ``--run`` it is one side of a comparison."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw and KMNIST/raw")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of an epoch; else as many as it has, NICE 20")
    parser.add_argument("--models", nargs="+", default=list(EXPERIMENTS), choices=EXPERIMENTS)
    parser.add_argument("--sides", nargs="+", default=SIDES, choices=SIDES)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--whole", type=int, help="epochs of a whole fit, and nothing else")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(None if args is None else list(args))
    if options.run:
        name, side, path = options.run
        run = {"hand": hand, "flushed": flushed, "elbolab": elbolab, "defaults": defaults}[side]
        run(EXPERIMENTS[name], options.root, options.steps, path)
    elif options.whole:
        whole_fit(options.root, options.whole)
    else:
        for name, threads in product(options.models, options.threads):
            print_steps(name, threads, options)


if __name__ == "__main__":
    main()
