"""The house: who may import whom, how long a file may be, and that a name means one thing."""

import ast
import subprocess
import sys
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import combinations

import pytest
from conftest import ROOT

ROOMS = ("benchmarks", "callbacks", "datamodules", "elbolab", "lightning_modules", "tasks")
SOURCES = sorted(
    [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    + [ROOT / "cli.py", ROOT / "lightning_cli.py"]
)
MAY_IMPORT = {
    "elbolab": set(),
    "datamodules": {"lightning_modules"},  # latents are what a model makes of images
    "lightning_modules": set(),
    "callbacks": {"lightning_modules"},
    "tasks": set(),
}
"""Room → the rooms that it may import besides itself and `elbolab`."""

PYTHON_FACE = ROOT / "elbolab/loading.py"
"""The one file of `elbolab` that knows rooms and Lightning: it builds what runs left again."""

WITHOUT_LIGHTNING = [
    ROOT / "cli.py",
    *sorted({*ROOT.glob("elbolab/*.py")} - {PYTHON_FACE}),
    *ROOT.glob("tasks/**/*.py"),
    *ROOT.glob("lightning_modules/functional/*.py"),
    *ROOT.glob("lightning_modules/nets/*.py"),
]
LONGEST = 300
ONE_CONTRACT = {
    "main": "entry point of a program",
    "run": "what a task's experiment does, and the command line's entry",
}
"""Names that several files define for the same thing, and what it is."""


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path):
    return ast.parse(path.read_text())


MODULES = {name_of(path): path for path in SOURCES}


def imported(path):
    """Names of what a file imports, wherever in it: modules, and names that may be modules."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path):
    """Modules of ours that a file needs: of ``from package import module`` the module alone."""
    names = set(imported(path)) & MODULES.keys()
    packages = {name.rpartition(".")[0] for name in names}
    return names - packages | {
        name for name in names & packages if defines_more_than_modules(path, name)
    }


def defines_more_than_modules(path, package):
    """Whether a file takes from a package something that is no module of it."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == package
        and any(f"{package}.{alias.name}" not in MODULES for alias in node.names)
        for node in ast.walk(parsed(path))
    )


def test_no_import_circle_even_within_functions_and_for_type_checkers():
    graph = {name: own_imports(path) - {name} for name, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("path", WITHOUT_LIGHTNING, ids=lambda p: str(p.relative_to(ROOT)))
def test_mathematics_tasks_and_shared_code_know_no_lightning(path):
    packages = {name.split(".")[0] for name in imported(path)}
    assert not packages & {"pytorch_lightning", "lightning_fabric", "lightning_utilities"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_in_one_direction(room):
    for path in {*(ROOT / room).rglob("*.py")} - {PYTHON_FACE}:
        others = {name.split(".")[0] for name in imported(path)} & MAY_IMPORT.keys() - {room}
        assert others <= MAY_IMPORT[room] | {"elbolab"}, path


def test_only_runs_in_python_wait_for_the_python_face():
    importers = {str(p.relative_to(ROOT)) for p in SOURCES if "elbolab.loading" in imported(p)}
    assert importers == {"elbolab/run.py"}


def test_no_task_knows_another():
    tasks = {path.parent.name for path in (ROOT / "tasks").glob("*/task.py")}
    for task, other in combinations(sorted(tasks), 2):
        for one, two in ((task, other), (other, task)):
            for path in (ROOT / "tasks" / one).rglob("*.py"):
                strangers = [n for n in imported(path) if n.startswith(f"tasks.{two}.")]
                assert not strangers, path


def test_no_file_needs_a_table_of_contents():
    paths = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    long = {str(p.relative_to(ROOT)): n for p in paths if (n := lines(p)) > LONGEST}
    assert not long


def lines(path):
    return len(path.read_text().splitlines())


def definitions(path):
    """Classes, functions and type aliases at the top of a file; constants belong to their file."""
    for node in parsed(path).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            yield from (name for name in names if not name.isupper())


def test_a_name_means_one_thing():
    homes = defaultdict(list)
    for path in SOURCES:
        for name in set(definitions(path)):
            if not name.startswith("_") and name not in ONE_CONTRACT:
                homes[name].append(str(path.relative_to(ROOT)))
    assert not {name: paths for name, paths in homes.items() if len(paths) > 1}


def test_help_waits_neither_for_torch_nor_for_lightning():
    program = "import sys, cli; cli.main([]); assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
