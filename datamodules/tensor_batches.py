"""Whole batches cut from tensors that stay where they are: the only loader of this framework.

A PyTorch ``DataLoader`` collates a batch image by image; for data that fits in memory that costs
more than the training step of a small model. ``TensorBatches`` gathers each batch with one indexing
operation, on the device that holds the data.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from lightning_utilities.core.rank_zero import rank_zero_warn
from pytorch_lightning import Trainer
from torch import Generator, Tensor

from elbolab.checks import check_at_least_one
from elbolab.errors import UserError
from elbolab.seeding import derive_seed

__all__ = ["Batch", "TensorBatches", "Transform"]

Batch = tuple[Tensor, ...]
"""Tensors whose rows belong to examples."""
Transform = Callable[[Batch, Generator], Batch]


class TensorBatches:
    """Iterable over batches of equally long tensors: shuffled, sharded, seeded and resumable.

    The permutation of an epoch is a function of (seed, epoch); the noise of a transform of
    (seed, epoch, batch, rank). So nothing but the position within the epoch is ever stored.

    With several processes each takes every ``world_size``-th example of the same permutation.
    Training (``shuffle=True``) drops the few examples that would make the shards unequal, since
    every process must take the same number of steps. Evaluation keeps them all and pads nothing,
    so that sums over examples are exact.

    Args:
        tensors: Tensors of the same length N along their first dimension, on any one device.
        batch_size: Examples per batch and process; the last batch of an epoch may be smaller.
        shuffle: Permute the examples, anew in each epoch.
        seed: Of permutations and of the transform's noise.
        rank: This process's number, in [0, world_size).
        world_size: Number of processes that share the data.
        transform: ``(batch, generator) -> batch``, applied on the device to each batch; the
            generator is seeded for that batch and lives where the data does.
        kind: Builds a batch from its tensors, such as ``LabelledBatch._make``.

    Raises:
        UserError: If the batch size is below 1, or there is no example for some process.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        transform: Transform | None = None,
        kind: Callable[[Iterable[Tensor]], Batch] = tuple,
    ) -> None:
        check_at_least_one(batch_size=batch_size)
        if len(tensors[0]) < world_size:
            raise UserError(f"{len(tensors[0])} examples cannot feed {world_size} processes.")
        self.tensors = tuple(tensors)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.transform, self.kind = transform, kind
        self.epoch = 0
        self._handed_out = 0  # of this process's examples of the epoch
        self._resume_at = (0, 0)  # epoch, and as above
        # Lightning calls loader.sampler.set_epoch(epoch), and asks a loader with a sampler for its
        # batch_sampler: these two make it treat this object as its own, already sharded, sampler.
        self.sampler = self
        self.batch_sampler = None

    @classmethod
    def for_trainer(
        cls, trainer: Trainer | None, tensors: Sequence[Tensor], batch_size: int, **options: Any
    ) -> "TensorBatches":
        """The same on a trainer's device and with this process's share; without one on the CPU.

        Args:
            trainer: The data module's trainer.
            tensors: As for the constructor, and so the rest.
            batch_size: As there.
            options: ``shuffle``, ``seed``, ``transform`` and ``kind``.
        """
        device = trainer.strategy.root_device if trainer else torch.device("cpu")
        return cls(
            [tensor.to(device) for tensor in tensors],
            batch_size,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            **options,
        )

    def __len__(self) -> int:
        """Number of batches of this process in one epoch."""
        return -(-self._examples_here() // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        # A generator: nothing below runs before the first batch is asked for, which Lightning
        # does after set_epoch but long after iter().
        epoch, behind = self._resume_at
        first = behind if epoch == self.epoch else 0
        indices, number = self._indices(), self._number_at(first)
        generator = Generator(self.tensors[0].device)
        for start in range(first, len(indices), self.batch_size):
            chosen = indices[start : start + self.batch_size]
            batch = tuple(tensor.index_select(0, chosen) for tensor in self.tensors)
            if self.transform is not None:
                place = (self.epoch, number, self.rank)
                generator.manual_seed(derive_seed(self.seed, "transform", *place))
                batch = self.transform(batch, generator)
            number += 1
            self._handed_out = start + len(chosen)  # before the yield: a state saved now counts it
            yield self.kind(batch)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the permutation of the next iteration (Lightning calls it before each epoch)."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and how many of its examples have been handed out, over all processes."""
        return {
            "epoch": self.epoch,
            "examples": self._handed_out * self.world_size,
            "order": self._order_name(),
            "batches": self._batches_name(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Makes that epoch, if it is iterated again, start behind the examples already seen.

        The order of an epoch depends neither on the batch size nor on the number of processes,
        which may be others now. Where the order is another one, a warning says so.
        """
        if (order := state.get("order", self._order_name())) != self._order_name():
            rank_zero_warn(
                f"the order of examples is that of {self._order_name()} and was that of {order}: "
                "in what is left of this epoch some examples repeat and others are missing."
            )
        if (batches := state.get("batches", self._batches_name())) != self._batches_name():
            rank_zero_warn(
                f"the rest of this epoch comes in {self._batches_name()}, where there were "
                f"{batches}: the run is not the one that it would have been."
            )
        handed_out = state.get("examples", state.get("next_batch", 0) * self.batch_size)
        here = -(-handed_out // self.world_size)
        self._resume_at = (state["epoch"], min(here, self._examples_here()))

    @property
    def batches_behind(self) -> int:
        """How many batches of the loaded epoch need not be handed out again."""
        return self._number_at(self._resume_at[1])

    def _number_at(self, behind: int) -> int:
        return len(self) - -(-(self._examples_here() - behind) // self.batch_size)

    def _batches_name(self) -> str:
        return f"batches of {self.batch_size} on {self.world_size} processes"

    def _order_name(self) -> str:
        return f"seed {self.seed} over {len(self.tensors[0])} examples"

    def _examples_here(self) -> int:
        total = len(self.tensors[0])
        if self.shuffle:
            return total // self.world_size
        return len(range(self.rank, total, self.world_size))

    def _indices(self) -> Tensor:
        """Indices of this process's examples in this epoch's order, on the data's device."""
        total = len(self.tensors[0])
        if self.shuffle:
            # On the CPU whatever the device, so that every device sees the same order.
            generator = Generator().manual_seed(derive_seed(self.seed, "permutation", self.epoch))
            order = torch.randperm(total, generator=generator)
        else:
            order = torch.arange(total)
        return order[self.rank :: self.world_size][: self._examples_here()].to(
            self.tensors[0].device
        )
