"""What can end a run besides its own end, said in one line."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Trainer

from elbolab.errors import UserError
from elbolab.run_choice import discard_untrained
from elbolab.run_directory import RunDirectory

__all__ = ["failures_in_one_line"]

LOST = re.compile("gloo|NCCL|[Cc]onnection (closed|reset|refused)|Broken pipe")
"""What torch says of an exchange whose other side is gone."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a disk without room, mostly without naming a file."""


@contextmanager
def failures_in_one_line(run: RunDirectory, trainer: Trainer, fresh: bool) -> Iterator[None]:
    """Around a command's work: what a person can mend becomes a `UserError`; defects stay.

    Args:
        run: The run's directory.
        trainer: What does the work.
        fresh: Whether nothing lay in the directory before; a failure before the first checkpoint
            then leaves nothing there.
    """
    try:
        yield
    except (UserError, MisconfigurationException, SystemExit) as stop:
        if fresh and trainer.is_global_zero:
            discard_untrained(run)
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning made it an exit code 1
            raise KeyboardInterrupt from stop
        if isinstance(stop, MisconfigurationException):
            raise UserError(" ".join(str(stop).split())) from stop
        raise
    except RuntimeError as error:
        if trainer.world_size == 1 or not LOST.search(str(error)):
            raise
        raise UserError(
            "another process of this fit has died or cannot be reached any more. The same "
            "command with --ckpt_path auto goes on from the last epoch that ended."
        ) from error
    except OSError as error:
        if error.errno not in FULL and str(run.path) not in str(error.filename):
            raise
        reason = f"cannot write to {run.path}: {error.strerror}"
        remedy = "Choose another --run_dir."
        if error.errno in FULL:
            remedy = "Make room, and go on with --ckpt_path auto."
        raise UserError(f"{reason}. {remedy}") from error
