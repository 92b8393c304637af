"""The embedded pictures of characters: reproducible, framed like MNIST, and readable."""

import re
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from datamodules.glyph_images import DIGITS, LETTERS, render_glyphs
from datamodules.glyph_templates import IMAGE_SIZE, glyph_templates
from elbolab.errors import UserError


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    """5,000 digits and their labels."""
    return render_glyphs(DIGITS, 5000, seed=0)


@pytest.fixture
def restore_threads() -> Iterator[None]:
    """Give torch its number of threads back after a test that changes it."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def _nearest_neighbour_labels(
    train: tuple[Tensor, Tensor], images: Tensor, neighbours: int = 5
) -> Tensor:
    """Label images (n, 1, 28, 28) by a vote among their nearest training images: (n,)."""
    known, labels = train[0].flatten(1).float(), train[1]
    distances = torch.cdist(images.flatten(1).float(), known)
    nearest = distances.topk(neighbours, largest=False).indices
    return labels[nearest].mode(1).values


def test_images_and_labels_have_the_declared_form(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits
    assert images.shape == (5000, 1, IMAGE_SIZE, IMAGE_SIZE)
    assert images.dtype == torch.uint8
    assert labels.shape == (5000,)
    assert labels.dtype == torch.int64


def test_same_arguments_give_the_same_bytes(digits: tuple[Tensor, Tensor]) -> None:
    again = render_glyphs(DIGITS, 5000, seed=0)
    assert torch.equal(again[0], digits[0])
    assert torch.equal(again[1], digits[1])


@pytest.mark.usefixtures("restore_threads")
def test_the_number_of_threads_changes_no_byte() -> None:
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        glyph_templates.cache_clear()  # the templates too must not depend on the threads
        results.append(render_glyphs(DIGITS, 5000, seed=3))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_another_seed_gives_other_images_in_another_order(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = render_glyphs(DIGITS, 5000, seed=1)
    assert not (images == digits[0]).flatten(1).all(1).any()
    # Two unrelated orders of ten balanced classes agree in a tenth of the places; the standard
    # error over 5,000 places is 0.004, and the bound is five of them away.
    assert (labels == digits[1]).float().mean() < 0.12


def test_no_two_images_are_alike(digits: tuple[Tensor, Tensor]) -> None:
    assert len(digits[0].flatten(1).unique(dim=0)) == 5000


@pytest.mark.parametrize("count", [0, 7, 10, 1234])
def test_classes_are_balanced_to_within_one(count: int) -> None:
    images, labels = render_glyphs(DIGITS, count, seed=0)
    sizes = torch.bincount(labels, minlength=len(DIGITS))
    assert len(images) == len(labels) == sizes.sum() == count
    assert len(sizes) == len(DIGITS)
    assert sizes.max() - sizes.min() <= 1


def test_classes_come_in_random_order(digits: tuple[Tensor, Tensor]) -> None:
    labels = digits[1]
    # A tenth of neighbours agree in a random order, none in a cyclic one, all in a sorted one;
    # the bounds are five standard errors (0.004) on either side.
    repeats = (labels[1:] == labels[:-1]).float().mean()
    assert 0.08 < repeats < 0.12


def test_labels_index_the_characters_as_given() -> None:
    train = render_glyphs("17", 500, seed=0)
    images, labels = render_glyphs("71", 500, seed=1)
    agreement = (_nearest_neighbour_labels(train, images) == 1 - labels).float().mean()
    assert agreement > 0.9


@pytest.mark.parametrize("characters", [DIGITS, LETTERS])
def test_every_character_is_visible_and_stays_off_the_border(characters: str) -> None:
    images, labels = render_glyphs(characters, 3000, seed=0)
    border = torch.ones(IMAGE_SIZE, IMAGE_SIZE, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    # Measured over four seeds: no digit in 240,000, 9 letters in 240,000.
    assert (images[:, 0, border] > 0).any(1).float().mean() <= 0.001
    assert len(labels.unique()) == len(characters)
    assert images.flatten(1).amax(1).min() > 128
    # In white pixels' worth; measured: 20 (a hairline "1") to 250 (a bold "M").
    ink = images.float().sum((1, 2, 3)) / 255
    assert ink.min() > 10
    assert ink.max() < 320


def test_edges_are_grey(digits: tuple[Tensor, Tensor]) -> None:
    images = digits[0]
    # MNIST: 10 % of all pixels are grey and 8 % white.
    grey = ((images > 12) & (images < 243)).float().mean()
    assert 0.05 < grey < 0.15


def test_glyphs_are_centred_and_sized_like_mnist(digits: tuple[Tensor, Tensor]) -> None:
    ink = digits[0][:, 0] > 127
    rows, columns = ink.any(2).float(), ink.any(1).float()
    places = torch.arange(IMAGE_SIZE).float()
    middle = torch.stack([(side * places).sum(1) / side.sum(1) for side in (rows, columns)])
    offset = middle - (IMAGE_SIZE - 1) / 2
    assert offset.mean(1).abs().max() < 0.25
    assert offset.abs().max() < 5
    longest = torch.maximum(rows.sum(1), columns.sum(1))
    assert 17 < longest.mean() < 21


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    render_glyphs(DIGITS, 100, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_random_state_is_not_read() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first, _ = render_glyphs(DIGITS, 100, seed=0)
        torch.manual_seed(2)
        second, _ = render_glyphs(DIGITS, 100, seed=0)
    assert torch.equal(first, second)


def test_a_classifier_reads_unseen_digits(digits: tuple[Tensor, Tensor]) -> None:
    images, labels = render_glyphs(DIGITS, 1000, seed=1)
    accuracy = (_nearest_neighbour_labels(digits, images) == labels).float().mean()
    # Measured: 0.987 with these seeds, 0.972 and 0.979 with others (real MNIST, same sizes: 0.939).
    # The standard error is 0.004; the bound allows for another version of the fonts.
    assert accuracy > 0.94


@pytest.mark.parametrize(
    ("characters", "count", "message"),
    [
        ("", 1, "characters is empty: name at least one"),
        ("0120", 1, "characters '0120' repeat '0': name each of them once"),
        ("0漢", 1, "draws the character '漢': choose letters or digits"),
        ("0 ", 1, "draws the character ' ': choose letters or digits"),
        (DIGITS, -1, "count must be at least 0, got -1"),
    ],
)
def test_an_impossible_request_names_the_value_and_the_remedy(
    characters: str, count: int, message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        render_glyphs(characters, count, seed=0)
    assert "\n" not in str(error.value)
