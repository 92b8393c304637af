"""What benchmarks share: a stopwatch, turns, medians with extremes, memory, the first options.

Contestants take turns within a process, and a ratio is the median of the rounds' ratios, each of
neighbours in time: a machine whose speed drifts favours none of them.
"""

import argparse
import logging
import multiprocessing
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

__all__ = [
    "benchmark_parser",
    "in_fresh_process",
    "in_turns",
    "median_ratio",
    "peak_growth",
    "resident_memory",
    "silence_lightning",
    "spread",
    "timed",
]

T = TypeVar("T")


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Seconds that ``action`` takes, and what it returns."""
    started = time.perf_counter()
    value = action()
    return time.perf_counter() - started, value


def in_turns(
    contestants: Mapping[str, Callable[[], T]], rounds: int, warm_up: int = 0
) -> dict[str, list[T]]:
    """What each contestant measures, by name, a value a round.

    Args:
        contestants: Name → measurement, in the order of their turns.
        rounds: How many are kept.
        warm_up: How many are run before and forgotten.
    """
    measured: dict[str, list[T]] = {name: [] for name in contestants}
    for turn in range(warm_up + rounds):
        for name, measure in contestants.items():
            value = measure()
            if turn >= warm_up:
                measured[name].append(value)
    return measured


def spread(values: Sequence[float], form: str = ".1f") -> str:
    """``median (min – max)``, each in the format ``form``."""
    return f"{median(values):{form}} ({min(values):{form}} – {max(values):{form}})"


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the rounds' ratios."""
    return median(a / b for a, b in zip(numerators, denominators, strict=True))


def resident_memory(field: str = "VmHWM") -> float:
    """MiB that this process holds (VmRSS) or held at most (VmHWM), as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def peak_growth(action: Callable[[], object]) -> float:
    """MiB by which this process's memory peaks over what it held before (Linux)."""
    before = resident_memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back
    action()
    return resident_memory("VmHWM") - before


def in_fresh_process(measure: Callable[..., T], *inputs: Any) -> T:
    """What ``measure`` returns in a process of its own, which has held nothing yet."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, inputs)


def benchmark_parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """A parser with ``--rounds``, and ``rounds`` as its default."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser


def silence_lightning() -> None:
    """Leaves tables alone on the screen: no warnings, and of Lightning's log only errors."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
