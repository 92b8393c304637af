"""The callbacks that a model brings along, so that a fit without a configuration is whole too."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.callbacks import Checkpoint

from callbacks.run.checkpoints import BestCheckpoint
from elbolab.whole_run import WholeRun

__all__ = ["own_callbacks", "with_own_callbacks"]


def own_callbacks(model: LightningModule) -> list[Callback]:
    """The callbacks that make a fit of ``model`` in Python a whole one.

    That is ``Trainer(callbacks=own_callbacks(model))``: the model's figures, its pictures and its
    best checkpoint, as the command line has them.
    """
    added = with_own_callbacks(_path(type(model)), None)
    return _parser().instantiate_classes(Namespace(callbacks=added))["callbacks"]


def with_own_callbacks(
    model: str, named: Sequence[Namespace] | None, checkpoints: bool = True
) -> list[Namespace]:
    """The callbacks of a configuration, and those of the model's ``whole_run`` that it lacks.

    Where a configuration names callbacks, it has chosen its pictures: only figures and the best
    checkpoint are added, each unless one of its class is named. An empty list stays empty.

    Args:
        model: Path of the model's class.
        named: The configuration's callbacks, parsed; None where it says nothing.
        checkpoints: Whether checkpoints are kept at all.
    """
    whole: WholeRun | None = getattr(_class(model), "whole_run", None)
    if whole is None or (named is not None and not named):
        return list(named or [])
    wanted: list[Any] = [*whole.figures, *(() if named else whole.pictures)]
    if checkpoints and not _has(named, Checkpoint):
        best = {"monitor": whole.monitor, "mode": whole.mode}
        wanted.append({"class_path": _path(BestCheckpoint), "init_args": best})
    added = _parser().parse_object({"callbacks": wanted}).callbacks
    missing = [own for own in added if not _has(named, _class(own.class_path))]
    return [*(named or []), *missing]


def _has(named: Sequence[Namespace] | None, kind: type) -> bool:
    return any(issubclass(_class(one.class_path), kind) for one in named or ())


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--callbacks", type=list[Callback])
    return parser
