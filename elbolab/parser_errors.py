"""Turns jsonargparse's nested messages into the one line that a person needs."""

import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from elbolab.errors import UserError, did_you_mean

__all__ = ["explain"]

PACKAGES = ("lightning_modules", "datamodules", "callbacks", "tasks", "torch.optim")
"""Where the classes come from that a mistyped class name is compared with."""


def explain(error: BaseException, options: Iterable[str] = ()) -> str:
    """The innermost cause of ``error`` in one line, with a suggestion where one is close.

    Args:
        error: What jsonargparse raised while parsing or building objects.
        options: The command line's options (``--model.latent_dim``), to compare a wrong one with.
    """
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return str(cause)
    text, known = str(error), list(options)
    readings = (
        _nothing_given(text),
        _unknown_option(text, known),
        _unknown_class(text),
        _no_file(text),
        _bad_value(text),
    )
    return next((line for line in readings if line), _leaf(text))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _nothing_given(text: str) -> str | None:
    if found := re.search(r"following arguments are required: (.+)", text):
        missing = " and ".join(name.split(".")[-1] for name in found[1].split(", "))
        return f"no {missing} given: name a configuration, such as --config configs/vae.yaml."
    return None


def _unknown_option(text: str, options: list[str]) -> str | None:
    if found := re.search(r"[Uu]nrecognized arguments?: (--?[^\s=]+)", text):
        return f"unknown option {found[1]}.{did_you_mean(found[1], options)}"
    if found := re.search(r"[Oo]ption '([^']+)' is not accepted|not accept option '([^']+)'", text):
        name = found[1] or found[2]
        if owners := re.findall(r"class_path '([^']+)'", text[: found.start()]):
            hint = did_you_mean(name, _parameters(owners[-1]))
            return f"{owners[-1]} has no option '{name}'.{hint}"
        return f"unknown option '{name}'.{did_you_mean(name, [o.lstrip('-') for o in options])}"
    return None


def _unknown_class(text: str) -> str | None:
    missing = r"class_path '([^']+)':\s+(?:module '[^']+' has no attribute|No module named)"
    if found := re.search(rf"{missing}|Expected a dot import path string: (\S+)", text):
        name = found[1] or found[2]
        return f"no class '{name}'.{did_you_mean(name, _known_classes())}"
    return None


def _no_file(text: str) -> str | None:
    if found := re.search(r"File does not exist: '?([^'\n]+)'?", text):
        path = Path(found[1])
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        known = [str(config) for config in Path("configs").rglob("*.yaml")]
        return f"no file {shown}.{did_you_mean(str(shown), known)}"
    return None


def _bad_value(text: str) -> str | None:
    keys = list(re.finditer(r'Parser key "([\w.]+)":', text))
    if not keys:
        return None
    rest = text[keys[-1].end() :]
    wanted = re.findall(r"Expected an? (.+?)(?:\. Got value: |\n|$)", rest)
    given = re.search(r"(?:Got|Given) value: (.+)", rest)
    if not wanted or not given:
        return None
    kinds = dict.fromkeys(_readable(kind) for kind in wanted)
    return f"{keys[-1][1]} must be {' or '.join(k for k in kinds if k != 'None')}, got {given[1]}."


def _readable(kind: str) -> str:
    """``<class 'int'>`` → ``int``; ``typing.Literal['a', 'b']`` → ``one of 'a', 'b'``."""
    kind = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", kind).replace("NoneType", "None")
    return re.sub(r"^(?:typing\.)?Literal\[(.*)\]$", r"one of \1", kind)


def _leaf(text: str) -> str:
    """The first sentence that says more than that a union did not fit."""
    lines = [line.strip(" -\t") for line in text.splitlines()]
    noise = ("Parser key", "Does not validate", "Subtypes:", "Errors:", "Given value", "Problem")
    leaf = next((line for line in lines if line and not line.startswith(noise)), " ".join(lines))
    keys = re.findall(r'Parser key "([\w.]+)":', text)
    return f"{keys[-1]}: {leaf}" if keys and keys[-1] not in leaf else leaf


def _parameters(class_path: str) -> list[str]:
    """Names of the options of a class, those that ``**kwargs`` hands to its parents included."""
    module, _, name = class_path.rpartition(".")
    parents = inspect.getmro(getattr(importlib.import_module(module), name))
    return [name for parent in parents for name in inspect.signature(parent.__init__).parameters]


def _known_classes() -> list[str]:
    """Short and full names of the classes defined in the imported modules of `PACKAGES`."""
    found = [
        value
        for name, module in list(sys.modules.items())
        if name.startswith(PACKAGES)
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__.startswith(PACKAGES)
    ]
    return sorted({c.__name__ for c in found} | {f"{c.__module__}.{c.__name__}" for c in found})
