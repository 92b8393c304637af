"""Runs side by side: their figures, the options in which they differ, and differences with errors.

No torch, no Lightning: what is compared are the files that runs left.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from elbolab.errors import UserError, did_you_mean
from elbolab.run_directory import RunDirectory

__all__ = ["Comparison", "Estimate", "compare"]

ERROR = "_standard_error"
"""What the name of a figure's standard error ends in."""

NOT_COMPARED = ("run_dir", "figures", "ckpt_path", "config", "trainer.logger", "trainer.callbacks")
"""Options that say where a run is kept and what is drawn, not what it is."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its standard error, NaN where that is not known.

    Attributes:
        value: The figure; NaN where a run has none.
        error: Its standard error.
        paired: For a difference, whether it was taken example by example.
    """

    value: float
    error: float = math.nan
    paired: bool = False

    def __str__(self) -> str:
        """To two digits of its error, ``-99.49 ± 0.30``; without one, to six."""
        if math.isnan(self.value):
            return ""
        if not self.error > 0:
            return f"{self.value:.6g}"
        digits = max(0, 1 - math.floor(math.log10(self.error)))
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


@dataclass(frozen=True)
class _Record:
    """What one run left."""

    run: RunDirectory

    @cached_property
    def metrics(self) -> dict[str, float]:
        return {
            name: math.nan if value is None else float(value)
            for name, value in self.run.read_metrics().items()
        }

    @cached_property
    def options(self) -> dict[str, Any]:
        if not self.run.config.exists():
            return {}
        try:
            return _flat(yaml.safe_load(self.run.config.read_text(encoding="utf-8")) or {})
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(
                f"{self.run.config} is damaged: {' '.join(str(error).split())}."
            ) from error

    @cached_property
    def examples(self) -> Mapping[str, np.ndarray]:
        """Values of each test example by figure, and ``example``, which tells examples apart."""
        if not self.run.test_examples.exists():
            return {}
        try:
            with np.load(self.run.test_examples, allow_pickle=False) as file:
                return dict(file)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{self.run.test_examples} is damaged: {error}.") from error

    def estimate(self, name: str) -> Estimate:
        error = self.metrics.get(f"{name}{ERROR}", math.nan)
        return Estimate(self.metrics.get(name, math.nan), error)


class Comparison:
    """Several runs and the figures chosen of them.

    Args:
        runs: Run directories.
        metrics: Patterns of the figures wanted, such as ``test/*``. By default the test figures of
            fits, and all of tasks.
        sort: Figure by which runs are ordered, the largest first; a minus before it turns the order
            round.
        reference: The run that differences are taken from, if any.

    Raises:
        UserError: If a directory holds no run, or a figure or the reference is not among them.
    """

    def __init__(
        self,
        runs: Sequence[str | Path],
        metrics: Sequence[str] = (),
        sort: str | None = None,
        reference: str | Path | None = None,
    ) -> None:
        records = [_record(path) for path in dict.fromkeys(map(Path, runs))]
        if not records:
            raise UserError("no runs to compare: name their directories, such as runs/*.")
        self.figures = _figures(records, metrics)
        self._records = _sorted(records, sort)
        self._reference = None if reference is None else self._find(Path(reference))

    @property
    def runs(self) -> list[str]:
        """The run directories, one row each."""
        return [str(record.run.path) for record in self._records]

    @property
    def options(self) -> dict[str, list[str]]:
        """Options in which the runs differ, by name: one value for each run."""
        names = dict.fromkeys(name for record in self._records for name in record.options)
        columns = {name: [_shown(r.options.get(name)) for r in self._records] for name in names}
        return {
            _short(name, columns): values
            for name, values in columns.items()
            if len(set(values)) > 1 and not name.startswith(NOT_COMPARED)
        }

    @property
    def estimates(self) -> dict[str, list[Estimate]]:
        """The figures by name: one for each run."""
        return {name: [r.estimate(name) for r in self._records] for name in self.figures}

    @property
    def differences(self) -> dict[str, list[Estimate]]:
        """Every run's figures less the reference's; empty without one."""
        reference = self._reference
        if reference is None:
            return {}
        return {
            name: [_difference(name, record, reference) for record in self._records]
            for name in self.figures
        }

    def columns(self) -> dict[str, list[Any]]:
        """The whole table as plain values: run, options, figures and their standard errors."""
        table: dict[str, list[Any]] = {"run": self.runs, **self.options}
        for name, column in self.estimates.items():
            table[name] = [estimate.value for estimate in column]
            if any(estimate.error > 0 for estimate in column):
                table[f"{name}{ERROR}"] = [estimate.error for estimate in column]
        for name, column in self.differences.items():
            table[f"difference/{name}"] = [estimate.value for estimate in column]
            table[f"difference/{name}{ERROR}"] = [estimate.error for estimate in column]
            table[f"difference/{name}_paired"] = [estimate.paired for estimate in column]
        return table

    def _find(self, path: Path) -> _Record:
        for record in self._records:
            if path in (record.run.path, Path(record.run.path.name)):
                return record
        raise UserError(
            f"{path} is not among the runs that are compared.{did_you_mean(str(path), self.runs)}"
        )


