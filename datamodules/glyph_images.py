"""Pictures of printed characters, drawn to stand in for handwritten digits.

Each (font, character) pair is turned once into a signed distance field: at every point, how many
pixels it lies inside (positive) or outside (negative) the glyph. An image is such a field, sampled
through a random affine map and a smooth random displacement, and cut at a random level. Shifting
the level thickens or thins the stroke, and a ramp around it gives edges that stay smooth at any
scale (C. Green, "Improved alpha-tested magnification", SIGGRAPH 2007). The displacement follows
P. Simard, D. Steinkraus and J. Platt, "Best practices for convolutional neural networks", ICDAR
2003, with noise on a coarse grid in place of blurred noise.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

__all__ = ["DIGITS", "IMAGE_SIZE", "LETTERS", "render_glyphs"]

DIGITS = "0123456789"

# Left out because they can pass for a digit once slanted and bent: C D O Q (0), I J L (1), Z (2),
# E (3), Y (4), S (5), G (6), T (7), B (8). Lower case is left out whole: as every glyph is scaled
# to the same box, much of it repeats a capital, and more looks like a digit (b g i l o q s z).
LETTERS = "AFHKMNPRUVWX"

IMAGE_SIZE = 28  # pixels; MNIST's frame
_BOX = 20.0  # pixels; the longer side of an undistorted glyph, as in MNIST

# The other fonts that matplotlib ships hold symbols only, or old-style digits that hang below the
# line (cmmi10). DejaVu Sans Mono is left out for its dotted zero, which reads as an eight.
_UNICODE_FONTS = (
    "DejaVuSans",
    "DejaVuSans-Oblique",
    "DejaVuSans-Bold",
    "DejaVuSans-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "DejaVuSerif-Bold",
    "DejaVuSerif-BoldItalic",
    "STIXGeneral",
    "STIXGeneralItalic",
    "STIXGeneralBol",
    "STIXGeneralBolIta",
)
# Computer Modern keeps TeX's encoding: only ASCII letters and digits are where Unicode has them.
_TEX_FONTS = ("cmr10", "cmb10", "cmss10", "cmti10", "cmtt10")

_DRAWN_POINTS = 120  # font size of a template; its edges are then known to about 0.1 pixel
_FIELD_SIZE = 56  # distance fields are smooth: twice the image's resolution loses nothing visible
_CHUNK = 2048  # images per pass; a pass then takes about 70 MB, and threads meet seldom

# Ranges of the variation, uniform unless said otherwise. They are tuned by eye on contact sheets:
# wide enough for each digit to vary, narrow enough for it to stay readable and for the outermost
# pixels to stay black (one image in 50,000 touches them; in MNIST, one in 74).
_MAX_ROTATION = 0.22  # radians, about 13 degrees
_MAX_SHEAR = 0.25  # horizontal shift per unit of height
_ASPECT = (0.8, 1.15)  # factor on the width
_LONGEST_SIDE = (17.5, 20.5)  # pixels; of the box around the glyph once slanted and turned
_MAX_SHIFT = 0.7  # pixels
_HALF_WIDTH = (0.8, 1.9)  # pixels; half the stroke's thickness
_MAX_THINNING = 0.3  # pixels; more would wipe out the hairlines of serif fonts
_ELASTIC_DEVIATION = 0.65  # pixels; standard deviation of the displacement at a control point
_ELASTIC_POINTS = 5  # control points per side, so strokes bend over about seven pixels
_EDGE = 1.2  # pixels over which a stroke's edge fades from white to black


class _Bank(NamedTuple):
    """Distance fields of every (character, font) pair, character by character.

    Attributes:
        fields: (templates, 1, 56, 56), signed distances in image pixels, positive inside.
        half_boxes: (templates, 2), half the glyph's width and height, in image pixels.
        half_widths: (templates,), typical half thickness of the stroke, in image pixels.
        firsts: (characters,), row of each character's first template.
        sizes: (characters,), number of templates of each character.
    """

    fields: Tensor
    half_boxes: Tensor
    half_widths: Tensor
    firsts: Tensor
    sizes: Tensor


def render_glyphs(characters: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw `count` randomly varied pictures of `characters`, white on black.

    The same arguments give the same bytes, whatever the number of torch threads; the global random
    state is neither read nor changed. Images depend on `count` too: the first images of a larger
    set are not those of a smaller one.

    Args:
        characters: The classes, each named once, such as `DIGITS` or `LETTERS`.
        count: Number of images, zero or more.
        seed: Seed of all variation and of the order of the classes.

    Returns:
        Images, uint8 in [0, 255], (count, 1, 28, 28), and labels, int64 (count,), the index into
        `characters`. Class sizes differ by at most one; their order is random.

    Raises:
        ValueError: If `characters` is empty, repeats a character or holds one that no font draws,
            or if `count` is negative.
    """
    _check(characters, count)
    bank = _build_bank(characters)
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % len(characters)
    labels = labels[torch.randperm(count, generator=generator)]
    images = torch.empty(count, 1, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.uint8)
    for start in range(0, count, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        images[chunk] = _draw(bank, labels[chunk], generator)
    return images, labels


def _check(characters: str, count: int) -> None:
    """Refuse an impossible request before anything is drawn."""
    if not characters:
        raise ValueError("characters is empty: name at least one, such as '0123456789'.")
    repeated = "".join(c for c in dict.fromkeys(characters) if characters.count(c) > 1)
    if repeated:
        raise ValueError(
            f"characters={characters!r} repeats {repeated!r}: name each character once."
        )
    if count < 0:
        raise ValueError(f"count={count} is negative: ask for zero images or more.")


def _draw(bank: _Bank, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one picture per label (n,): uint8 (n, 1, 28, 28)."""
    n = len(labels)
    choice = torch.rand(n, generator=generator) * bank.sizes[labels]
    rows = bank.firsts[labels] + choice.long()
    linear, scale = _linear_map(bank.half_boxes[rows], generator)
    grid = _sampling_grid(linear, generator)
    # Distances at the frame's border are far outside any stroke: what lies beyond is black too.
    distance = F.grid_sample(bank.fields[rows], grid, padding_mode="border", align_corners=False)
    thickening = _uniform(n, *_HALF_WIDTH, generator) - bank.half_widths[rows]
    level = thickening.clamp(min=-_MAX_THINNING)
    coverage = (distance * scale.view(n, 1, 1, 1) + level.view(n, 1, 1, 1)) / _EDGE + 0.5
    return (coverage.clamp(0, 1) * 255).round().to(torch.uint8)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw n values uniformly from [low, high)."""
    return low + (high - low) * torch.rand(n, generator=generator)


def _linear_map(half_boxes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a map from template to image: widen, shear, rotate, then scale to the size wanted.

    Args:
        half_boxes: (n, 2), half the glyphs' width and height before the map.
        generator: Source of the randomness.

    Returns:
        The maps, (n, 2, 2), and the scale in each, (n,).
    """
    n = len(half_boxes)
    angle = _uniform(n, -_MAX_ROTATION, _MAX_ROTATION, generator)
    shear = _uniform(n, -_MAX_SHEAR, _MAX_SHEAR, generator)
    aspect = _uniform(n, *_ASPECT, generator)
    longest = _uniform(n, *_LONGEST_SIDE, generator)
    cos, sin = angle.cos(), angle.sin()
    across = torch.stack([aspect * cos, shear * cos - sin], -1)
    down = torch.stack([aspect * sin, shear * sin + cos], -1)
    shape = torch.stack([across, down], -2)
    half_sides = (shape.abs() * half_boxes[:, None]).sum(-1)
    scale = longest / (2 * half_sides.amax(-1))
    return shape * scale.view(n, 1, 1), scale


def _sampling_grid(linear: Tensor, generator: torch.Generator) -> Tensor:
    """Where each image pixel looks in its template: (n, 28, 28, 2), the frame being [-1, 1]^2.

    That is the inverse of `linear` (n, 2, 2), a random shift and an elastic displacement (Gaussian
    at the control points, bicubic between), all of them linear in the functions of `_grid_basis`.
    """
    n = len(linear)
    shift = _uniform(2 * n, -_MAX_SHIFT, _MAX_SHIFT, generator).view(n, 2, 1)
    bend = _ELASTIC_DEVIATION * torch.randn(n, 2, _ELASTIC_POINTS**2, generator=generator)
    to_frame = 2 / IMAGE_SIZE  # the frame's side is 2
    weights = torch.cat([torch.linalg.inv(linear), shift * to_frame, bend * to_frame], -1)
    grid = weights @ _grid_basis()
    return grid.view(n, 2, IMAGE_SIZE, IMAGE_SIZE).permute(0, 2, 3, 1)


def _grid_basis() -> Tensor:
    """Functions of the pixel that span every grid: x, y, 1, and a bump at each control point.

    Returns:
        (3 + control points, 784); x and y are at pixel centres, the frame being [-1, 1]^2.
    """
    centres = (torch.arange(IMAGE_SIZE) + 0.5) * (2 / IMAGE_SIZE) - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    impulses = torch.eye(_ELASTIC_POINTS**2).view(-1, 1, _ELASTIC_POINTS, _ELASTIC_POINTS)
    size = (IMAGE_SIZE, IMAGE_SIZE)
    bumps = F.interpolate(impulses, size, mode="bicubic", align_corners=True)
    return torch.cat([torch.stack([x, y, torch.ones_like(x)]), bumps[:, 0]]).flatten(1)


@lru_cache(maxsize=4)  # training, test and other sets share a bank, which takes 0.7 seconds
def _build_bank(characters: str) -> _Bank:
    """Build the templates of all characters; ValueError for one that no font draws."""
    fonts = _open_fonts(_UNICODE_FONTS), _open_fonts(_TEX_FONTS)
    masks = [_masks(character, *fonts) for character in characters]
    sizes = torch.tensor([len(of_character) for of_character in masks])
    flat = [mask for of_character in masks for mask in of_character]
    fields = torch.stack([_signed_distance(mask) for mask in flat])
    boxes = torch.tensor([mask.shape[::-1] for mask in flat])
    half_boxes = boxes * (_BOX / 2) / boxes.amax(1, keepdim=True)
    return _Bank(fields, half_boxes, _half_widths(fields), sizes.cumsum(0) - sizes, sizes)


def _half_widths(fields: Tensor) -> Tensor:
    """Typical half thickness of the strokes in distance fields (t, 1, h, w): (t,), same unit.

    Depth grows evenly from a stroke's edge to its middle, so the mean depth is half of that.
    """
    inside = fields.clamp(min=0).flatten(1)
    return 2 * inside.sum(1) / (inside > 0).sum(1).clamp(min=1)


def _open_fonts(names: tuple[str, ...]) -> list[FT2Font]:
    """Open fonts that ship inside matplotlib, at the size in which templates are drawn."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [FT2Font(str(folder / f"{name}.ttf")) for name in names]
    for font in fonts:
        font.set_size(_DRAWN_POINTS, 72)  # at 72 dots per inch, a point is a pixel
    return fonts


def _masks(
    character: str, unicode_fonts: list[FT2Font], tex_fonts: list[FT2Font]
) -> list[np.ndarray]:
    """Draw a character in every font that holds it: boolean masks, one per font."""
    fonts = [font for font in unicode_fonts if font.get_char_index(ord(character)) != 0]
    if character.isascii() and character.isalnum():
        fonts += tex_fonts
    masks = [mask for font in fonts if (mask := _ink(font, character)).any()]
    if not masks:
        raise ValueError(
            f"No font shipped with matplotlib draws the character {character!r}: "
            "choose letters or digits."
        )
    return masks


def _ink(font: FT2Font, character: str) -> np.ndarray:
    """Draw a character large: a boolean mask (height, width), True on the glyph, no margin."""
    font.set_text(character)
    font.draw_glyphs_to_bitmap(antialiased=True)
    mask = np.asarray(font.get_image()) > 127
    return mask[np.ix_(mask.any(1), mask.any(0))]


def _signed_distance(mask: np.ndarray) -> Tensor:
    """Signed distance field of a tight mask (height, width), framed like an image.

    Returns:
        Float32 (1, 56, 56), in image pixels, positive inside: the mask is centred, its longer side
        20 pixels of a frame of 28.
    """
    longest = max(mask.shape)
    side = round(longest * IMAGE_SIZE / _BOX)
    margins = [
        ((side - length) // 2, side - length - (side - length) // 2) for length in mask.shape
    ]
    framed = np.pad(mask, margins)
    inside = np.asarray(distance_transform_edt(framed))
    outside = np.asarray(distance_transform_edt(~framed))
    drawn = torch.from_numpy((inside - outside) * (_BOX / longest)).float()
    size = (_FIELD_SIZE, _FIELD_SIZE)
    return F.interpolate(drawn[None, None], size, mode="bilinear", antialias=True)[0]
