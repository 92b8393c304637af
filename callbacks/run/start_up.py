"""What a start need not say, and a step need not cost."""

import logging
import os
import warnings
from contextlib import nullcontext
from typing import Any

import torch
from pytorch_lightning.profilers import PassThroughProfiler

__all__ = ["Unprofiled", "check_for_gpus_once", "quieten"]


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


def quieten() -> None:
    """Leaves out what Lightning says about itself at every start."""
    chatter = ("💡", "GPU available", "TPU available", "Seed set to", "`Trainer.fit` stopped")
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed"):
        logging.getLogger(name).addFilter(lambda r: not r.getMessage().startswith(chatter))
    # Lightning's own use of jsonargparse and of torch.
    warnings.filterwarnings("ignore", message="[\\s\\S]*JsonargparseDeprecationWarning")
    warnings.filterwarnings(
        "ignore", message="[\\s\\S]*was deprecated in v4", module=r"pytorch_lightning\.cli"
    )
    warnings.filterwarnings("ignore", message="`isinstance\\(treespec, LeafSpec\\)`")
    # A datamodule that holds tensors needs no workers, and short epochs are not a mistake.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
