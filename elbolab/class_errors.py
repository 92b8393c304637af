"""Why a class that a person named cannot be used: said in one line."""

import importlib
import inspect
import sys
from collections.abc import Iterator

from elbolab.errors import did_you_mean
from elbolab.renamed import present_name

__all__ = ["explain_class", "known_classes", "option_names"]

PACKAGES = ("lightning_modules", "datamodules", "callbacks", "tasks", "torch.optim")
"""Where the classes come from that a mistyped class name is compared with."""

FEW = 8
"""Choices that are all named in one line."""


def explain_class(name: str, base: str = "", option: str = "") -> str:
    """What is wrong with a class path.

    Args:
        name: What was given: ``Name`` or ``package.module.Name``.
        base: Name of the class that it must derive from, where that is known.
        option: The option that it was given for.
    """
    if (now := present_name(name)) is not None:
        return f"{name} is called {now} now: write that in its place."
    module, _, attribute = name.rpartition(".")
    if not name.replace(".", "").replace("_", "").isalnum() or name[:1].isdigit():
        return f"{option or 'a class'} must be the name of a class{_choices(base)}, got {name}."
    if not module:
        return f"no class '{name}'.{_proposal(name, base)}"
    try:
        where = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            return _no_module(name, error.name)
        return f"cannot import module '{module}' for class '{name}': {error}."
    except SyntaxError as error:
        place = f"{error.filename}, line {error.lineno}"
        return f"cannot import module '{module}' for class '{name}': {error.msg} ({place})."
    except (Exception, SystemExit) as error:  # a module of one's own may fail in any way
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return f"cannot import module '{module}' for class '{name}': {reason}."
    names = [key for key, value in vars(where).items() if inspect.isclass(value)]
    if attribute not in vars(where):
        return f"module '{module}' has no class '{attribute}'.{did_you_mean(attribute, names)}"
    return f"{name} is no {base or 'class of the kind wanted'}{_choices(base)}."


def _no_module(name: str, missing: str) -> str:
    ours = missing.startswith(tuple(package.split(".")[0] for package in PACKAGES))
    if ours and (hint := did_you_mean(name, known_classes())):
        return f"no class '{name}'.{hint}"
    return (
        f"no module '{missing}' for class '{name}': install it, or put the folder that holds it "
        "into PYTHONPATH."
    )


def known_classes(base: str = "") -> list[str]:
    """Short and full names of the classes of `PACKAGES` that are imported.

    Args:
        base: Name of a class that they must derive from; any by default.
    """
    classes = {
        value
        for name, module in list(sys.modules.items())
        if name.startswith(PACKAGES)
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__.startswith(PACKAGES)
    }
    fitting = {c for c in classes if not base or base in (b.__name__ for b in c.__mro__)}
    return sorted({n for c in fitting for n in (c.__name__, f"{c.__module__}.{c.__name__}")})


def _proposal(name: str, base: str) -> str:
    return did_you_mean(name, known_classes(base)) or did_you_mean(name, known_classes())


def _choices(base: str) -> str:
    names = [n for n in known_classes(base) if "." not in n and n != base] if base else []
    if not names or len(names) > FEW:
        return ""
    return f" ({', '.join(names)}, or a {base} of one's own)"


def option_names(class_path: str) -> list[str]:
    """Names of the options of a class, those that ``**kwargs`` hands to its parents included."""
    return list(_parameters(class_path))


def _parameters(class_path: str) -> Iterator[str]:
    module, _, name = class_path.rpartition(".")
    for parent in inspect.getmro(getattr(importlib.import_module(module), name)):
        yield from inspect.signature(parent.__init__).parameters
