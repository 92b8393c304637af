"""Signals that end a fit early, and what is done about them."""

import os
import shutil
import signal
import subprocess
import threading
import time
from types import FrameType
from typing import Any

import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_only, rank_zero_warn
from pytorch_lightning import Trainer

from callbacks.trainer_facts import run_of

__all__ = ["StopSignals", "Vote", "in_words"]

VOTE_SECONDS = 1.0
"""How long processes go on, about, before they agree anew on whether to stop."""


SAME_SIGNAL_SECONDS = 1.0
"""Within this time a second signal is the first one again."""


class StopSignals:
    """Notes the signals that end a fit, for a moment at which it can end.

    These are SIGTERM, Ctrl-C and, under SLURM, the one that announces the end of a job's time
    (SIGUSR1), behind which the job is queued again. A second signal does not wait, unless it comes
    at once: schedulers and launchers often send the same one to a group and to each of its members.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._since = 0.0
        self._requeue: int | None = None
        self._previous: dict[int, Any] = {}

    def listen(self, trainer: Trainer) -> None:
        """Takes the signals over, from Lightning too, which exits without a checkpoint."""
        if self._previous or threading.current_thread() is not threading.main_thread():
            return
        self._requeue = _requeue_signal(trainer)
        for number in (signal.SIGTERM, signal.SIGINT, self._requeue):
            if number is not None:
                self._previous[number] = signal.signal(number, self._note)

    def forget(self) -> None:
        """Gives the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def leave(self, number: int, saved: str) -> None:
        """Says where to go on, has the job queued again where that was announced, and leaves.

        Raises:
            SystemExit: With the exit code 128 + signal.
        """
        rank_zero_info(f"\nStopped by {signal.Signals(number).name}; {saved}")
        if number == self._requeue:
            _queue_again()
        raise SystemExit(128 + number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None:
            self.number, self._since = number, now
        elif now - self._since > SAME_SIGNAL_SECONDS:
            self.forget()
            raise KeyboardInterrupt


class Vote:
    """Has the processes of a fit agree on whether to stop, so that all stop at the same batch.

    Asking costs an exchange between them, so it is done about once a second; how many batches that
    is, they agree on too.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begins to count anew."""
        self._next, self._last = 0, (0, time.monotonic())

    def agreed(self, trainer: Trainer, number: int | None, count: int, force: bool) -> int | None:
        """The signal that any process has got, if it is time to ask.

        Args:
            trainer: The trainer.
            number: The signal that this process has got.
            count: Batches until now, the same on every process.
            force: Whether to ask though it is not time yet.
        """
        if trainer.world_size == 1:
            return number
        if count < self._next and not force:
            return None
        before, then = self._last
        now = time.monotonic()
        pace = (now - then) / max(1, count - before)
        ballot = torch.tensor([number or 0, pace], device=trainer.strategy.root_device)
        torch.distributed.all_reduce(ballot, torch.distributed.ReduceOp.MAX)
        signalled, slowest = ballot.tolist()
        self._last = (count, now)
        self._next = count + max(1, int(VOTE_SECONDS / max(slowest, 1e-6)))
        return int(signalled) or None


def in_words(trainer: Trainer) -> str:
    """What has been saved, and how to go on."""
    path = run_of(trainer).checkpoint("last")
    return f"saved {path}. The same command with --ckpt_path last goes on from here."


def _requeue_signal(trainer: Trainer) -> int | None:
    """The signal behind which SLURM is asked to queue this job again, if SLURM runs it."""
    environment = trainer._accelerator_connector.cluster_environment
    if isinstance(environment, SLURMEnvironment):
        return environment.requeue_signal if environment.auto_requeue else None
    return signal.SIGUSR1 if "SLURM_JOB_ID" in os.environ else None


@rank_zero_only
def _queue_again() -> None:
    job = os.environ.get("SLURM_JOB_ID", "")
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if (command := shutil.which("scontrol")) is None:
        rank_zero_warn("scontrol is not to be found: submit the job again by hand.")
        return
    done = subprocess.run([command, "requeue", job], capture_output=True, text=True)
    if done.returncode:
        rank_zero_warn(f"SLURM did not queue job {job} again: {done.stderr.strip()}")
