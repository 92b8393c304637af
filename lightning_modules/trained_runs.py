"""What other experiments take from a finished run: its best checkpoint."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import torch

from elbolab.errors import UserError, did_you_mean
from elbolab.run_choice import RUNS
from elbolab.run_directory import RunDirectory

__all__ = ["read_checkpoint", "trained_checkpoint"]


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
        known = [str(found.parent.parent) for found in whole]
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
