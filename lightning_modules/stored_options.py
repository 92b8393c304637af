"""Which classes the options in a checkpoint may name, and models that are built from them.

A configuration of one's own may name any class, and so run any code. A checkpoint may come from a
stranger: it may name what is here and what this process knows already, and nothing is imported to
find out.
"""

import re
import sys
from argparse import ArgumentError
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, Self

from pytorch_lightning import LightningModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from elbolab.errors import UserError
from lightning_modules.checkpoints import read_checkpoint

__all__ = ["StoredModule", "check_names", "name_classes"]

OWN = ("lightning_modules", "datamodules", "callbacks")
"""The rooms of this package, whose modules may be imported for a checkpoint."""

KNOWN_BASES = (nn.Module, Optimizer, LRScheduler)
"""What classes from elsewhere may be, besides descendants of this package's own."""

LIGHTNINGS_OWN = "pytorch_lightning.cli.instantiate_module"
"""What Lightning writes into the options of a model that the command line has built."""

OLD_KEYS = ("hyper_parameters", "hparams", "module_arguments")
"""Where checkpoints of this and of former versions of Lightning keep options."""

NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
"""A dotted name, wherever in a text: options may be written as text of their own."""

PATH = re.compile(r"[\w.~-]*(?:/[\w.~-]*)+")
"""A path of files, whose dots are none of a dotted name."""

_named: set[str] = set()


def name_classes(options: Any) -> None:
    """Allows what this run's command line or configuration names, and no more than that."""
    _named.clear()
    _named.update(name for text in _texts(options) for name in NAME.findall(text))


def check_names(options: Any, source: str) -> None:
    """Refuses options that name anything but classes that are here or known already.

    Args:
        options: Nested mappings and sequences.
        source: Where they come from.

    Raises:
        UserError: Naming the first such name.
    """
    for text in _texts(options):
        for name in NAME.findall(text):
            if name != LIGHTNINGS_OWN and name not in _named and not _is_harmless(name):
                raise UserError(
                    f"{source} names {name}, which is no class of this package: nothing is "
                    "imported for a checkpoint's sake. If it is your own, import it first, or "
                    "name it in the configuration of this run."
                )


class StoredModule(LightningModule):
    """A module that is built from its checkpoint without running a stranger's code."""

    @classmethod
    def load_from_checkpoint(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, checkpoint_path: Any, *args: Any, weights_only: bool = True, **kwargs: Any
    ) -> Self:
        """As Lightning's, of tensors and plain values only.

        Args:
            checkpoint_path: A path, or a file that is open for reading.
            args: As Lightning has them.
            weights_only: Must be True.
            kwargs: As Lightning has them; options by name win over the checkpoint's.

        Raises:
            UserError: If the checkpoint is damaged, holds code, or names foreign classes.
        """
        if not weights_only:
            raise UserError("a checkpoint that holds code is not loaded: leave weights_only out.")
        saved = read_checkpoint(checkpoint_path)
        if not isinstance(saved, dict):
            raise UserError(f"{checkpoint_path} is no checkpoint of a LightningModule.")
        source = "the checkpoint" if hasattr(checkpoint_path, "read") else str(checkpoint_path)
        check_names([saved.get(key) for key in OLD_KEYS], source)
        if hasattr(checkpoint_path, "seek"):
            checkpoint_path.seek(0)
        try:
            return super().load_from_checkpoint(checkpoint_path, *args, weights_only=True, **kwargs)
        except ArgumentError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{source} holds options that do not fit: {reason}") from error


def _texts(options: Any) -> Iterator[str]:
    if isinstance(options, str):
        yield "" if PATH.fullmatch(options) else options
    elif isinstance(options, Mapping):
        for key, value in options.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(options, Iterable):
        for value in options:
            yield from _texts(value)


def _is_harmless(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    if _root(module) in OWN:
        try:
            import_module(module)
        except ImportError:
            return False
    found = getattr(sys.modules.get(module), attribute, None)
    return isinstance(found, type) and any(
        base in KNOWN_BASES or _root(base.__module__) in OWN for base in found.__mro__
    )


def _root(module: str) -> str:
    return module.partition(".")[0]
