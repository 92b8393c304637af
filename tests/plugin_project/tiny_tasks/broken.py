"""A task whose requirements are not installed."""

import no_such_package  # pyright: ignore[reportMissingImports]

__all__ = ["Broken"]

Broken = no_such_package.Broken
