"""Figures drawn off-screen and written twice: as PNG in the run directory, and to TensorBoard."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from cycler import cycler
from matplotlib import colormaps, rc_context, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory, write_atomically

__all__ = [
    "ImageWriter",
    "drawn_name",
    "image_grid",
    "image_rows",
    "new_figure",
    "palette",
    "plain_text",
    "save_figure",
    "tile",
    "write_picture",
]

DPI = 110
"""Dots per inch of every picture: sharp in TensorBoard's cards, small on disk."""


COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7F7F7F", "#B8A800")
"""C0, C1, … of every picture: told apart by the colour-blind too; after Okabe & Ito (2008)."""

STAGE_COLOURS = {"train": COLOURS[0], "val": COLOURS[1], "test": COLOURS[2]}
"""Of curves of training, validation and test, wherever they stand together."""

STYLE: dict[Any, Any] = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.labelsize": 9.5,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 10,
    "font.size": 9.5,
    "image.cmap": "viridis",
    "legend.fontsize": 9,
    "legend.framealpha": 0.9,
    "legend.title_fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}
"""matplotlib's settings: 9 points are 14 pixels, legible where a picture is shown as it is."""

FOR_PAPERS: dict[Any, Any] = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.hashsalt": "elbolab"}
"""Settings of figures without pixels: fonts that journals take, and no chance in their names."""

DATELESS: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
"""What a format says of itself but for the time, so that equal figures are equal files."""

LONGEST_NAME = 24
"""Letters of a person's name for something that are drawn."""

MOST_COLUMNS = 16
"""Images side by side before a row goes on below."""


class ImageWriter(Protocol):
    """What a picture needs of TensorBoard's ``SummaryWriter``."""

    def add_image(self, tag: str, img_tensor: Any, global_step: int, *, dataformats: str) -> None:
        """Adds one image of values in [0, 255], laid out as ``dataformats`` says."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` × ``height`` inches that belongs to no window.

    Not pyplot's: that one keeps every figure alive in a global list and may look for a display.
    From the first one on, this process draws in `STYLE`: matplotlib looks settings up until a
    figure is rendered.
    """
    rcParams.update(STYLE)
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def palette(count: int) -> NDArray[np.float64]:
    """Colours ``(count, 3)`` for so many things, each in [0, 1]: `COLOURS`, or of a rainbow."""
    if count <= len(COLOURS):
        return np.array([to_rgb(colour) for colour in COLOURS[:count]])
    return colormaps["turbo"](np.linspace(0.05, 0.95, count))[:, :3]


def plain_text(text: str) -> str:
    """Text that a person gave, for a picture: two dollar signs would enclose a formula."""
    return text.replace("$", r"\$")


def drawn_name(name: str) -> str:
    """A person's name for something as a picture shows it: `plain_text`, cut where it is long."""
    return plain_text(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…")


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
    axes.tick_params(length=0, labelsize=8)
    axes.set_title(title)
    return figure


def image_rows(
    rows: Mapping[str, NDArray[Any]], title: str, most_columns: int = MOST_COLUMNS
) -> Figure:
    """Labelled rows of images ``(n, c, h, w)`` with values in [0, 1], of different lengths or not.

    Args:
        rows: Label → images.
        title: Above the rows.
        most_columns: Images in a line; a row that has more goes on in the next line.
    """
    columns = min(max(len(images) for images in rows.values()), most_columns)
    lines, labels = [], []
    for label, images in rows.items():
        blank = np.ones((-len(images) % columns, *images.shape[1:]), images.dtype)
        lines.append(np.concatenate([images, blank]))
        labels += [label] + [""] * (len(lines[-1]) // columns - 1)
    return image_grid(np.concatenate(lines), title, columns, labels)


def write_picture(
    figure: Figure,
    name: str,
    run: RunDirectory,
    writer: ImageWriter | None,
    step: int,
    formats: Sequence[str] = (),
) -> None:
    """Writes ``images/<name>.png`` and, with a writer, TensorBoard's ``images/<name>`` at ``step``.

    The figure is rendered once for both. The file is the newest; TensorBoard keeps every step.

    Args:
        figure: What is written.
        name: Its name, without folder and ending.
        run: The run's directory.
        writer: TensorBoard's, if there is one.
        step: Where it stands in TensorBoard.
        formats: Endings of further files beside the PNG, such as ``pdf``.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    write_atomically(run.images / f"{name}.png", buffer.getvalue())
    if writer is not None:
        writer.add_image(f"images/{name}", pixels, step, dataformats="HWC")
    for kind in formats:
        save_figure(figure, run.images / f"{name}.{kind}")


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
    with rc_context(FOR_PAPERS):
        figure.savefig(buffer, format=kind, metadata=DATELESS.get(kind))
    write_atomically(path, buffer.getvalue())
