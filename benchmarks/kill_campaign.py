"""Ends fits by force at chosen moments, goes on, and compares the end with the uninterrupted fit.

    python benchmarks/kill_campaign.py                # all, some ten minutes on two cores
    python benchmarks/kill_campaign.py half_epochs    # one of the ways to train

Each fit is a fork of this process, which has imported everything, and runs the command line that
a person types. It is ended by SIGKILL, SIGTERM, Ctrl-C, or SIGKILL behind SIGTERM; while a file is
written, in a batch, in a validation or between epochs. Then the same command goes on with
``--ckpt_path auto``. What must be the same: weights, optimiser and learning rate of ``last.ckpt``
and ``best.ckpt`` bit for bit, the figures in ``metrics.json`` to seven digits, and the names of all
files, so that nothing is left over.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from pytorch_lightning import Callback

import cli
import lightning_cli
from elbolab.beginning import import_rooms

TINY = """
seed_everything: 0
data:
  class_path: GlyphDataModule
  init_args: {train_size: 300, test_size: 70, val_size: 60, batch_size: 16, eval_batch_size: 16,
              binarize: dynamic}
model:
  class_path: VAE
  init_args: {latent_dim: 4, hidden: [32], lr_scheduler: {class_path: CosineDecay}}
trainer:
  max_epochs: 3
  log_every_n_steps: 4
  num_sanity_val_steps: 0
  accelerator: cpu
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    - class_path: ElboMonitor
    - {class_path: BestCheckpoint, init_args: {monitor: val/elbo, mode: max}}
