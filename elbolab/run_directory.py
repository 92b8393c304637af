"""The one directory that a fit, test, predict or task owns, and how it is chosen."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from elbolab.errors import UserError

__all__ = ["LOCK", "RunDirectory", "first_free", "newest", "numbered", "write_atomically"]

LOCK = ".lock"
"""The file in a run directory by which a fit holds it."""


def write_atomically(path: Path, content: bytes) -> None:
    """Writes ``content`` to ``path`` so that a reader finds the old bytes or the new, never a part.

    The temporary file lies beside its target: renaming is atomic only within one file system, and
    the system's temporary folder is often another one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process stands in the name, so that what a dead one left behind can be told.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and not error.filename:  # a full disk
            error.filename = str(path)
        raise


@dataclass(frozen=True)
class RunDirectory:
    """Names of the files in a run directory; nothing is created before something is written."""

    path: Path

    @property
    def config(self) -> Path:
        """The complete configuration, ready to be given back to ``--config``."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """One flat JSON object: metric name → last value."""
        return self.path / "metrics.json"

    @property
    def provenance(self) -> Path:
        """What made the run: one entry for each command that worked here."""
        return self.path / "provenance.json"

    @property
    def test_examples(self) -> Path:
        """Figures of each test example, with which runs are compared example by example."""
        return self.path / "test_examples.npz"

    @property
    def images(self) -> Path:
        """Folder of PNG pictures, the newest of each name."""
        return self.path / "images"

    @property
    def predictions(self) -> Path:
        """Folder of what ``predict`` writes."""
        return self.path / "predictions"

    @property
    def checkpoints(self) -> Path:
        """Folder of ``best.ckpt`` and ``last.ckpt``."""
        return self.path / "checkpoints"

    def checkpoint(self, name: str) -> Path:
        """The checkpoint called ``name``: ``"best"`` or ``"last"``."""
        return self.checkpoints / f"{name}.ckpt"

    @property
    def taken(self) -> bool:
        """Whether anything lies here already, a run's or not; the mere claim is nothing."""
        if not self.path.is_dir():
            return self.path.exists()
        return any(entry.name != LOCK for entry in self.path.iterdir())

    @property
    def begun(self) -> bool:
        """Whether a run lies here, or what a fit writes before anything else."""
        return self.config.exists() or any(self.path.glob("events.out.tfevents.*"))

    def read_metrics(self) -> dict[str, float]:
        """What ``metrics.json`` holds; empty when there is none.

        Raises:
            UserError: If the file is no JSON object.
        """
        if not self.metrics.exists():
            return {}
        try:
            return dict(json.loads(self.metrics.read_text()))
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.metrics} is no JSON object ({error}): delete it.") from error

    def drop_metrics(self, prefix: str) -> None:
        """Takes the figures whose names begin so out of ``metrics.json``."""
        metrics = self.read_metrics()
        kept = {name: value for name, value in metrics.items() if not name.startswith(prefix)}
        if kept != metrics:
            write_atomically(self.metrics, (json.dumps(kept, indent=2) + "\n").encode())

    def merge_metrics(self, metrics: Mapping[str, float]) -> None:
        """Adds ``metrics`` to ``metrics.json``, replacing values of the same name.

        JSON has no NaN or infinity, so a value that is not finite is written as ``null``.
        """
        finite = {k: v if abs(v) < float("inf") else None for k, v in metrics.items()}
        merged = dict(sorted({**self.read_metrics(), **finite}.items()))
        write_atomically(self.metrics, (json.dumps(merged, indent=2) + "\n").encode())


def numbered(base: Path) -> Iterator[RunDirectory]:
    """Yields ``base``, ``base-2``, ``base-3`` and so on."""
    yield RunDirectory(base)
    for number in count(2):
        yield RunDirectory(base.with_name(f"{base.name}-{number}"))


def first_free(base: Path) -> RunDirectory:
    """The first of ``base``, ``base-2``, … in which nothing lies yet."""
    return next(run for run in numbered(base) if not run.taken)


def newest(base: Path) -> RunDirectory | None:
    """The last of ``base``, ``base-2``, … before the first free one; None when ``base`` is free."""
    found = None
    for run in numbered(base):
        if not run.taken:
            return found
        found = run
    return None
