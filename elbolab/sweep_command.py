"""The command ``python cli.py sweep --config vae --over model.latent_dim=2,5,20``."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from tqdm import tqdm

from elbolab.command_line import parse
from elbolab.comparison import Comparison, Estimate
from elbolab.errors import UserError
from elbolab.run_choice import RUNS
from elbolab.sweep import (
    Executor,
    Local,
    Sweep,
    Trial,
    TrialOutcome,
    combinations,
    run_all,
    values_of,
)
from elbolab.tables import as_text
from elbolab.yaml_files import check_yaml, read_yaml_text

__all__ = ["main"]

OWN = ("over", "name", "jobs", "executor", "scheduler", "metrics", "grid")
SEEDS = ("seed_everything", "seed")
"""Options over which figures are averaged."""


def main(args: list[str]) -> int:
    """Runs every combination of some options and shows their figures side by side.

    Args:
        args: What was typed after ``sweep``: ``task NAME`` or nothing, the sweep's own options, and
            whatever every run is to get.

    Returns:
        0; 1 if a run failed.

    Raises:
        UserError: If an option is wrong, or the sweep's name stands for another one.
    """
    own, shared = _divided(args)
    options = vars(parse(_parser(), own))
    grid = _Grid.of(options, shared)
    if not grid.over:
        raise UserError("nothing to vary: give --over OPTION=VALUE,VALUE,…, once or several times.")
    folder = RUNS / "sweeps" / grid.name
    sweep = Sweep(folder, grid.command)
    trials = combinations(grid.over, folder)
    failed = _work(sweep, trials, _executor(options))
    _show(trials, options["metrics"], failed)
    return 1 if failed else 0


def _divided(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The sweep's own options, and the words that every run gets."""
    own: list[str] = []
    shared: list[str] = []
    target = shared
    for word in args:
        if word.startswith("-"):
            name = word.lstrip("-").partition("=")[0]
            target = own if name in (*OWN, "help", "h") else shared
        target.append(word)
    return own, shared


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python cli.py sweep [task NAME] --config FILE",
        description="Runs every combination of some options, each in a directory of its own under "
        "runs/sweeps/NAME. Typed again, it goes on: finished runs are kept, stopped fits continue "
        "from their last checkpoint. Further options are those of fit, or of the task.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--over",
        type=str,
        action="append",
        default=[],
        help="OPTION=VALUE,VALUE,…, such as model.latent_dim=2,5,20; may be given several times.",
    )
    parser.add_argument(
        "--grid", type=str | None, help="YAML with 'over: {OPTION: [VALUE, …]}', 'config', 'name'."
    )
    parser.add_argument(
        "--name", type=str | None, help="The sweep's folder. Default: that of the configuration."
    )
    parser.add_argument("--jobs", type=int, default=1, help="Runs at once.")
    parser.add_argument(
        "--executor", type=str, default="local", help="local, or dask for several machines."
    )
    parser.add_argument(
        "--scheduler", type=str | None, help="Address of a Dask cluster; a local one by default."
    )
    parser.add_argument(
        "--metrics", type=str, nargs="+", default=[], help="Figures of the table at the end."
    )
    return parser


@dataclass
class _Grid:
    """What is run: the command of every run, and what varies."""

    command: list[str]
    over: dict[str, list[str]]
    name: str

    @classmethod
    def of(cls, options: dict[str, Any], shared: list[str]) -> "_Grid":
        over = dict(values_of(text) for text in options["over"])
        name, command = options["name"], shared
        if options["grid"] is not None:
            given = _read(options["grid"])
            name = name or given.get("name")
            for option, values in given.get("over", {}).items():
                over.setdefault(option, [str(value) for value in values])
            if config := given.get("config"):
                command = [*shared, "--config", str(config)]
        if not command or command[0] != "task":
            command = ["fit", *command]
        return cls(command, over, name or _usual_name(command))


