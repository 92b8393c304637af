"""Turns jsonargparse's nested messages into the one line that a person needs."""

import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from elbolab.errors import UserError, did_you_mean

__all__ = ["explain"]

ROOMS = ("lightning_modules", "datamodules", "callbacks", "tasks")
"""Packages whose classes a mistyped class name is compared with."""


def explain(error: BaseException, options: Iterable[str] = ()) -> str:
    """The innermost cause of ``error`` in one line, with a suggestion where one is close.

    Args:
        error: What jsonargparse raised while parsing or building objects.
        options: The command line's options (``--model.latent_dim``), to compare a wrong one with.
    """
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return str(cause)
    text = str(error)
    explanations = (
        _unknown_option(text, list(options)),
        _unknown_class(text),
        _missing_file(text),
        _own_message(text),
        _wrong_value(text),
    )
    return next((line for line in explanations if line), _leaf(text))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _unknown_option(text: str, options: list[str]) -> str | None:
    if found := re.search(r"[Uu]nrecognized arguments?: (--?[^\s=]+)", text):
        return f"unknown option {found[1]}.{did_you_mean(found[1], options)}"
    if found := re.search(r"Option '([^']+)' is not accepted", text):
        owners = re.findall(r"class_path '([^']+)'", text[: found.start()])
        if not owners:
            return f"unknown option '{found[1]}'.{did_you_mean(found[1], options)}"
        hint = did_you_mean(found[1], _parameters(owners[-1]))
        return f"{owners[-1]} has no option '{found[1]}'.{hint}"
    if found := re.search(r"(?:[Kk]ey|No action for key) ['\"]([\w.]+)['\"](?: is not| to)", text):
        key = found[1]
        names = [option.lstrip("-") for option in options]
        return f"unknown option '{key}'.{did_you_mean(key, names)}"
    return None


def _unknown_class(text: str) -> str | None:
    patterns = (
        r"Expected a dot import path string: (\S+)",
        r"[Uu]nable to import (?:module|package)? ?'?([\w.]+)'?",
        r"Module '?\"?([\w.]+)'?\"? (?:not found|does not have)",
        r"No module named '([\w.]+)'",
    )
    for pattern in patterns:
        if found := re.search(pattern, text):
            name = found[1]
            if given := re.search(r"Given value: \{?'?(?:class_path'?: ')?([\w.]+)", text):
                name = given[1] if given[1] != "NestedArg" else name
            return f"no class '{name}'.{did_you_mean(name, _known_classes())}"
    return None


def _missing_file(text: str) -> str | None:
    if found := re.search(r"File does not exist: '?([^'\n]+)'?", text):
        path = Path(found[1])
        here = [str(p) for p in Path("configs").rglob("*.yaml")]
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return f"no file {shown}.{did_you_mean(str(shown), here)}"
    return None


def _own_message(text: str) -> str | None:
    """The message of our own error where jsonargparse kept its text but not the exception."""
    if found := re.search(r"Errors:\n\s+- ((?:\w+ must|no |val_size|batch_size)[^\n]+)", text):
        return found[1]
    return None


def _wrong_value(text: str) -> str | None:
    if found := re.search(r'Parser key "([\w.]+)":\s+([^\n]*Got value: [^\n]+)', text):
        return f"option '{found[1]}': {found[2].strip()}"
    return None


def _leaf(text: str) -> str:
    """The first sentence that says more than that a union did not fit."""
    lines = [line.strip(" -\t") for line in text.splitlines()]
    noise = ("Parser key", "Does not validate", "Subtypes:", "Errors:", "Given value", "Problem")
    return next((line for line in lines if line and not line.startswith(noise)), " ".join(lines))


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    return list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)


def _known_classes() -> list[str]:
    """Short and full names of every class in the rooms' imported modules."""
    found = [
        value
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").split(".")[0] in ROOMS
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__.split(".")[0] in ROOMS
    ]
    return sorted({c.__name__ for c in found} | {f"{c.__module__}.{c.__name__}" for c in found})