"""
"""15 batches an epoch, 4 in a validation."""

WAYS = {
    "every_epoch": [],
    "half_epochs": ["--trainer.val_check_interval", "0.5"],
    "second_epochs": ["--trainer.check_val_every_n_epoch", "2"],
    "best_long_ago": ["--trainer.callbacks.mode", "min"],
    "accumulation": ["--trainer.accumulate_grad_batches", "4"],
    "max_steps": ["--trainer.max_steps", "38"],
    "staged_decay": ["--model.lr_scheduler", "lightning_modules.optimization.StagedDecay"],
}
"""Options of the ways to train."""


@dataclass(frozen=True)
class End:
    """Sends ``name`` at the ``count``-th time that ``moment`` comes, counted from 1."""

    moment: str
    count: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} at {self.moment} {self.count}"


ENDS = {
    "every_epoch": [
        *(End(f"half of {file}", 2, "SIGKILL") for file in ("last.ckpt", "best.ckpt")),
        *(End(f"before {file}", 1, "SIGKILL") for file in ("last.ckpt", "metrics.json")),
        *(End(f"after {file}", 1, "SIGKILL") for file in ("config.yaml", "best.ckpt")),
        *(End(f"after {file}", 2, "SIGKILL") for file in ("last.ckpt", "metrics.json")),
        End("half of config.yaml", 1, "SIGKILL"),
        End("half of elbo_curve.png", 1, "SIGKILL"),
        End("after last.ckpt", 3, "SIGKILL"),
        *(End("batch", count, "SIGTERM") for count in (1, 2, 14, 15, 16, 30, 44, 45)),
        *(End("batch", count, "SIGINT") for count in (15, 22, 45)),
        *(End("batch", count, "SIGKILL") for count in (3, 16, 45)),
        *(End("validation batch", count, "SIGTERM") for count in (1, 4, 6, 9, 12)),
        End("validation batch", 7, "SIGKILL"),
        *(End("epoch's end", count, name) for count in (1, 3) for name in ("SIGTERM", "SIGKILL")),
        *(End("epoch's start", count, "SIGTERM") for count in (1, 3)),
    ],
    "half_epochs": [
        *(End("batch", count, "SIGTERM") for count in (7, 8, 15, 22, 45)),
        *(End("validation batch", count, "SIGTERM") for count in (2, 6, 13, 24)),
        *(End("after best.ckpt", count, "SIGKILL") for count in (1, 2)),
        End("half of best.ckpt", 1, "SIGKILL"),
        End("after last.ckpt", 2, "SIGKILL"),
        End("half of last.ckpt", 2, "SIGKILL"),
    ],
    "second_epochs": [
        *(End("batch", count, "SIGTERM") for count in (15, 30, 45)),
        *(End("validation batch", count, "SIGTERM") for count in (1, 8)),
        *(End("after last.ckpt", count, "SIGKILL") for count in (1, 2)),
        End("before best.ckpt", 1, "SIGKILL"),
    ],
    "best_long_ago": [
        *(End("batch", count, "SIGTERM") for count in (20, 45)),
        *(End("batch", count, "SIGKILL") for count in (20, 45)),
        End("half of last.ckpt", 2, "SIGKILL"),
        End("validation batch", 10, "SIGTERM"),
    ],
    "accumulation": [
        *(End("batch", count, "SIGTERM") for count in (1, 2, 4, 15, 19, 45)),
        End("batch", 18, "SIGINT"),
        End("validation batch", 6, "SIGTERM"),
        End("batch", 18, "SIGKILL"),
    ],
    "max_steps": [
        *(End("batch", count, "SIGTERM") for count in (31, 37, 38)),
        End("validation batch", 10, "SIGTERM"),
        End("validation batch", 12, "SIGTERM"),
        End("half of last.ckpt", 3, "SIGKILL"),
    ],
    "staged_decay": [
        End("batch", 30, "SIGTERM"),
        End("after last.ckpt", 1, "SIGKILL"),
        End("validation batch", 8, "SIGTERM"),
    ],
}


class Moments(Callback):
    """Counts the moments of a fit, and ends it at one of them.

    Args:
        end: The moment and how it ends.
    """

    def __init__(self, end: End) -> None:
        self.end, self._seen = end, 0

    def come(self, moment: str, first: Callable[[], Any] = lambda: None) -> None:
        """Says that a moment has come; ``first`` is done right before the end."""
        if moment == self.end.moment:
            self._seen += 1
            if self._seen == self.end.count:
                first()
                os.kill(os.getpid(), signal.Signals[self.end.name])

    def on_train_batch_start(self, *_: Any, **__: Any) -> None:
        self.come("batch")

    def on_validation_batch_start(self, *_: Any, **__: Any) -> None:
        self.come("validation batch")

    def on_train_epoch_start(self, *_: Any, **__: Any) -> None:
        self.come("epoch's start")

    def on_train_epoch_end(self, *_: Any, **__: Any) -> None:
        self.come("epoch's end")

    def watch_files(self) -> None:
        """Counts how often a file is written half, wholly beside its place, and in its place."""
        replace = os.replace

        def watched(source: Any, target: Any) -> None:
            name, size = Path(target).name, Path(source).stat().st_size
            self.come(f"half of {name}", lambda: os.truncate(source, size // 2))
            self.come(f"before {name}")
            replace(source, target)
            self.come(f"after {name}")

        os.replace = watched


def forked_fit(run: Path, options: Sequence[str], end: End | None = None) -> int:
    """Runs a fit in a fork of this process; returns how it ended, as `subprocess` does."""
    sys.stdout.flush()
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with run.with_suffix(".log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if end is not None:
        moments = Moments(end)
        moments.watch_files()
        first = lightning_cli.ElbolabCLI._first_callbacks
        lightning_cli.ElbolabCLI._first_callbacks = lambda *given: [*first(*given), moments]  # pyright: ignore
    code = 1
    try:
        code = cli.main(["fit", "--config", "tiny.yaml", "--run_dir", str(run), *options])
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def differences(whole: Path, other: Path) -> list[str]:
    """What is not the same in two run directories."""
    found = [
        f"{name}: {where}"
        for name in ("last", "best")
        for where in _unlike(_training(whole, name), _training(other, name))
    ]
    figures, others = (json.loads((run / "metrics.json").read_text()) for run in (whole, other))
    for name in figures.keys() | others.keys():
        a, b = figures.get(name), others.get(name)
        if a is None or b is None or abs(a - b) > 1e-7 * abs(a):
            found.append(f"metrics.json: {name} is {b}, not {a}")
    names, other_names = (
        {str(path.relative_to(run)) for path in run.rglob("*") if "tfevents" not in path.name}
        for run in (whole, other)
    )
    return found + [f"file {name}" for name in sorted(names ^ other_names)]


def _training(run: Path, name: str) -> dict[str, Any]:
    """What of a checkpoint decides how training goes on, and the figures until then."""
    saved = torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True)
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")
    loops = saved["loops"]["fit_loop"]["state_dict"]["place"]
    histories = {
        name: [{"epoch": point["epoch"]} for point in chain(*state["history"].values())]
        for name, state in saved["callbacks"].items()
        if "history" in state
    }
    best = saved["callbacks"]["BestCheckpoint"]
    return {**{name: saved[name] for name in kept}, "place": loops, "best": best, **histories}


def _unlike(a: Any, b: Any, path: str = "") -> list[str]:
    if isinstance(a, torch.Tensor):
        return [] if torch.equal(a, b) else [path]
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{path} has other entries"]
        return [line for key in a for line in _unlike(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list):
        if len(a) != len(b):
            return [f"{path} has {len(b)} entries, not {len(a)}"]
        pairs = enumerate(zip(a, b, strict=True))
        return [line for n, pair in pairs for line in _unlike(*pair, f"{path}/{n}")]
    return [] if a == b else [f"{path} is {b}, not {a}"]


def campaign(way: str) -> tuple[int, list[str]]:
    """Runs one way to train: how many ends it had, and what was lost."""
    text = TINY.replace("mode: max", "mode: min") if way == "best_long_ago" else TINY
    if way == "staged_decay":
        text = text.replace("{class_path: CosineDecay}", "{class_path: StagedDecay}")
    Path("tiny.yaml").write_text(text)
    options = [] if way in ("best_long_ago", "staged_decay") else WAYS[way]
    whole, lost = Path(way), []
    assert forked_fit(whole, options) == 0, whole.with_suffix(".log").read_text()
    for end in ENDS[way]:
        run = Path(f"{way} {end}".replace("/", "_").replace(" ", "_"))
        ended = forked_fit(run, options, end)
        goes_on = 0 if ended == 0 else forked_fit(run, [*options, "--ckpt_path", "auto"])
        wrong = [f"went on with exit code {goes_on}"] if goes_on else differences(whole, run)
        print(f"{way:14} {end!s:36} ended {ended:4}  {'; '.join(wrong) or 'the same'}", flush=True)
        lost += [f"{way}, {end}: {line}" for line in wrong[:1]]
    return len(ENDS[way]), lost


def main() -> int:
    """Runs the ways named on the command line, or all; prints the table of the documentation."""
    import_rooms()
    ways = sys.argv[1:] or list(ENDS)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        os.environ.setdefault("XDG_CACHE_HOME", place)
        os.chdir(place)
        rows = [(way, *campaign(way)) for way in ways]
        shutil.rmtree(place, ignore_errors=True)
    print("\n| way to train | forced ends | the same in the end |\n|---|---|---|")
    for way, ends, lost in rows:
        print(f"| {way.replace('_', ' ')} | {ends} | {ends - len(lost)} |")
    print(f"| all | {sum(row[1] for row in rows)} | {sum(row[1] - len(row[2]) for row in rows)} |")
    return int(any(lost for _, _, lost in rows))


if __name__ == "__main__":
    sys.exit(main())