def _read(path: str) -> dict[str, Any]:
    text = read_yaml_text(Path(path))
    check_yaml(text, path)
    given = yaml.safe_load(text)
    wanted = {"over": dict, "config": str, "name": str}
    if not isinstance(given, dict) or not given.keys() <= wanted.keys():
        raise UserError(f"{path}: a sweep has the keys {', '.join(wanted)}.")
    for key, value in given.items():
        if not isinstance(value, wanted[key]):
            raise UserError(f"{path}: '{key}' is {value}.")
    for option, values in given.get("over", {}).items():
        if not isinstance(values, list) or not values:
            raise UserError(f"{path}: the values of '{option}' must be a list, got {values}.")
    return given


def _usual_name(command: Sequence[str]) -> str:
    """That of the last configuration, or of the task."""
    configs = [
        word.partition("=")[2] or following
        for word, following in zip(command, [*command[1:], ""], strict=True)
        if word.partition("=")[0] == "--config"
    ]
    if configs:
        return Path(configs[-1]).stem
    if command[0] == "task" and len(command) > 1:
        return command[1]
    raise UserError("a sweep needs --config FILE, or 'task NAME', or --name.")


def _executor(options: dict[str, Any]) -> Executor:
    if options["jobs"] < 1:
        raise UserError(f"jobs must be at least 1, got {options['jobs']}.")
    if options["executor"] == "local":
        return Local(options["jobs"])
    if options["executor"] == "dask":
        from elbolab.dask_executor import DaskExecutor  # only where it is installed

        return DaskExecutor(options["scheduler"], options["jobs"])
    raise UserError(f"executor must be local or dask, got {options['executor']}.")


def _work(sweep: Sweep, trials: Sequence[Trial], executor: Executor) -> list[Trial]:
    """Runs what is open under a progress line; returns what failed."""
    waiting = sweep.open(trials)
    print(f"{len(trials)} runs in {sweep.folder}, {len(trials) - len(waiting)} finished before")
    failed: list[Trial] = []
    ended: Iterable[tuple[Trial, TrialOutcome]] = run_all(sweep, trials, executor)
    with tqdm(total=len(trials), initial=len(trials) - len(waiting), unit="run") as bar:
        for trial, outcome in ended:
            bar.update()
            if outcome.exit_code:
                failed.append(trial)
                bar.write(f"failed: {trial.name}: {_last_words(trial)}", file=sys.stderr)
    return failed


def _last_words(trial: Trial) -> str:
    """The last line of a log that says what went wrong."""
    lines = trial.log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if line.startswith("error: ")] or lines[-1:]
    return f"{said[-1] if said else 'no word'}   (all of it: {trial.log})"


def _show(trials: Sequence[Trial], metrics: Sequence[str], failed: Sequence[Trial]) -> None:
    """The table of all finished runs, and their means over seeds where seeds varied."""
    ended = [trial for trial in trials if trial not in failed and trial.run.metrics.exists()]
    if not ended:
        return
    comparison = Comparison([trial.run.path for trial in ended], metrics)
    options = {name: [t.options[name] for t in ended] for name in ended[0].options}
    figures = comparison.estimates
    print(as_text({**options, **{name: list(map(str, col)) for name, col in figures.items()}}))
    if any(name in SEEDS and len(set(values)) > 1 for name, values in options.items()):
        print(f"\nmean over seeds ± its standard error\n{as_text(_over_seeds(options, figures))}")


def _over_seeds(
    options: dict[str, list[str]], figures: dict[str, list[Estimate]]
) -> dict[str, list[str]]:
    fixed = {name: values for name, values in options.items() if name not in SEEDS}
    count = len(next(iter(options.values())))
    groups: dict[tuple[str, ...], list[int]] = {}
    for row in range(count):
        groups.setdefault(tuple(values[row] for values in fixed.values()), []).append(row)
    table = {name: [group[i] for group in groups] for i, name in enumerate(fixed)}
    table["seeds"] = [str(len(rows)) for rows in groups.values()]
    for name, column in figures.items():
        table[name] = [str(_mean([column[row].value for row in rows])) for rows in groups.values()]
    return table


def _mean(values: Sequence[float]) -> Estimate:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Estimate(math.nan)
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return Estimate(mean)
    variance = math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1)
    return Estimate(mean, math.sqrt(variance / len(known)))
