"""The command line of tasks: ``python cli.py task [NAME [options]]``."""

import argparse
import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from jsonargparse import ArgumentParser, Namespace

from elbolab.checks import check_seed
from elbolab.command_line import instantiate, parse
from elbolab.errors import UserError, did_you_mean
from elbolab.files import shown
from elbolab.option_checks import FIGURES_HELP, FigureOption, figure_formats
from elbolab.provenance import Provenance
from elbolab.run_choice import RUNS
from elbolab.run_directory import RunDirectory, first_free, write_atomically
from tasks.base import Task, TaskContext, TaskResult
from tasks.plugins import OWN_OPTIONS, describe, installed_tasks, load_task

__all__ = ["main", "task_parser"]

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and SIGTERM: 128 and the signal's number, as shells report it."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What writing ends with on a disk that takes no more."""


def main(args: list[str]) -> int:
    """Lists the installed tasks, or runs one.

    Args:
        args: What was typed after ``task``.

    Returns:
        The exit code: 0, 130 after Ctrl-C, or 143 after SIGTERM.

    Raises:
        UserError: If the options cannot be parsed, or what they ask for cannot be had.
        SystemExit: With code 0, after the ``--help`` or ``--print_config`` of a task.
    """
    if not args or args[0] in ("-h", "--help"):
        print(_overview())
        return 0
    name, *options = args
    known = installed_tasks()
    if name not in known:
        names = ", ".join(known) or "none; see python cli.py task"
        raise UserError(f"no task '{name}'.{did_you_mean(name, known)} Installed: {names}.")
    return _run(name, load_task(known[name]), options)


def _overview() -> str:
    tasks = {name: describe(entry) for name, entry in installed_tasks().items()}
    width = max(map(len, tasks), default=0)
    lines = [f"  {name:{width}}  {line}" for name, line in tasks.items()]
    none = [
        "  none. Tasks are found in installed packages; for those of this framework, install it:",
        "  pip install -e .",
    ]
    return "\n".join(
        [
            "usage: python cli.py task NAME [--config FILE] [--run_dir DIR] [--seed N] [options]",
            "",
            "installed tasks:",
            *(lines or none),
            "",
            "NAME --help lists a task's options. To add a task, see CONTRIBUTING.md.",
        ]
    )


