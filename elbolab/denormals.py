"""Numbers too small for a full mantissa, which processors compute a hundred times more slowly.

Adam's first moment of a weight whose gradient is nearly always 0 (that of a pixel which is nearly
always black, say) shrinks by a factor each step and, from the second epoch on, is a denormal
number: above 0 and below 2⁻¹²⁶ in float32. A step then takes up to three times as long. Rounded to
0 such a number moves a weight by less than rounding does.
"""

import os

import torch

from elbolab.errors import UserError

__all__ = ["DENORMALS", "flush_denormals"]

DENORMALS = "ELBOLAB_DENORMALS"
"""Environment variable: ``flush``, as without it, or ``keep``. Processes of a run inherit it."""


def flush_denormals() -> bool:
    """Lets torch round denormal numbers to 0 in this thread and in those that it starts from here.

    To be called before torch computes anything: threads take the setting from the thread that
    starts them, and torch keeps its threads. Where some flushed and others did not, results would
    depend on how work is shared out among them.

    Returns:
        Whether they are flushed now: not where a person keeps them or the processor cannot.

    Raises:
        UserError: If the environment variable is neither ``flush`` nor ``keep``.
    """
    wanted = os.environ.get(DENORMALS, "flush")
    if wanted not in ("flush", "keep"):
        raise UserError(f"{DENORMALS} must be 'flush' or 'keep', got '{wanted}'.")
    # Set either way: a process that runs several commands has the former one's setting.
    return torch.set_flush_denormal(wanted == "flush") and wanted == "flush"
