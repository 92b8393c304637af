"""What is wrong with a configuration's values can be said before anything is built."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from elbolab.checks import check_at_least_one, check_in, check_seed
from elbolab.errors import UserError
from elbolab.files import shown

__all__ = ["FIGURES_HELP", "FigureOption", "check_numbers", "check_trainer", "figure_formats"]

COUNTS = (
    "trainer.log_every_n_steps",
    "trainer.accumulate_grad_batches",
    "trainer.check_val_every_n_epoch",
)
CLIP = "trainer.gradient_clip_val"
FORMATS_FOR_PAPERS = ("pdf", "svg", "eps")

FigureOption = str | list[str] | None
"""What ``--figures`` may be: ``pdf,svg``, or a list in a YAML."""
FIGURES_HELP = "Formats in which pictures are written too, beside PNG: pdf,svg."


def check_numbers(options: Mapping[str, Any]) -> None:
    """Refuses NaN and infinity, wherever they stand, and impossible seeds.

    Args:
        options: A parsed configuration as nested mappings.

    Raises:
        UserError: Naming the option and its value.
    """
    for name, value in _leaves(options):
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{name} must be a finite number, got {value}.")
        if name.rpartition(".")[2] in ("seed", "seed_everything") and type(value) is int:
            check_seed(**{name: value})


def figure_formats(figures: FigureOption) -> tuple[str, ...]:
    """The formats that ``--figures`` names, each once.

    Raises:
        UserError: If one is none that pictures are written in.
    """
    names = figures.strip("[]").split(",") if isinstance(figures, str) else figures or []
    formats = tuple(dict.fromkeys(name.strip(" .").lower() for name in names))
    for name in formats:
        if name not in FORMATS_FOR_PAPERS:
            known = ", ".join(FORMATS_FOR_PAPERS)
            raise UserError(
                f"figures must be some of {known}, parted by commas, got '{shown(name)}'; PNG is "
                "always written."
            )
    return formats


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuses what Lightning's trainer takes without a word and cannot work with.

    Args:
        trainer: Its options.

    Raises:
        UserError: Naming the option and its value.
    """
    given = {f"trainer.{name}": value for name, value in trainer.items() if value is not None}
    counts = ("log_every_n_steps", "accumulate_grad_batches", "check_val_every_n_epoch")
    check_at_least_one(
        **{key: given[key] for name in counts if (key := f"trainer.{name}") in given}
    )
    if isinstance(clip := given.get("trainer.gradient_clip_val"), int | float):
        check_in("[0, inf)", **{"trainer.gradient_clip_val": clip})
    if given.get("trainer.max_epochs") == 0 or given.get("trainer.max_steps") == 0:
        raise UserError("trainer.max_epochs and trainer.max_steps must be at least 1, or -1.")
    _check_processes(given)


def _check_processes(given: Mapping[str, Any]) -> None:
    devices = str(given.get("trainer.devices", "auto"))
    cores = os.cpu_count() or 1
    on_cpu = given.get("trainer.accelerator") == "cpu"
    if on_cpu and devices.isdigit() and int(devices) > cores:
        raise UserError(
            f"trainer.devices {devices}: this machine has {cores} processors, and each process "
            "would hold its own copy of the program."
        )


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a nested configuration with its dotted name, ``init_args`` left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            part = "" if key == "init_args" else str(key)
            yield from _leaves(inner, ".".join(filter(None, (name, part))))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for inner in value:
            yield from _leaves(inner, name)
    else:
        yield name, value
