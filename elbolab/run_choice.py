"""Which run directory and which checkpoint a command uses."""

import shutil
from contextlib import suppress
from pathlib import Path

from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory, first_free, newest

__all__ = ["RUNS", "choose_checkpoint", "choose_run", "discard_unless_trained"]

RUNS = Path("runs")
"""Where run directories are made when ``--run_dir`` is not typed."""


def choose_run(
    command: str, typed: str | None, ckpt_path: str | None, default: Path
) -> RunDirectory:
    """The directory that a command owns; an existing run is never overwritten by a fit.

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        typed: What was given as ``--run_dir``.
        ckpt_path: What was given as ``--ckpt_path``; with ``best`` or ``last`` a fit goes on.
        default: Where runs of this experiment lie, with numbers from the second one on.

    Raises:
        UserError: If a fit would overwrite what lies there.
    """
    if command != "fit" or ckpt_path in ("best", "last"):
        return RunDirectory(Path(typed)) if typed else newest(default) or RunDirectory(default)
    if typed is None:
        return first_free(default)
    found = RunDirectory(Path(typed))
    if found.taken:
        raise UserError(
            f"run directory {typed} exists: go on with --ckpt_path last, choose another "
            "--run_dir, or leave it out for a new numbered one."
        )
    return found


def choose_checkpoint(command: str, typed: str | None, run: RunDirectory) -> str | None:
    """Path of the checkpoint to load: a file, or the run's ``best`` or ``last``.

    Args:
        command: All but ``fit`` need one, and take ``best`` by default.
        typed: What was given as ``--ckpt_path``.
        run: The command's run directory.

    Raises:
        UserError: If the run has no such checkpoint.
    """
    name = typed or ("best" if command != "fit" else None)
    if name not in ("best", "last"):
        return name
    path = run.checkpoint(name)
    if not path.exists():
        raise UserError(
            f"no checkpoint {path}: fit first (python cli.py fit --config … --run_dir {run.path}), "
            "or give a file with --ckpt_path."
        )
    return str(path)


def discard_unless_trained(run: RunDirectory) -> None:
    """Removes a directory that holds nothing but the beginnings of a log."""
    if run.checkpoints.exists() or run.metrics.exists():
        return
    shutil.rmtree(run.path, ignore_errors=True)
    if run.path.parent == RUNS:
        with suppress(OSError):  # other runs lie there
            RUNS.rmdir()
