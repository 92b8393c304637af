"""What every room of the framework shares, and the Python face: ``elbolab.load("runs/vae")``.

Nothing here imports a room or Lightning, but `elbolab.loading`, which builds models and data from
a run's files; ``import elbolab`` alone imports nothing at all.
"""

from importlib import import_module

__all__ = ["__version__"]

__version__ = "0.1.0"

HOMES = {"Run": "elbolab.run", "compare": "elbolab.comparison", "load": "elbolab.run"}
"""Where the names live that are imported when they are first asked for; see also the ``.pyi``."""


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module 'elbolab' has no attribute '{name}'")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
