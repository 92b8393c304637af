"""A window that shows frames, where there is a display."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.registry import BackendFilter, backend_registry
from numpy.typing import NDArray

from elbolab.errors import UserError

__all__ = ["Window"]


class Window:
    """A matplotlib window, opened with its first frame."""

    def __init__(self) -> None:
        self._shown: tuple[Any, Any] | None = None

    def show(self, frame: NDArray[np.uint8], seconds: float) -> None:
        """Shows a frame ``(height, width, 3)`` for some time.

        Raises:
            UserError: If there is no display, or matplotlib cannot open a window on it.
        """
        figure, image = self._shown = self._shown or _open(frame)
        image.set_data(frame)
        figure.canvas.draw_idle()
        figure.canvas.start_event_loop(seconds)

    def close(self) -> None:
        """Closes the window, if it was opened."""
        if self._shown:
            plt.close(self._shown[0])
            self._shown = None


def _open(frame: NDArray[np.uint8]) -> tuple[Any, Any]:
    """A figure in a window, and the image in it."""
    if plt.get_backend().lower() not in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
        raise UserError(
            "render_mode human needs a display, and matplotlib found none (its backend is "
            f"{plt.get_backend()}): use render_mode rgb_array, or set MPLBACKEND."
        )
    figure, axes = plt.subplots(num="QWOP", figsize=(8, 4), layout="tight")
    axes.set_axis_off()
    image = axes.imshow(frame)
    plt.show(block=False)
    return figure, image
