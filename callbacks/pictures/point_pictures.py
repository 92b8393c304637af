"""How points in the plane and fields over it are drawn."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from elbolab.pictures import image_grid, new_figure

__all__ = ["REACH", "Frames", "animation", "cloud", "samples_picture", "snapshot_grid"]

REACH = 3.0
"""Pictures show [−REACH, REACH]²: the spiral, and N(0, I) up to three standard deviations."""

Frames = Mapping[int, NDArray[np.float32]]
"""Points ``(n, 2)`` by noise level, in the order in which they were reached."""

PIXELS, MARGIN = 240, 22
"""Side of one panel of an animation, and the height of the line above it."""


def cloud(axes: Axes, points: NDArray[np.float32], reach: float = REACH) -> None:
    """Draws points ``(n, 2)`` in a square window of half-width ``reach``."""
    axes.scatter(points[:, 0], points[:, 1], s=1.2, alpha=0.5, linewidths=0, color="tab:blue")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.tick_params(labelsize=6)


def samples_picture(samples: NDArray[np.float32], title: str, columns: int = 8) -> Figure:
    """Images ``(n, c, h, w)`` in [0, 1] as a grid, points ``(n, d)`` by their first two numbers.

    Args:
        samples: Draws of a generative module.
        title: Above the picture.
        columns: Images per row.
    """
    if samples.ndim > 2:
        return image_grid(samples.clip(0, 1), title, columns)
    plane = samples[:, :2] if samples.shape[1] > 1 else np.pad(samples, ((0, 0), (0, 1)))
    figure = new_figure(4.5, 4.7)
    axes = figure.add_subplot()
    cloud(axes, plane, 1.05 * float(np.abs(plane).max()))
    axes.set_title(title, fontsize=9)
    return figure


def snapshot_grid(rows: Mapping[str, Frames], title: str, windows: Sequence[float] = ()) -> Figure:
    """One row of clouds per process, one column per level.

    Args:
        rows: Row label → points by level.
        title: Above the grid.
        windows: Half-width of each row's window; `REACH` where none is given.
    """
    columns = max(len(frames) for frames in rows.values())
    figure = new_figure(1.9 * columns + 0.4, 2.05 * len(rows) + 0.5)
    panels = figure.subplots(len(rows), columns, squeeze=False)
    reaches = [*windows, *[REACH] * (len(rows) - len(windows))]
    for row, reach, (label, frames) in zip(panels, reaches, rows.items(), strict=True):
        row[0].set_ylabel(label, fontsize=8)
        for axes, (level, points) in zip(row, frames.items(), strict=True):
            cloud(axes, points, reach)
            axes.set_title(f"k = {level}", fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def animation(processes: Mapping[str, Frames], milliseconds: int = 60) -> bytes:
    """An animated GIF with one panel per process; the last frame stays for two seconds.

    Args:
        processes: Label → points by level, the same levels for all.
        milliseconds: How long a frame stays.
    """
    levels = list(next(iter(processes.values())))
    frames = [
        _beside([_panel(label, k, points[k]) for label, points in processes.items()])
        for k in levels
    ]
    buffer = io.BytesIO()
    durations = [milliseconds] * (len(frames) - 1) + [2000]
    frames[0].save(
        buffer, "gif", save_all=True, append_images=frames[1:], duration=durations, loop=0
    )
    return buffer.getvalue()


def _panel(label: str, level: int, points: NDArray[np.float32]) -> Image.Image:
    """A cloud as pixels: darker where more points lie."""
    edges = np.linspace(-REACH, REACH, PIXELS + 1)
    counts, _, _ = np.histogram2d(-points[:, 1], points[:, 0], [edges, edges])
    shades = np.where(counts > 0, 150 / (1 + counts), 255).astype(np.uint8)
    panel = Image.new("L", (PIXELS, PIXELS + MARGIN), 255)
    panel.paste(Image.fromarray(shades), (0, MARGIN))
    ImageDraw.Draw(panel).text((6, 5), f"{label}: k = {level}", fill=0)
    return panel


def _beside(panels: Sequence[Image.Image]) -> Image.Image:
    sheet = Image.new("L", (len(panels) * PIXELS, PIXELS + MARGIN), 255)
    for i, panel in enumerate(panels):
        sheet.paste(panel, (i * PIXELS, 0))
    return sheet