def compare(runs: Sequence[str | Path], **options: Any) -> dict[str, list[Any]]:
    """The table of `Comparison`, column by column.

    Args:
        runs: Run directories.
        options: ``metrics``, ``sort`` and ``reference``, as for `Comparison`.
    """
    return Comparison(runs, **options).columns()


def _record(path: Path) -> _Record:
    run = RunDirectory(path)
    if not (run.config.exists() or run.metrics.exists()):
        raise UserError(f"no run in {path}: it has neither config.yaml nor metrics.json.")
    return _Record(run)


def _figures(records: Sequence[_Record], patterns: Sequence[str]) -> list[str]:
    names = sorted({n for r in records for n in r.metrics if not n.endswith(ERROR)})
    wanted = patterns or _usual(names)
    chosen = [n for n in names if any(fnmatchcase(n, pattern) for pattern in wanted)]
    if not chosen:
        looked = " ".join(wanted)
        raise UserError(f"no run has a figure {looked}.{did_you_mean(looked, names)}")
    return chosen


def _usual(names: Sequence[str]) -> list[str]:
    """Test figures; where no run was tested, those of validation; of tasks all."""
    for stage in ("test", "val"):
        if any(name.startswith(f"{stage}/") for name in names):
            return [f"{stage}/*"]
    return ["*"]


def _sorted(records: list[_Record], sort: str | None) -> list[_Record]:
    if sort is None:
        return records
    name = sort.removeprefix("-")
    known = {figure for record in records for figure in record.metrics}
    if name not in known:
        raise UserError(f"no run has a figure {name} to sort by.{did_you_mean(name, known)}")
    sign = 1 if sort.startswith("-") else -1

    def place(record: _Record) -> float:
        value = record.metrics.get(name, math.nan)
        return math.inf if math.isnan(value) else sign * value

    return sorted(records, key=place)


def _difference(name: str, record: _Record, reference: _Record) -> Estimate:
    """Example by example where both kept the same ones: what they share then cancels."""
    ours, theirs = record.estimate(name), reference.estimate(name)
    if record is reference:
        return Estimate(math.nan)
    key = name.partition("/")[2]
    if name.startswith("test/") and key in record.examples and key in reference.examples:
        order, same = _matched(record.examples["example"], reference.examples["example"])
        if same:
            gaps = record.examples[key] - reference.examples[key][order]
            return Estimate(gaps.mean(), gaps.std(ddof=1) / math.sqrt(len(gaps)), paired=True)
    return Estimate(ours.value - theirs.value, math.hypot(ours.error, theirs.error))


def _matched(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, bool]:
    """Where each of our examples stands among theirs, if both are the same set of two or more."""
    if len(ours) != len(theirs) or len(ours) < 2:
        return ours, False
    a, b = np.argsort(ours, kind="stable"), np.argsort(theirs, kind="stable")
    order = np.empty_like(a)
    order[a] = b
    return order, bool(np.array_equal(ours, theirs[order]))


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested options by dotted names; a class's own name stands for ``class_path``."""
    if not isinstance(value, Mapping):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        part = "" if key in ("init_args", "class_path") else str(key)
        flat |= _flat(inner, ".".join(filter(None, (name, part))))
    return flat


def _shown(value: Any) -> str:
    if isinstance(value, str) and "." in value and value.replace(".", "").isidentifier():
        return value.rpartition(".")[2]
    return "" if value is None else str(value)


def _short(name: str, names: Mapping[str, Any]) -> str:
    """The last part of an option's name, where it is the only one to end so."""
    last = name.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in names) == 1 else name
