"""Pictures of printed characters, varied so that they can stand in for handwritten digits.

An image is a glyph's signed distance field, looked at through a random affine map and a smooth
random displacement, and cut at a random level, which thickens or thins the stroke. A ramp around
the level makes its edges grey. The displacement is that of Simard, Steinkraus & Platt, *Best
Practices for Convolutional Neural Networks*, 2003, with noise on a coarse grid in place of blurred
noise.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from datamodules.glyph_templates import IMAGE_SIZE, GlyphTemplates, glyph_templates
from elbolab.checks import check_in
from elbolab.errors import UserError

__all__ = ["DIGITS", "LETTERS", "render_glyphs"]

DIGITS = "0123456789"

# Left out because they can pass for a digit once slanted and bent: C D O Q (0), I J L (1), Z (2),
# E (3), Y (4), S (5), G (6), T (7), B (8). Lower case is left out whole: as every glyph is scaled
# to the same box, much of it repeats a capital, and more looks like a digit (b g i l o q s z).
LETTERS = "AFHKMNPRUVWX"

CHUNK = 2048
"""Images per pass; a pass then takes about 70 MB, and threads meet seldom."""

# Ranges of the variation, uniform unless said otherwise. They are tuned by eye on contact sheets:
# wide enough for each digit to vary, narrow enough for it to stay readable and for the outermost
# pixels to stay black (one image in 50,000 touches them; in MNIST, one in 74).
MAX_ROTATION = 0.22
"""Radians, about 13 degrees."""
MAX_SHEAR = 0.25
"""Horizontal shift per unit of height."""
ASPECT = (0.8, 1.15)
"""Factor on the width."""
LONGEST_SIDE = (17.5, 20.5)
"""Pixels; of the box around the glyph once slanted and turned."""
MAX_SHIFT = 0.7
"""Pixels."""
HALF_WIDTH = (0.8, 1.9)
"""Pixels; half of the stroke's thickness."""
MAX_THINNING = 0.3
"""Pixels; more would wipe out the hairlines of serif fonts."""
BEND_DEVIATION = 0.65
"""Pixels; standard deviation of the displacement at a control point."""
BEND_POINTS = 5
"""Control points per side, so that strokes bend over about seven pixels."""
EDGE = 1.2
"""Pixels over which a stroke's edge fades from white to black."""


