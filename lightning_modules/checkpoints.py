"""What a checkpoint carries of how its module was built, and how one is read."""

import inspect
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import torch
from pytorch_lightning import LightningModule

from elbolab.errors import UserError, did_you_mean
from elbolab.run_choice import RUNS
from elbolab.run_directory import RunDirectory

__all__ = ["keep_plain_hyperparameters", "read_checkpoint", "trained_checkpoint"]

GIVEN_IN_PYTHON = "given in Python"
"""Key of what stands in a checkpoint for an argument that it cannot carry."""

NEEDED_IN_TRAINING = ("optimizer", "lr_scheduler")
"""Arguments without which a module can still be sampled and tested."""


def keep_plain_hyperparameters(module: LightningModule) -> None:
    """Keeps the hyperparameters that a checkpoint can carry, after ``save_hyperparameters()``.

    The command line records class paths and their arguments, all plain. Objects and functions given
    in Python would make the checkpoint impossible to load without running its code. Their names are
    kept in their place, so that they have to be given again to ``load_from_checkpoint``: with the
    default in their place it would be another model.

    Raises:
        UserError: If the module is being built from a checkpoint and lacks one of them.
    """
    for name, value in list(module.hparams.items()):
        if isinstance(value, Mapping) and GIVEN_IN_PYTHON in value:
            if name not in NEEDED_IN_TRAINING:
                _refuse(type(module).__name__, name, value[GIVEN_IN_PYTHON])
        elif isinstance(value, Integral):
            module.hparams[name] = value if isinstance(value, bool) else int(value)
        elif not _plain(value):
            if value is _default(type(module), name):
                del module.hparams[name]
            else:
                said = getattr(value, "__name__", type(value).__name__)
                module.hparams[name] = {GIVEN_IN_PYTHON: said}


def _refuse(module: str, name: str, value: str) -> None:
    raise UserError(
        f"this checkpoint's {module} was built in Python with {name}={value}, which a checkpoint "
        f"cannot carry: give it again, {module}.load_from_checkpoint(path, {name}={value})."
    )


def _default(module: type[LightningModule], name: str) -> object:
    """What ``name`` is where it is not given, in the most derived class that has it."""
    for base in module.__mro__:
        parameter = inspect.signature(base).parameters.get(name) if base is not object else None
        if parameter is not None and "__init__" in vars(base):
            return parameter.default
    return inspect.Parameter.empty


def _plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(_plain(v) for v in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


def read_checkpoint(path: str | Path, map_location: Any = "cpu", *, mmap: bool = False) -> Any:
    """Loads a checkpoint of tensors and plain values only; code in it is refused, not run.

    Raises:
        UserError: If the file is missing, damaged, or holds anything else.
    """
    try:
        return torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except FileNotFoundError as error:
        raise UserError(f"no checkpoint {path}.") from error
    except UnpicklingError as error:
        raise UserError(
            f"checkpoint {path} is refused: it holds more than tensors and plain values "
            "(code that would run on loading), or is damaged."
        ) from error
    except (RuntimeError, BadZipFile, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"checkpoint {path} is damaged or no checkpoint at all.") from error


def trained_checkpoint(run: RunDirectory, experiment: str) -> dict[str, Any]:
    """The best checkpoint of a run that another experiment builds on.

    Args:
        run: The run's directory.
        experiment: The configuration that makes such a run, where none is called like the run.

    Raises:
        UserError: If there is no such run, with the command that makes it, or it is not whole.
    """
    path = run.checkpoint("best")
    if not path.exists():
        missing = f"holds no checkpoints/{path.name}" if run.taken else "does not exist"
        whole = run.path.parent.glob(f"*/checkpoints/{path.name}")
        known = [str(checkpoint.parent.parent) for checkpoint in whole]
        raise UserError(
            f"run directory {run.path} {missing}: make that run with "
            f"'{_command(run.path, experiment)}'.{did_you_mean(str(run.path), known)}"
        )
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise UserError(f"{path} is no checkpoint of a LightningModule: it has no state_dict.")
    return checkpoint


def _command(run: Path, experiment: str) -> str:
    own = Path("configs") / f"{run.name}.yaml"
    config = own if own.exists() else Path("configs") / f"{experiment}.yaml"
    place = "" if run == RUNS / config.stem else f" --run_dir {run}"
    return f"python cli.py fit --config {config}{place}"
