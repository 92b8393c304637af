"""Holding a run directory: one fit at a time, for as long as its process lives."""

import fcntl
import os
import re
import socket
from contextlib import suppress
from pathlib import Path

from elbolab.errors import UserError
from elbolab.run_directory import LOCK, RunDirectory

__all__ = ["RunClaim", "RunInUseError"]

TEMPORARY = re.compile(r"\..+\.(\d+)-\w+")
"""Names that `write_atomically` gives to what it has not finished: the target and the process."""


class RunInUseError(UserError):
    """Another living process holds the run directory."""


class RunClaim:
    """A run directory that belongs to this process until it is released, or the process ends.

    The claim is a lock on the file ``.lock`` in the directory, which the system lets go of however
    the process ends: a directory is in use exactly while someone lives who uses it. Taking it
    creates the directory, and clears away what killed processes had not finished writing.

    Args:
        run: The run's directory.

    Raises:
        RunInUseError: If a living process holds it.
        OSError: If it cannot be created.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self._made = [path for path in (run.path, *run.path.parents) if not path.exists()]
        self._descriptor = self._lock()
        _clear(run)
        self.fresh = not run.taken

    def release(self) -> None:
        """Lets go; a directory in which nothing was written is removed."""
        if self.run.path.exists():
            (self.run.path / LOCK).unlink(missing_ok=True)
        os.close(self._descriptor)
        with suppress(OSError):  # something lies there
            for path in self._made:
                path.rmdir()

    def _lock(self) -> int:
        lock = self.run.path / LOCK
        while True:
            self.run.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.read(descriptor, 200).decode(errors="replace") or "another process"
                os.close(descriptor)
                raise RunInUseError(
                    f"run directory {self.run.path} is in use by {holder}: wait for its end, "
                    "choose another --run_dir, or leave it out for a new numbered one."
                ) from error
            if _same_file(descriptor, lock):
                break
            os.close(descriptor)  # its holder has just let go, and taken the file away
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        return descriptor


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _clear(run: RunDirectory) -> None:
    """Removes unfinished files whose writers are dead; checkpoints are written by fits alone."""
    for path in run.path.glob("**/.*"):
        found = TEMPORARY.fullmatch(path.name)
        if path.name.startswith((".last.ckpt.", ".best.ckpt.")) or (
            found and not _alive(int(found[1]))
        ):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
