"""Files of tensors that only save time: a damaged one is made again, and none is a must."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from elbolab.errors import UserError
from elbolab.run_directory import write_atomically
from lightning_modules.checkpoints import read_checkpoint

__all__ = ["keep_tensors", "kept_tensors"]


def kept_tensors(path: Path) -> Any:
    """What `keep_tensors` wrote; None where there is nothing, or it is damaged."""
    try:
        return read_checkpoint(path)
    except UserError:
        return None


def keep_tensors(path: Path, content: Any) -> None:
    """Writes tensors and plain values; warns where that is not possible."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        reason = error.strerror or error
        warnings.warn(f"cannot write {path} ({reason}): it is made again each time.", stacklevel=2)
