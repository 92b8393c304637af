"""What every command does before it reads its options."""

import logging
import warnings
from importlib import import_module
from pkgutil import walk_packages

__all__ = ["import_rooms", "quieten"]


def import_rooms() -> None:
    """Imports every module, so that a ``class_path`` may be a class's short name."""
    for room in map(import_module, ("callbacks", "datamodules", "lightning_modules")):
        for module in walk_packages(room.__path__, f"{room.__name__}."):
            import_module(module.name)


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
