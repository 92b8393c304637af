"""Figures drawn off-screen and written twice: as PNG in the run directory, and to TensorBoard."""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory, write_atomically

__all__ = [
    "ImageWriter",
    "image_grid",
    "image_rows",
    "new_figure",
    "save_figure",
    "tile",
    "write_picture",
]

DPI = 110
"""Dots per inch of every picture: sharp in TensorBoard's cards, small on disk."""


class ImageWriter(Protocol):
    """What a picture needs of TensorBoard's ``SummaryWriter``."""

    def add_image(self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str) -> None:
        """Adds one image of values in [0, 255], laid out as ``dataformats`` says."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` × ``height`` inches that belongs to no window.

    Not pyplot's: that one keeps every figure alive in a global list and may look for a display.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tile(images: NDArray[Any], columns: int) -> NDArray[Any]:
    """Lays ``(n, c, h, w)`` images out row by row, one bright pixel between them.

    Returns:
        ``(H, W)`` for one channel, ``(H, W, c)`` otherwise; cells without an image are white.
    """
    n, c, h, w = images.shape
    rows = math.ceil(n / columns)
    sheet = np.ones((rows * (h + 1) - 1, columns * (w + 1) - 1, c), dtype=images.dtype)
    for i, image in enumerate(images):
        top, left = (i // columns) * (h + 1), (i % columns) * (w + 1)
        sheet[top : top + h, left : left + w] = image.transpose(1, 2, 0)
    return sheet[..., 0] if c == 1 else sheet


def image_grid(
    images: NDArray[Any], title: str, columns: int, row_labels: list[str] | None = None
) -> Figure:
    """A titled grid of images ``(n, c, h, w)`` with values in [0, 1]; axes count images.

    Args:
        images: What to show, row by row.
        title: Above the grid.
        columns: Images per row.
        row_labels: One label per row in place of the row's number.
    """
    n, _, h, w = images.shape
    rows = math.ceil(n / columns)
    figure = new_figure(max(4.0, 0.62 * columns + 0.9), 0.62 * rows + 0.9)
    axes = figure.add_subplot()
    axes.imshow(tile(images, columns), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks(np.arange(columns) * (w + 1) + w / 2, [str(i + 1) for i in range(columns)])
    axes.set_yticks(
        np.arange(rows) * (h + 1) + h / 2, row_labels or [str(i + 1) for i in range(rows)]
    )
    axes.tick_params(length=0, labelsize=7)
    axes.set_title(title, fontsize=9)
    return figure


def image_rows(rows: Mapping[str, NDArray[Any]], title: str) -> Figure:
    """Labelled rows of images ``(n, c, h, w)`` with values in [0, 1], of different lengths or not.

    Args:
        rows: Label → images.
        title: Above the rows.
    """
    columns = max(len(images) for images in rows.values())
    full = [
        np.concatenate([images, np.ones((columns - len(images), *images.shape[1:]), images.dtype)])
        for images in rows.values()
    ]
    return image_grid(np.concatenate(full), title, columns, list(rows))


def write_picture(
    figure: Figure, name: str, run: RunDirectory, writer: ImageWriter | None, step: int
) -> None:
    """Writes ``images/<name>.png`` and, with a writer, TensorBoard's ``images/<name>`` at ``step``.

    The figure is rendered once for both. The PNG is the newest; TensorBoard keeps every step.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    write_atomically(run.images / f"{name}.png", buffer.getvalue())
    if writer is not None:
        writer.add_image(f"images/{name}", pixels, step, dataformats="HWC")


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the file's ending.

    Raises:
        UserError: If matplotlib cannot write that format.
    """
    FigureCanvasAgg(figure)
    kind = path.suffix.removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise UserError(
            f"cannot write {path}: pictures end in one of .{', .'.join(sorted(known))}."
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind)
    write_atomically(path, buffer.getvalue())
