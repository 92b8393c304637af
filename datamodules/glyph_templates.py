"""Printed characters as signed distance fields, from the fonts that matplotlib ships.

A signed distance field says at every point how many pixels it lies inside (positive) or outside
(negative) a glyph. Cut at any level it gives the glyph with a thicker or a thinner stroke, at any
scale. Source: Green, *Improved Alpha-Tested Magnification for Vector Textures and Special Effects*,
2007.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from elbolab.errors import UserError

__all__ = ["IMAGE_SIZE", "GlyphTemplates", "glyph_templates"]

IMAGE_SIZE = 28
"""Pixels along each side of an image: MNIST's frame."""
LONGER_SIDE = 20.0
"""Pixels of the longer side of an undistorted glyph, as in MNIST."""
FIELD_SIZE = 56
"""Points along each side of a field; fields are smooth, so twice the image's is enough."""
FONT_SIZE = 120
"""Of the drawn character; its edges are then known to about 0.1 pixel of an image."""
POINTS_PER_INCH = 72
"""At so many dots per inch a font's point is a pixel."""
HALF_GREY = 127

# The other fonts that matplotlib ships hold symbols only, or old-style digits that hang below the
# line (cmmi10). DejaVu Sans Mono is left out for its dotted zero, which reads as an eight.
UNICODE_FONTS = (
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
TEX_FONTS = ("cmr10", "cmb10", "cmss10", "cmti10", "cmtt10")


@dataclass(frozen=True)
class GlyphTemplates:
    """Every character in every font that has it, T templates, character by character.

    All lengths are in pixels of an image.

    Attributes:
        fields: Signed distances, ``(T, 1, 56, 56)``.
        half_boxes: Half of each glyph's width and height, ``(T, 2)``.
        half_widths: Half of the typical thickness of its stroke, ``(T,)``.
        sizes: Templates of each of the C characters, ``(C,)``.
    """

    fields: Tensor
    half_boxes: Tensor
    half_widths: Tensor
    sizes: Tensor

    @property
    def firsts(self) -> Tensor:
        """The row of each character's first template, ``(C,)``."""
        return self.sizes.cumsum(0) - self.sizes


@lru_cache(maxsize=4)  # training, test and other sets share templates, which take 0.7 seconds
def glyph_templates(characters: str) -> GlyphTemplates:
    """The templates of all characters.

    Raises:
        UserError: If one of them is in no font.
    """
    unicode_fonts, tex_fonts = _opened(UNICODE_FONTS), _opened(TEX_FONTS)
    masks = [_masks(character, unicode_fonts, tex_fonts) for character in characters]
    flat = [mask for of_character in masks for mask in of_character]
    fields = torch.stack([_signed_distances(mask) for mask in flat])
    boxes = torch.tensor([mask.shape[::-1] for mask in flat])
    return GlyphTemplates(
        fields,
        half_boxes=boxes * (LONGER_SIDE / 2) / boxes.amax(1, keepdim=True),
        half_widths=_half_widths(fields),
        sizes=torch.tensor([len(of_character) for of_character in masks]),
    )


def _half_widths(fields: Tensor) -> Tensor:
    """Typical half thickness of strokes, ``(T,)``, in fields ``(T, 1, h, w)``.

    Depth grows evenly from a stroke's edge to its middle, so the mean depth is half of that.
    """
    inside = fields.clamp(min=0).flatten(1)
    return 2 * inside.sum(1) / (inside > 0).sum(1).clamp(min=1)


def _opened(names: tuple[str, ...]) -> list[FT2Font]:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [FT2Font(str(folder / f"{name}.ttf")) for name in names]
    for font in fonts:
        font.set_size(FONT_SIZE, POINTS_PER_INCH)
    return fonts


def _masks(
    character: str, unicode_fonts: list[FT2Font], tex_fonts: list[FT2Font]
) -> list[np.ndarray]:
    """The character in every font that has it."""
    fonts = [font for font in unicode_fonts if font.get_char_index(ord(character)) != 0]
    if character.isascii() and character.isalnum():
        fonts += tex_fonts
    masks = [mask for font in fonts if (mask := _mask(font, character)).any()]
    if not masks:
        raise UserError(
            f"no font shipped with matplotlib draws the character {character!r}: choose letters "
            "or digits."
        )
    return masks


def _mask(font: FT2Font, character: str) -> np.ndarray:
    """A large drawing, truth values ``(h, w)``: true on the glyph, no margin."""
    font.set_text(character)
    font.draw_glyphs_to_bitmap(antialiased=True)
    mask = np.asarray(font.get_image()) > HALF_GREY
    return mask[np.ix_(mask.any(1), mask.any(0))]


def _signed_distances(mask: np.ndarray) -> Tensor:
    """The field ``(1, 56, 56)`` of a mask without margin, centred in the image's frame."""
    longest = max(mask.shape)
    side = round(longest * IMAGE_SIZE / LONGER_SIDE)
    margins = [
        ((side - length) // 2, side - length - (side - length) // 2) for length in mask.shape
    ]
    framed = np.pad(mask, margins)
    inside = np.asarray(distance_transform_edt(framed))
    outside = np.asarray(distance_transform_edt(~framed))
    drawn = torch.from_numpy((inside - outside) * (LONGER_SIDE / longest)).float()
    size = (FIELD_SIZE, FIELD_SIZE)
    return F.interpolate(drawn[None, None], size, mode="bilinear", antialias=True)[0]
