"""Which run directory and which checkpoint a command uses."""

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from elbolab.errors import UserError, did_you_mean
from elbolab.run_claim import RunClaim, RunInUseError
from elbolab.run_directory import RunDirectory, newest, numbered

__all__ = [
    "GOES_ON",
    "RUNS",
    "choose_checkpoint",
    "choose_run",
    "claim_run",
    "default_run",
    "discard_untrained",
    "requeued",
    "with_run_config",
]

RUNS = Path("runs")
"""Where run directories are made when ``--run_dir`` is not typed."""

GOES_ON = ("best", "last", "auto")
"""Values of ``--ckpt_path`` with which a fit stays in the run's own directory."""


def choose_run(typed: str | None, default: Path) -> RunDirectory:
    """The directory of a run that is there, or is to go on: the typed one, or the newest.

    Args:
        typed: What was given as ``--run_dir``.
        default: Where runs of this experiment lie, with numbers from the second one on.
    """
    return RunDirectory(Path(typed)) if typed else newest(default) or RunDirectory(default)


def claim_run(typed: str | None, ckpt_path: str | None, default: Path) -> RunClaim:
    """The directory that a fit owns while it lives; an existing run is never overwritten.

    Args:
        typed: What was given as ``--run_dir``.
        ckpt_path: What was given as ``--ckpt_path``.
        default: Where runs of this experiment lie, with numbers from the second one on.

    Raises:
        UserError: If another fit is at work there, or this one would overwrite what lies there.
    """
    if ckpt_path in GOES_ON:
        claim = _claimed(choose_run(typed, default))
        if ckpt_path == "auto" and not claim.fresh and not claim.run.begun:
            claim.release()
            raise UserError(
                f"run directory {claim.run.path} is no run's: it has no config.yaml; choose "
                "another --run_dir."
            )
        return claim
    if typed is None:
        return _first_claimed(default)
    claim = _claimed(RunDirectory(Path(typed)))
    if not claim.fresh:
        claim.release()
        raise UserError(f"run directory {typed} exists: {_remedy(claim.run)}")
    return claim


def choose_checkpoint(command: str, typed: str | None, run: RunDirectory) -> str | None:
    """Path of the checkpoint to load: a file, or the run's ``best`` or ``last``.

    Args:
        command: All but ``fit`` need one, and take ``best`` by default.
        typed: What was given as ``--ckpt_path``; ``auto`` is ``last``, else ``best``, else none.
        run: The command's run directory.

    Raises:
        UserError: If the run has no such checkpoint.
    """
    name = typed or ("best" if command != "fit" else None)
    if name == "auto":
        there = (name for name in ("last", "best") if run.checkpoint(name).exists())
        name = next(there, None if command == "fit" else "last")
    if name not in ("best", "last"):
        return name
    path = run.checkpoint(name)
    if path.exists():
        return str(path)
    if run.begun and command == "fit":
        raise UserError(f"no checkpoint {path}: {_remedy(run)}")
    begin = f"python cli.py fit --config … --run_dir {run.path} --ckpt_path auto"
    raise UserError(f"no checkpoint {path}: fit first ({begin}), or give a file with --ckpt_path.")


def discard_untrained(run: RunDirectory) -> None:
    """Empties a directory that holds nothing but the beginnings of a log."""
    if run.checkpoints.exists() or run.metrics.exists():
        return
    for path in run.path.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def with_run_config(args: list[str]) -> list[str]:
    """Gives the configuration of a typed run directory first, so that all that is typed wins."""
    command, *rest = args
    path = _typed(rest, "run_dir")
    if command == "fit" or path is None or {"-h", "--help"} & set(rest):
        return args
    config = RunDirectory(Path(path)).config
    if config.exists():
        return [command, "--config", str(config), *rest]
    if _typed(rest, "config") is None:
        known = [str(config.parent) for config in RUNS.glob("*/config.yaml")]
        raise UserError(f"no run in {path}: it has no config.yaml.{did_you_mean(path, known)}")
    return args


def _typed(args: list[str], option: str) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(f"--{option}", nargs="?")  # the command's own parser refuses its absence
    return vars(parser.parse_known_args(args)[0])[option]


def requeued() -> bool:
    """Whether SLURM has started this command again."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0


def default_run(configs: Sequence[str], class_path: str) -> Path:
    """Where a run lies by default: named like its last configuration, or like its model.

    Args:
        configs: Files given as ``--config``.
        class_path: Of the model.
    """
    if configs:
        path = Path(configs[-1])
        return RUNS / (path.parent.name if path.name == "config.yaml" else path.stem)
    return RUNS / class_path.rsplit(".", 1)[-1].lower()


def _claimed(run: RunDirectory) -> RunClaim:
    try:
        return RunClaim(run)
    except OSError as error:
        reason = f"cannot write to {run.path}: {error.strerror}"
        raise UserError(f"{reason}. Choose another --run_dir.") from error


def _first_claimed(default: Path) -> RunClaim:
    """The first of ``default``, ``default-2``, … in which nothing lies and no one is at work."""
    for run in numbered(default):
        if run.taken:
            continue
        try:
            claim = _claimed(run)
        except RunInUseError:
            continue
        if claim.fresh:
            return claim
        claim.release()  # another fit was faster, and has ended already
    raise AssertionError("numbers never end")


def _remedy(run: RunDirectory) -> str:
    other = "choose another --run_dir, or leave it out for a new numbered one."
    for name in ("last", "best"):
        if run.checkpoint(name).exists():
            return f"go on with --ckpt_path {name}, {other}"
    if run.begun:
        return (
            "its fit ended before the first epoch did; begin it again in the same place with "
            f"--ckpt_path auto, {other}"
        )
    return other
