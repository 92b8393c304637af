"""Many runs of one experiment: every combination of some options, each in a directory of its own.

What is finished is noted in ``sweep.json``, so that the same command goes on where it stopped.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import yaml

from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory, write_atomically

__all__ = [
    "Executor",
    "Local",
    "Sweep",
    "Trial",
    "TrialOutcome",
    "combinations",
    "perform",
    "run_all",
    "values_of",
]

PROGRAM = Path(__file__).parent.parent / "cli.py"
LONGEST_NAME = 100
GRACE = 30.0
"""Seconds that a run has to save its checkpoint after it was asked to stop."""


def values_of(text: str) -> tuple[str, list[str]]:
    """The option and its values of ``model.latent_dim=2,5,20`` or ``model.hidden=[32],[64,64]``.

    Raises:
        UserError: If it is written in another way.
    """
    option, equals, values = text.partition("=")
    try:
        parsed = yaml.safe_load(f"[{values}]")
    except yaml.YAMLError:
        parsed = None
    if not (option and equals and parsed):
        raise UserError(f"--over wants OPTION=VALUE,VALUE,…, got {text}.")
    return option.lstrip("-"), [_typed(value) for value in parsed]


def _typed(value: Any) -> str:
    """A value as it is typed on a command line."""
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


@dataclass(frozen=True)
class Trial:
    """One combination.

    Attributes:
        options: Option → value, as typed.
        run: Its directory.
    """

    options: Mapping[str, str]
    run: RunDirectory

    @property
    def name(self) -> str:
        """The directory's own name."""
        return self.run.path.name

    @property
    def log(self) -> Path:
        """What the run printed."""
        return self.run.path.with_name(f"{self.name}.log")


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended.

    Attributes:
        exit_code: 0 for a finished one.
        seconds: How long it took this time.
    """

    exit_code: int
    seconds: float


def combinations(over: Mapping[str, Sequence[str]], folder: Path) -> list[Trial]:
    """Every combination of the options' values, the last option changing fastest."""
    return [
        Trial(options, RunDirectory(folder / _name(options)))
        for values in product(*over.values())
        for options in [dict(zip(over, values, strict=True))]
    ]


def _name(options: Mapping[str, str]) -> str:
    parts = [f"{option.rpartition('.')[2]}={value}" for option, value in options.items()]
    name = re.sub(r"[^\w.=,+-]+", "_", ",".join(parts))
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{blake2b(name.encode(), digest_size=4).hexdigest()}"


class Sweep:
    """The trials of a sweep and which of them are finished.

    Args:
        folder: Where runs, logs and ``sweep.json`` lie.
        command: ``fit`` or ``task NAME``, and all that is typed for every run alike.

    Raises:
        UserError: If the folder holds a sweep of another command.
    """

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.folder, self.command = folder, list(command)
        self._state = folder / "sweep.json"
        self._finished: dict[str, float] = {}
        if self._state.exists():
            self._read()

    def _read(self) -> None:
        try:
            kept = json.loads(self._state.read_text(encoding="utf-8"))
            command, self._finished = kept["command"], dict(kept["finished"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self._state} is damaged ({error}): delete it.") from error
        if command != self.command:
            before = " ".join(command)
            raise UserError(f"{self.folder} holds a sweep of '{before}': choose another --name.")

    def open(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials that are not finished."""
        return [trial for trial in trials if trial.name not in self._finished]

    def close(self, trial: Trial, outcome: TrialOutcome) -> None:
        """Notes that a trial ended; only a finished one is not tried again."""
        if outcome.exit_code == 0:
            self._finished[trial.name] = round(outcome.seconds, 1)
        kept = {"command": self.command, "finished": self._finished}
        write_atomically(self._state, (json.dumps(kept, indent=2) + "\n").encode())

    def words(self, trial: Trial) -> list[list[str]]:
        """The command lines of a trial, in turn: a fit is tested at its end."""
        own = [word for option, value in trial.options.items() for word in (f"--{option}", value)]
        place = ["--run_dir", str(trial.run.path)]
        if self.command[0] == "task":
            return [[*self.command, *own, *place]]
        begin = [*self.command, *own, *place, "--ckpt_path", "auto"]
        return [begin, ["test", *place]]


class Executor(Protocol):
    """What runs command lines, several at once."""

    def submit(self, trial: Trial, commands: list[list[str]]) -> "Future[TrialOutcome]":
        """Begins a trial."""
        ...

    def stop(self) -> None:
        """Asks all that is running to stop, and waits for it."""
        ...


class Local:
    """Processes of this machine.

    Args:
        jobs: How many at once; the processors are shared out among them.
    """

    def __init__(self, jobs: int) -> None:
        self._threads = max(1, (os.cpu_count() or 1) // jobs)
        self._pool = ThreadPoolExecutor(jobs)
        self._stopping = Event()

    def submit(self, trial: Trial, commands: list[list[str]]) -> "Future[TrialOutcome]":
        return self._pool.submit(perform, trial.log, commands, self._threads, self._stopping)

    def stop(self) -> None:
        self._stopping.set()
        self._pool.shutdown(cancel_futures=True)


def perform(
    log: Path, commands: list[list[str]], threads: int, stopping: Event | None = None
) -> TrialOutcome:
    """Runs command lines in turn until one fails.

    Args:
        log: Where their output is appended.
        commands: Words after the program's name.
        threads: For each process.
        stopping: Set when the runs should save what they have and end.
    """
    begin, exit_code = time.monotonic(), 0
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with log.open("ab") as output:
        for words in commands:
            line = [sys.executable, str(PROGRAM), *words]
            # A group of its own: Ctrl-C reaches the sweep alone, which passes it on.
            with subprocess.Popen(
                line, stdout=output, stderr=output, env=environment, start_new_session=True
            ) as process:
                exit_code = _wait(process, stopping)
            if exit_code:
                break
    return TrialOutcome(exit_code, time.monotonic() - begin)


def _wait(process: subprocess.Popen, stopping: Event | None) -> int:
    while process.poll() is None:
        if stopping is not None and stopping.wait(0.2):
            process.send_signal(signal.SIGTERM)
            try:
                return process.wait(GRACE) or 1
            except subprocess.TimeoutExpired:
                process.kill()
        elif stopping is None:
            process.wait()
    return process.returncode


def run_all(
    sweep: Sweep, trials: Sequence[Trial], executor: Executor
) -> Iterator[tuple[Trial, TrialOutcome]]:
    """Runs the open trials; yields each with its outcome as it ends.

    A trial that fails does not stop the others; Ctrl-C stops all of them.
    """
    ready = [_from_the_start(sweep, trial) for trial in sweep.open(trials)]
    waiting = {executor.submit(t, sweep.words(t)): t for t in ready}
    try:
        while waiting:
            done, _ = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                trial = waiting.pop(future)
                outcome = future.result()
                sweep.close(trial, outcome)
                yield trial, outcome
    finally:
        if waiting:
            executor.stop()


def _from_the_start(sweep: Sweep, trial: Trial) -> Trial:
    """A task that was stopped begins again; a fit goes on from its last checkpoint."""
    if sweep.command[0] == "task" and trial.run.path.is_dir():
        shutil.rmtree(trial.run.path)
    return trial
