"""Which tasks are installed, and the class of each.

A plug-in may be wrong in any way: the list shows the others, and running it says in one line what
is wrong with it.
"""

import inspect
import traceback
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from elbolab.errors import UserError
from tasks.base import Task

__all__ = ["GROUP", "OWN_OPTIONS", "describe", "installed_tasks", "load_task"]

GROUP = "elbolab.tasks"
"""Entry-point group in which packages announce ``name = "module:Class"``."""

OWN_OPTIONS = ("config", "run_dir", "seed", "figures")
"""Options of every task, which its constructor does not see."""

TRACEBACK = "ELBOLAB_TRACEBACK=1 shows the traceback"


def installed_tasks() -> dict[str, EntryPoint]:
    """Every task that an installed package announces, by name; imports none of them.

    Raises:
        UserError: If two packages announce different tasks under one name.
    """
    tasks: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        known = tasks.setdefault(entry.name, entry)
        if known.value != entry.value:
            raise UserError(
                f"two packages announce a task '{entry.name}', {known.value} and {entry.value}: "
                "uninstall one."
            )
    return tasks


def describe(entry: EntryPoint) -> str:
    """One line about a task: its docstring's first, or why it cannot be loaded."""
    try:
        text = load_task(entry).__doc__ or "no description"
    except UserError as error:
        text = str(error)
    return text.strip().partition("\n")[0]


def load_task(entry: EntryPoint) -> type[Task]:
    """Imports the class of a task.

    Raises:
        UserError: If its module cannot be imported, for whatever reason, or is no task's.
    """
    task = _import(entry)
    name = f"task '{entry.name}': {entry.value}"
    if not (inspect.isclass(task) and callable(getattr(task, "run", None))):
        raise UserError(f"{name} is no class with a method 'run'. {_whose(entry)}")
    if inspect.isabstract(task):
        missing = ", ".join(sorted(getattr(task, "__abstractmethods__", ())))
        raise UserError(f"{name} leaves out {missing}. {_whose(entry)}")
    _check_signatures(name, task, entry)
    return cast(type[Task], task)


def _import(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a script without "if __name__ ..."
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        what = " ".join(what.split())
        raise UserError(
            f"task '{entry.name}' cannot be imported: {what}{_where(error)}. {_whose(entry)}"
        ) from error


def _where(error: BaseException) -> str:
    if isinstance(error, SyntaxError):  # its text has file and line
        return ""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return "" if "importlib" in last.filename else f" ({last.filename}, line {last.lineno})"


def _whose(entry: EntryPoint) -> str:
    """Who can mend it."""
    package = f"the package {entry.dist.name}" if entry.dist else entry.module
    return f"Mend or uninstall {package}; {TRACEBACK}."


def _check_signatures(name: str, task: Any, entry: EntryPoint) -> None:
    parameters = inspect.signature(task).parameters.values()
    for parameter in parameters:
        if parameter.name in OWN_OPTIONS:
            raise UserError(
                f"{name} has a parameter '{parameter.name}', which is an option of every task: "
                f"rename it. {_whose(entry)}"
            )
        if parameter.annotation is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            raise UserError(
                f"{name} has a parameter '{parameter.name}' without a type: write one. "
                f"{_whose(entry)}"
            )
    try:
        inspect.signature(task.run).bind(None, None)
    except TypeError:
        raise UserError(f"{name}: its run takes no context. {_whose(entry)}") from None
