"""What a step need not cost."""

import os
from contextlib import nullcontext
from typing import Any

import torch
from pytorch_lightning.profilers import PassThroughProfiler

__all__ = ["Unprofiled", "check_for_gpus_once"]


def check_for_gpus_once() -> None:
    """Lets torch remember that there is no GPU.

    Lightning's import makes torch ask the NVIDIA driver's library anew each time, and torch asks
    in every optimiser step. That protects forked loader processes, where there is a GPU.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


class Unprofiled(PassThroughProfiler):
    """Measures nothing, at no cost.

    Lightning's own enters a generator around every hook of every callback, some seventy times a
    step: about as long as a small model's optimiser step takes.
    """

    _nothing = nullcontext()

    def profile(self, action_name: str) -> Any:
        """One context for all, which does nothing."""
        return self._nothing
