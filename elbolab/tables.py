"""A table as text, CSV, Markdown or LaTeX."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence

__all__ = ["FORMATS", "Cells", "as_markdown"]

Cells = Mapping[str, Sequence[str]]
"""Column name → cells from top to bottom."""


def _rows(cells: Cells) -> list[list[str]]:
    return [list(cells), *map(list, zip(*cells.values(), strict=True))]


def as_text(cells: Cells) -> str:
    """Columns padded with spaces; numbers to the right."""
    rows = _rows(cells)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [any(cell[-1:].isdigit() for cell in column) for column in cells.values()]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    )


def as_csv(cells: Cells) -> str:
    """Comma-separated, quoted where needed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(_rows(cells))
    return text.getvalue().rstrip("\n")


def as_markdown(cells: Cells) -> str:
    """A pipe table."""
    head, *rows = [[cell.replace("|", "\\|") for cell in row] for row in _rows(cells)]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_latex(cells: Cells) -> str:
    """A ``tabular`` with rules of booktabs."""
    head, *rows = [[_escaped(cell) for cell in row] for row in _rows(cells)]
    columns = "l" + "r" * (len(head) - 1)
    body = [" & ".join(row) + r" \\" for row in rows]
    opening = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", " & ".join(head) + r" \\"]
    return "\n".join([*opening, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"])


def _escaped(cell: str) -> str:
    for sign in ("\\", "_", "%", "&", "#", "$", "{", "}"):
        cell = cell.replace(sign, r"\textbackslash " if sign == "\\" else f"\\{sign}")
    number, plus, error = cell.partition(" ± ")
    return rf"${number} \pm {error}$" if plus else cell


FORMATS: dict[str, Callable[[Cells], str]] = {
    "text": as_text,
    "csv": as_csv,
    "markdown": as_markdown,
    "latex": as_latex,
}
"""Name of a format → what writes it."""
