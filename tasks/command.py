"""The command line of tasks: ``python cli.py task [NAME [options]]``."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from elbolab.command_line import parse
from elbolab.errors import UserError, did_you_mean
from elbolab.run_choice import RUNS
from elbolab.run_directory import RunDirectory, first_free, write_atomically
from tasks.base import (
    Task,
    TaskContext,
    TaskResult,
    describe,
    installed_tasks,
    load_task,
    write_result,
)

__all__ = ["main", "task_parser"]

OWN_OPTIONS = ("config", "run_dir", "seed")
"""Options of every task, which its constructor does not see."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the signal's number, as shells report it."""


def main(args: list[str]) -> int:
    """Lists the installed tasks, or runs one.

    Args:
        args: What was typed after ``task``.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.

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
        ValueError: If a parameter of the constructor is called like an option of every task.
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
    parser.add_class_arguments(task)
    return parser


def _run(name: str, task_class: type[Task], options: list[str]) -> int:
    parser = task_parser(name, task_class)
    config = parse(parser, options)
    built = _instantiate(parser, config)
    task = task_class(**{key: built[key] for key in built if key not in OWN_OPTIONS})
    complete = _complete(parser, config)
    try:
        with _claimed(name, config.run_dir, complete) as run:
            print(f"Run directory: {run.path}")
            result = _execute(name, task, TaskContext(config.seed, run))
    except KeyboardInterrupt:
        print("\nstopped; the run directory keeps what was written, if anything", file=sys.stderr)
        return INTERRUPTED
    _print_summary(name, result, run)
    return 0


def _instantiate(parser: ArgumentParser, config: Namespace) -> dict[str, Any]:
    try:
        return vars(parser.instantiate(config))
    except ValueError as error:
        # Where an option may be None too, jsonargparse hides the one line in a longer one.
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise


def _execute(name: str, task: Task, context: TaskContext) -> TaskResult:
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
    except BaseException:
        if list(run.path.iterdir()) == [run.config]:
            run.config.unlink()
            with suppress(OSError):  # a parent that another run uses by now stays
                for path in created:
                    path.rmdir()
        raise


def _claim(name: str, typed: str | None) -> tuple[RunDirectory, list[Path]]:
    """Creates a free run directory; returns it and the folders that did not exist before."""
    while True:
        run = _choose(name, typed)
        created = [path for path in (run.path, *run.path.parents) if not path.exists()]
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            run.config.touch(exist_ok=False)
            return run, created
        except OSError as error:
            if not run.taken:  # else another task was faster: choose again
                reason = f"cannot create run directory {run.path}: {error.strerror}"
                raise UserError(f"{reason}. Choose another --run_dir.") from error


def _choose(name: str, typed: str | None) -> RunDirectory:
    if typed is None:
        return first_free(RUNS / name)
    run = RunDirectory(Path(typed))
    if run.taken:
        raise UserError(
            f"run directory {typed} exists: choose another --run_dir, or leave it out for a new "
            "numbered one."
        )
    return run


def _print_summary(name: str, result: TaskResult, run: RunDirectory) -> None:
    rows = result.tagged(name)
    width = max(map(len, rows), default=0)
    for key, value in rows.items():
        print(f"  {key:{width}}  {value:12.6g}")
    print(f"Results: {run.path}")