def render_glyphs(characters: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draws randomly varied pictures of characters, white on black.

    The same arguments give the same bytes, whatever the number of torch threads; the global random
    state is neither read nor changed. Images depend on ``count`` too: the first images of a larger
    set are not those of a smaller one.

    Args:
        characters: The classes, each named once, such as `DIGITS` or `LETTERS`.
        count: Number N of images, at least 0.
        seed: Of all variation and of the order of the classes.

    Returns:
        Images uint8 ``(N, 1, 28, 28)`` and labels int64 ``(N,)``, places in ``characters``. The
        sizes of classes differ by at most one; their order is random.

    Raises:
        UserError: If ``characters`` is empty, repeats a character or holds one that no font has,
            or if ``count`` is negative.
    """
    _check(characters, count)
    templates = glyph_templates(characters)
    generator = Generator().manual_seed(seed)
    labels = torch.arange(count) % len(characters)
    labels = labels[torch.randperm(count, generator=generator)]
    images = torch.empty(count, 1, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.uint8)
    for start in range(0, count, CHUNK):
        chunk = slice(start, start + CHUNK)
        images[chunk] = _draw(templates, labels[chunk], generator)
    return images, labels


def _check(characters: str, count: int) -> None:
    if not characters:
        raise UserError("characters is empty: name at least one, such as '0123456789'.")
    repeated = "".join(c for c in dict.fromkeys(characters) if characters.count(c) > 1)
    if repeated:
        raise UserError(f"characters {characters!r} repeat {repeated!r}: name each of them once.")
    check_in("[0, inf)", count=count)


def _draw(templates: GlyphTemplates, labels: Tensor, generator: Generator) -> Tensor:
    """One picture for each label ``(B,)``: uint8 ``(B, 1, 28, 28)``."""
    n = len(labels)
    font = torch.rand(n, generator=generator) * templates.sizes[labels]
    rows = templates.firsts[labels] + font.long()
    linear, scale = _linear_map(templates.half_boxes[rows], generator)
    grid = _sampling_grid(linear, generator)
    # Distances at the frame's border are far outside any stroke: what lies beyond is black too.
    distance = F.grid_sample(
        templates.fields[rows], grid, padding_mode="border", align_corners=False
    )
    thickening = _uniform(n, *HALF_WIDTH, generator) - templates.half_widths[rows]
    level = thickening.clamp(min=-MAX_THINNING)
    coverage = (distance * scale.view(n, 1, 1, 1) + level.view(n, 1, 1, 1)) / EDGE + 0.5
    return (coverage.clamp(0, 1) * 255).round().to(torch.uint8)


def _uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)


def _linear_map(half_boxes: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draws maps from template to image: widen, shear, rotate, then scale to the size wanted.

    Args:
        half_boxes: Half of the glyphs' width and height before the map, ``(B, 2)``.
        generator: Of the maps.

    Returns:
        The maps ``(B, 2, 2)``, and the scale in each, ``(B,)``.
    """
    n = len(half_boxes)
    angle = _uniform(n, -MAX_ROTATION, MAX_ROTATION, generator)
    shear = _uniform(n, -MAX_SHEAR, MAX_SHEAR, generator)
    aspect = _uniform(n, *ASPECT, generator)
    longest = _uniform(n, *LONGEST_SIDE, generator)
    cos, sin = angle.cos(), angle.sin()
    across = torch.stack([aspect * cos, shear * cos - sin], -1)
    down = torch.stack([aspect * sin, shear * sin + cos], -1)
    shape = torch.stack([across, down], -2)
    half_sides = (shape.abs() * half_boxes[:, None]).sum(-1)
    scale = longest / (2 * half_sides.amax(-1))
    return shape * scale.view(n, 1, 1), scale


def _sampling_grid(linear: Tensor, generator: Generator) -> Tensor:
    """The place in its template at which each pixel looks, ``(B, 28, 28, 2)`` in [−1, 1]².

    That is the inverse of ``linear`` ``(B, 2, 2)``, a random shift and a random displacement
    (Gaussian at the control points, bicubic between them), all linear in `_grid_basis`.
    """
    n = len(linear)
    shift = _uniform(2 * n, -MAX_SHIFT, MAX_SHIFT, generator).view(n, 2, 1)
    bend = BEND_DEVIATION * torch.randn(n, 2, BEND_POINTS**2, generator=generator)
    to_frame = 2 / IMAGE_SIZE  # the frame's side is 2
    weights = torch.cat([torch.linalg.inv(linear), shift * to_frame, bend * to_frame], -1)
    grid = weights @ _grid_basis()
    return grid.view(n, 2, IMAGE_SIZE, IMAGE_SIZE).permute(0, 2, 3, 1)


def _grid_basis() -> Tensor:
    """Functions of the pixel that span every grid: x, y, 1 and a bump at each control point.

    Returns:
        Their values ``(3 + 25, 784)``; x and y are pixels' centres in [−1, 1]².
    """
    centres = (torch.arange(IMAGE_SIZE) + 0.5) * (2 / IMAGE_SIZE) - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    impulses = torch.eye(BEND_POINTS**2).view(-1, 1, BEND_POINTS, BEND_POINTS)
    size = (IMAGE_SIZE, IMAGE_SIZE)
    bumps = F.interpolate(impulses, size, mode="bicubic", align_corners=True)
    return torch.cat([torch.stack([x, y, torch.ones_like(x)]), bumps[:, 0]]).flatten(1)
