"""What every room of the framework shares: errors, seeds, run directories, pictures.

Nothing here imports Lightning, and nothing here imports another room.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
