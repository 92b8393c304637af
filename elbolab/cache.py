"""Where downloaded and rendered data are kept."""

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(*parts: str) -> Path:
    """``~/.cache/elbolab``, or the folder ``parts`` below it.

    ``XDG_CACHE_HOME`` moves it, as for other programs.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return base.joinpath("elbolab", *parts)
