"""TensorBatches: every example once, the same order everywhere, resumable anywhere."""

from itertools import chain

import pytest
import torch

from datamodules.tensor_batches import TensorBatches
from elbolab.errors import UserError

N = 23
DATA = torch.arange(N)


def seen(loader: TensorBatches) -> list[int]:
    return [int(i) for (batch,) in loader for i in batch]


def test_every_example_once_and_a_short_last_batch():
    loader = TensorBatches((DATA,), 5, shuffle=True, seed=3)
    sizes = [len(batch) for (batch,) in loader]
    assert sizes == [5, 5, 5, 5, 3]
    assert len(loader) == 5
    assert sorted(seen(loader)) == list(range(N))


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        loader = TensorBatches((DATA,), 4, shuffle=True, seed=seed)
        loader.set_epoch(epoch)
        return seen(loader)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    torch.manual_seed(1)
    first = order(0, 0)
    torch.manual_seed(2)
    assert order(0, 0) == first


def test_order_does_not_depend_on_the_batch_size():
    small = TensorBatches((DATA,), 2, shuffle=True)
    large = TensorBatches((DATA,), 20, shuffle=True)
    assert seen(small) == seen(large)


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_evaluation_shards_are_complete_and_unpadded(world_size):
    shards = [
        seen(TensorBatches((DATA,), 4, rank=r, world_size=world_size)) for r in range(world_size)
    ]
    assert sorted(chain.from_iterable(shards)) == list(range(N))


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_training_shards_are_disjoint_and_equally_long(world_size):
    loaders = [
        TensorBatches((DATA,), 4, shuffle=True, rank=r, world_size=world_size)
        for r in range(world_size)
    ]
    shards = [seen(loader) for loader in loaders]
    assert {len(shard) for shard in shards} == {N // world_size}
    assert len({len(loader) for loader in loaders}) == 1
    assert len(set(chain.from_iterable(shards))) == world_size * (N // world_size)


def noisy(seed: int = 0, **options) -> TensorBatches:
    def add_noise(batch, generator):
        return (batch[0] + torch.rand(batch[0].shape, generator=generator),)

    return TensorBatches(
        (DATA.float(),), 4, shuffle=True, seed=seed, transform=add_noise, **options
    )


@pytest.mark.parametrize("handed_out", [0, 1, 3, 6])
def test_a_resumed_epoch_is_the_rest_of_the_uninterrupted_one(handed_out):
    whole = noisy()
    whole.set_epoch(2)
    expected = list(whole)
    stopped = noisy()
    stopped.set_epoch(2)
    batches = iter(stopped)
    for _ in range(handed_out):
        next(batches)
    resumed = noisy()
    resumed.load_state_dict(stopped.state_dict())
    resumed.set_epoch(2)
    rest = list(resumed)
    assert len(rest) == len(expected) - handed_out
    for (found,), (wanted,) in zip(rest, expected[handed_out:], strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_a_state_says_nothing_about_the_next_epoch():
    loader = noisy()
    batches = iter(loader)
    next(batches)
    later = noisy()
    later.load_state_dict(loader.state_dict())
    later.set_epoch(1)
    assert len(list(later)) == len(later)


def test_an_epoch_cut_short_leaves_the_next_one_whole():
    loader = noisy()
    batches = iter(loader)
    next(batches)
    next(batches)
    loader.set_epoch(1)
    assert len(list(loader)) == len(loader)


def test_transform_noise_differs_between_batches_epochs_and_ranks():
    def first_noise(epoch=0, rank=0):
        loader = noisy(rank=rank, world_size=2)
        loader.set_epoch(epoch)
        (batch,) = next(iter(loader))
        return (batch % 1).tolist()

    assert first_noise() == first_noise()
    assert first_noise() != first_noise(epoch=1)
    assert first_noise() != first_noise(rank=1)


def test_impossible_sizes_are_refused():
    with pytest.raises(UserError, match="batch_size must be at least 1, got 0"):
        TensorBatches((DATA,), 0)
    with pytest.raises(UserError, match="1 examples cannot feed 2 processes"):
        TensorBatches((DATA[:1],), 4, rank=1, world_size=2)
