"""The runner as pixels: single frames, and a gait as an animated GIF."""

import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tasks.arrays import Floats

__all__ = ["COLOURS", "HEIGHT", "LIMBS", "WIDTH", "draw_frame", "gait_gif"]

WIDTH, HEIGHT = 480, 240
"""Pixels of a frame."""

SCALE = 80
"""Pixels for each unit of length."""

FINER = 2
"""Frames are drawn larger by this factor and shrunk, which smooths edges."""

LIMBS = ((0, 5), (0, 3), (3, 4), (0, 1), (1, 2))
"""Edges as pairs of points, those in front last."""

COLOURS = ("#222222", "#d55e00", "#d55e00", "#0072b2", "#0072b2")
"""Trunk, leg B, leg A: tell apart without seeing red and green."""

FRAME_MILLISECONDS = 40
MARK = 1.0
"""Distance between two marks on the ground."""


def draw_frame(points: Floats) -> NDArray[np.uint8]:
    """A frame ``(HEIGHT, WIDTH, 3)`` that keeps the hip in its middle.

    Args:
        points: x and y of all points, ``(6, 2)``.
    """
    return np.asarray(_frame(points))


def _frame(points: Floats) -> Image.Image:
    left = points[0, 0] - WIDTH / SCALE / 2
    ground = HEIGHT - 30
    picture = Image.new("RGB", (WIDTH * FINER, HEIGHT * FINER), "white")
    draw = ImageDraw.Draw(picture)
    _draw_ground(draw, left, ground)
    pixels = np.stack([(points[:, 0] - left) * SCALE, ground - points[:, 1] * SCALE], 1) * FINER
    for (start, end), colour in zip(LIMBS, COLOURS, strict=True):
        draw.line([*pixels[start], *pixels[end]], fill=colour, width=6 * FINER)
        draw.circle(tuple(pixels[end]), 3 * FINER, fill=colour)
    draw.circle(tuple(pixels[5]), 13 * FINER, fill=COLOURS[0])
    draw.text((8 * FINER, 6 * FINER), f"{points[5, 0]:.2f}", fill="#222222", font_size=16 * FINER)
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


def _draw_ground(draw: ImageDraw.ImageDraw, left: float, ground: int) -> None:
    draw.line([0, ground * FINER, WIDTH * FINER, ground * FINER], fill="#888888", width=2 * FINER)
    for mark in np.arange(np.ceil(left), left + WIDTH / SCALE, MARK):
        x = float(mark - left) * SCALE * FINER
        draw.line([x, ground * FINER, x, (ground + 6) * FINER], fill="#888888", width=2 * FINER)
        draw.text(
            (x, (ground + 7) * FINER),
            f"{mark:g}",
            fill="#666666",
            font_size=12 * FINER,
            anchor="ma",
        )


def gait_gif(points: Iterable[Floats], every: int = 2) -> bytes:
    """An animated GIF of a gait, which rests on its last frame.

    Args:
        points: x and y of all points after each step, ``(steps, 6, 2)``.
        every: Steps from one frame to the next.
    """
    steps = list(points)
    shown = [*steps[:-1:every], steps[-1]]
    first, *others = [_frame(frame).quantize(32, dither=Image.Dither.NONE) for frame in shown]
    durations = [FRAME_MILLISECONDS] * len(others) + [1500]
    buffer = io.BytesIO()
    first.save(
        buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0, disposal=1
    )
    return buffer.getvalue()
