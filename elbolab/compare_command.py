"""The command ``python cli.py compare runs/*``."""

import sys
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elbolab.command_line import parse
from elbolab.comparison import Comparison, Estimate
from elbolab.errors import UserError
from elbolab.pictures import new_figure, save_figure
from elbolab.run_directory import write_atomically
from elbolab.tables import FORMATS, Cells

__all__ = ["main"]

MOST_PANELS = 6
"""Figures that one picture shows."""


def main(args: list[str]) -> int:
    """Prints the figures of runs side by side.

    Args:
        args: What was typed after ``compare``.

    Returns:
        The exit code, 0.

    Raises:
        UserError: If a run, a figure or an option is not there.
    """
    # The runs first: everything before the first option.
    count = next((i for i, word in enumerate(args) if word.startswith("-")), len(args))
    options = vars(parse(_parser(), args[count:]))
    comparison = Comparison(
        args[:count], options["metrics"], options["sort"], options["differences"]
    )
    text = FORMATS[options["format"]](
        _plain(comparison) if options["format"] == "csv" else _readable(comparison)
    )
    if options["output"] is None:
        print(text)
    else:
        write_atomically(Path(options["output"]), f"{text}\n".encode())
    if options["plot"] is not None:
        save_figure(_picture(comparison), Path(options["plot"]))
    if comparison.differences and options["output"] is None:
        print(_pairing(comparison), file=sys.stderr)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python cli.py compare RUN [RUN ...]",
        description="Figures of runs side by side, with their standard errors.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--metrics",
        type=str,
        nargs="+",
        default=[],
        help="Patterns of the figures, such as 'test/*'. Default: test figures; all of tasks.",
    )
    parser.add_argument(
        "--sort", type=str | None, help="Figure to sort by, largest first; -NAME: smallest first."
    )
    parser.add_argument(
        "--differences",
        type=str | None,
        help="Run that the others are compared with: differences with standard errors, paired over "
        "test examples where both runs kept them.",
    )
    parser.add_argument(
        "--format", type=Literal["text", "csv", "markdown", "latex"], default="text"
    )
    parser.add_argument("--output", type=str | None, help="File to write in place of printing.")
    parser.add_argument("--plot", type=str | None, help="Picture to write: .png, .pdf or .svg.")
    return parser


def _readable(comparison: Comparison) -> Cells:
    cells: dict[str, list[str]] = {"run": comparison.runs, **comparison.options}
    cells |= {name: list(map(str, column)) for name, column in comparison.estimates.items()}
    for name, column in comparison.differences.items():
        cells[f"Δ {name}"] = list(map(str, column))
    return cells


def _plain(comparison: Comparison) -> Cells:
    return {name: list(map(str, column)) for name, column in comparison.columns().items()}


def _pairing(comparison: Comparison) -> str:
    paired = [
        name
        for name, column in comparison.differences.items()
        if any(estimate.paired for estimate in column)
    ]
    if not paired:
        return "Δ: unpaired, the standard errors of both runs together."
    return f"Δ: paired over test examples for {', '.join(paired)}; unpaired otherwise."


def _picture(comparison: Comparison) -> Figure:
    """One panel for each figure, one point with its standard error for each run."""
    shown = list(comparison.estimates.items())[:MOST_PANELS]
    height = 0.9 + 0.32 * len(comparison.runs)
    figure = new_figure(1.6 + 2.4 * len(shown), max(2.0, height))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, (name, column) in zip(panels, shown, strict=True):
        _draw_panel(axes, name, column)
    places = range(len(comparison.runs))
    panels[0].set_yticks(list(places), [Path(run).name for run in comparison.runs])
    panels[0].invert_yaxis()
    return figure


def _draw_panel(axes: Axes, name: str, column: list[Estimate]) -> None:
    values = [estimate.value for estimate in column]
    errors = [estimate.error if estimate.error > 0 else 0 for estimate in column]
    if all(value != value for value in values):
        raise UserError(f"no run has a value of {name} to draw.")
    axes.errorbar(values, range(len(values)), xerr=errors, fmt="o", capsize=3)
    axes.set_xlabel(name)
    axes.grid(alpha=0.3)