def task_parser(name: str, task: type[Task]) -> ArgumentParser:
    """The options of one task: its constructor's parameters and those that every task has.

    Args:
        name: The task's name.
        task: Its class.

    Raises:
        UserError: If the command line cannot be made from the constructor.
    """
    parser = ArgumentParser(
        prog=f"python cli.py task {name}", exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument(
        "--config", action="config", help="YAML of options; what is typed wins over it."
    )
    parser.add_argument(
        "--run_dir",
        type=str | None,
        help=f"The run's directory. Default: {RUNS / name}, or a new number when that is taken.",
    )
    parser.add_argument("--seed", type=int, default=0, help="Seed of all noise.")
    parser.add_argument("--figures", type=FigureOption, help=FIGURES_HELP)
    try:
        parser.add_class_arguments(task)
    except (ValueError, TypeError, argparse.ArgumentError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"task '{name}' cannot have a command line: {reason}.") from error
    return parser


def _run(name: str, task_class: type[Task], options: list[str]) -> int:
    parser = task_parser(name, task_class)
    config = parse(parser, options)
    check_seed(seed=config.seed)
    formats = figure_formats(config.figures)
    built = vars(instantiate(parser, config))
    task = task_class(**{key: built[key] for key in built if key not in OWN_OPTIONS})
    complete = _complete(parser, config)
    try:
        with _terminable(), _claimed(name, config.run_dir, complete) as run:
            print(f"Run directory: {run.path}")
            with _recorded(run, ["task", name, *options], config.seed):
                result = _execute(name, task, TaskContext(config.seed, run, formats))
    except MemoryError as error:
        reason = shown(str(error)) if str(error) else "none is left"
        raise UserError(
            f"task '{name}' needs more memory than there is ({reason}): choose smaller sizes."
        ) from error
    except KeyboardInterrupt as stop:
        print("\nstopped; the run directory keeps what was written, if anything", file=sys.stderr)
        return TERMINATED if isinstance(stop, _Terminated) else INTERRUPTED
    _print_summary(name, result, run)
    return 0


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which is how schedulers, ``timeout`` and ``kill`` stop a program."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Has SIGTERM stop a task as Ctrl-C does, so that it can save what it has.

    A program in the background of a script is deaf to SIGINT from its start, and stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> NoReturn:
    raise _Terminated


@contextmanager
def _recorded(run: RunDirectory, words: list[str], seed: int) -> Iterator[None]:
    """Keeps what made the run, unless the task fails before it wrote anything."""
    entry, outcome = Provenance(run, words, at_once=False, seed=seed), "failed"
    try:
        yield
        outcome = "finished"
    except KeyboardInterrupt:
        outcome = "stopped"
        raise
    finally:
        if list(run.path.iterdir()) != [run.config]:
            entry.end(outcome)


def _execute(name: str, task: Task, context: TaskContext) -> TaskResult:
    from tasks.recording import write_result  # imports matplotlib and TensorBoard

    with closing(context):
        result = task.run(context)
        write_result(name, result, context)
    return result


def _complete(parser: ArgumentParser, config: Namespace) -> str:
    """All options as YAML for ``--config``, without the directory: the next run has its own."""
    kept = config.clone()
    for key in ("config", "run_dir"):
        kept.pop(key)
    return parser.dump(kept, skip_unset=False)


@contextmanager
def _claimed(name: str, typed: str | None, config: str) -> Iterator[RunDirectory]:
    """Holds a run directory by its ``config.yaml`` while a task works.

    It is created before the task starts, so that two tasks started at once never share one, and
    so that an unwritable place is known before hours of work. A task that fails before it wrote
    anything leaves nothing behind.
    """
    run, created = _claim(name, typed)
    try:
        write_atomically(run.config, config.encode())
        yield run
    except BaseException as error:
        if list(run.path.iterdir()) == [run.config]:
            run.config.unlink()
            _remove(created)
        if isinstance(error, OSError) and _about(run, error):
            raise UserError(_unwritable(run, error)) from error
        raise


def _about(run: RunDirectory, error: OSError) -> bool:
    """Whether an error is one of writing to the run directory, not a defect of the task."""
    return error.errno in FULL or Path(str(error.filename)).is_relative_to(run.path)


def _unwritable(run: RunDirectory, error: OSError | ValueError) -> str:
    path = str(run.path)
    shown = repr(path if len(path) <= 80 else f"{path[:40]}…")[1:-1]
    reason = getattr(error, "strerror", None) or str(error)
    return f"cannot write to run directory {shown}: {reason}. Choose another --run_dir."


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError, ValueError):  # a parent that another run uses by now stays
            folder.rmdir()


def _claim(name: str, typed: str | None) -> tuple[RunDirectory, list[Path]]:
    """Creates a free run directory; returns it and the folders that did not exist before."""
    while True:
        run, created = _choose(name, typed), list[Path]()
        try:
            if typed is not None:
                _refuse_taken(run)
            created = [path for path in (run.path, *run.path.parents) if not path.exists()]
            run.path.mkdir(parents=True, exist_ok=True)
            run.config.touch(exist_ok=False)
            return run, created
        except FileExistsError:
            continue  # another task was faster: choose again
        except UserError:
            raise
        except (OSError, ValueError) as error:
            _remove(created)
            raise UserError(_unwritable(run, error)) from error


def _choose(name: str, typed: str | None) -> RunDirectory:
    return first_free(RUNS / name) if typed is None else RunDirectory(Path(typed))


def _refuse_taken(run: RunDirectory) -> None:
    if run.path.is_file():
        raise UserError(f"--run_dir {run.path} is a file: choose another --run_dir.")
    if run.taken:
        raise UserError(
            f"run directory {run.path} exists: choose another --run_dir, or leave it out for a new "
            "numbered one."
        )


def _print_summary(name: str, result: TaskResult, run: RunDirectory) -> None:
    rows = result.tagged(name)
    width = max(map(len, rows), default=0)
    for key, value in rows.items():
        print(f"  {key:{width}}  {value:12.6g}")
    print(f"Results: {run.path}")
