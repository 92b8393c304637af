"""Plug-in tasks that are wrong: each is one line with exit code 2, and nothing is left behind."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import cli
from tasks.plugins import GROUP

START = """
import numpy as np
from elbolab.pictures import new_figure
from tasks.base import TaskResult

class Mine:
    "A task."
    def __init__(self, x: int = 1) -> None:
        self.x = x
    def run(self, context):
"""

IMPORTS = {
    "syntax": ("def (", "SyntaxError: invalid syntax (mine.py, line 1)"),
    "indentation": ("class Mine:\npass", "IndentationError"),
    "zero byte": ("x = 1\0", "cannot be imported"),
    "latin-1": ("x = 'é'".encode("latin-1"), "SyntaxError"),
    "exit": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "exit without code": ("raise SystemExit", "SystemExit"),
    "missing module": ("import no_such_package", "No module named 'no_such_package'"),
    "missing name": ("from math import no_such_name", "cannot import name 'no_such_name'"),
    "division": ("1 / 0", "ZeroDivisionError: division by zero"),
    "two lines": ("raise RuntimeError('one\\ntwo')", "RuntimeError: one two"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "empty": ("", "has no attribute 'Mine'"),
    "no class": ("Mine = 3", "is no class with a method 'run'"),
    "a function": ("def Mine(): pass", "is no class with a method 'run'"),
    "no run": ("class Mine: pass", "is no class with a method 'run'"),
    "run is no method": ("class Mine: run = 3", "is no class with a method 'run'"),
    "abstract": (
        "from abc import ABC, abstractmethod\nclass Mine(ABC):\n"
        " @abstractmethod\n def run(self, context): ...",
        "leaves out run",
    ),
    "run without context": (
        "class Mine:\n def __init__(self): pass\n def run(self): pass",
        "its run takes no context",
    ),
}
CONSTRUCTORS = {
    "untyped": ("x", "has a parameter 'x' without a type"),
    "untyped with default": ("x=3", "has a parameter 'x' without a type"),
    "untyped values": ("*x", "has a parameter 'x' without a type"),
    "seed": ("seed: int", "has a parameter 'seed', which is an option of every task: rename it"),
    "run_dir": ("run_dir: str", "has a parameter 'run_dir', which is an option of every task"),
    "config": ("config: str", "has a parameter 'config', which is an option of every task"),
    "help": ("help: str", "cannot have a command line"),
}
RESULTS = {
    "nothing": ("pass", "returned nothing, no TaskResult"),
    "a dict": ("return {'x': 1}", "returned a dict, no TaskResult"),
    "the class": ("return TaskResult", "returned a type, no TaskResult"),
    "complex": ("return TaskResult({'x': 1j})", "metric 'x' that is a complex: give one real"),
    "text": ("return TaskResult({'x': '1'})", "metric 'x' that is a str"),
    "none": ("return TaskResult({'x': None})", "metric 'x' that is nothing"),
    "an array": ("return TaskResult({'x': np.ones(2)})", "metric 'x' that is a ndarray"),
    "a list": ("return TaskResult({'x': [1.0]})", "metric 'x' that is a list"),
    "complex array": ("return TaskResult({'x': np.array(1j)})", "metric 'x' that is a ndarray"),
    "too large": ("return TaskResult({'x': 10**400})", "metric 'x' that is a int"),
    "metric without name": ("return TaskResult({'': 1})", "has a metric called ''"),
    "metric by number": ("return TaskResult({1: 1})", "has a metric called 1"),
    "metrics no dict": ("return TaskResult([1])", "metrics that are a list, no dict"),
    "tables no dict": ("return TaskResult({}, [1])", "tables that are a list, no dict"),
    "figures no dict": ("return TaskResult({}, {}, 3)", "figures that are a int, no dict"),
    "table no dict": ("return TaskResult({}, {'t': [1]})", "table 't' that is a list"),
    "text column": ("return TaskResult({}, {'t': {'a': 'bc'}})", "column 'a' is a str"),
    "number column": ("return TaskResult({}, {'t': {'a': 3}})", "column 'a' is a int"),
    "unequal": (
        "return TaskResult({}, {'good': {'a': [1]}, 't': {'a': [1, 2], 'b': [1]}})",
        "table 't' whose columns differ in length: a 2, b 1",
    ),
    "no figure": ("return TaskResult({}, {}, {'f': 3})", "figure 'f' that is a int"),
    "no memory": ("np.ones((10**6, 10**6, 10**3))", "needs more memory than there is (Unable to"),
    "no context": ("return TaskResult({'x': context.seeds})", None),
}
NAMES = (
    *("../../x", "..", ".", "", " ", "a/b", "/tmp/x", "a\\b", "a\0b", "a\nb", ".hidden", "~", "-x"),
    *("metrics", "config", "Provenance", "x" * 101, "a:b", "a*", 3, None),
)


@pytest.fixture
def plugin(tmp_path, monkeypatch, capsys):
    """Runs a task of a module written here; returns the exit code and what was said."""
    folder, work = tmp_path / "plugin", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(folder))
    entries = [EntryPoint("mine", "mine:Mine", GROUP)]
    monkeypatch.setattr("tasks.plugins.entry_points", lambda group: entries)

    def run(source, *typed):
        monkeypatch.delitem(sys.modules, "mine", raising=False)
        (folder / "mine.py").write_bytes(source if isinstance(source, bytes) else source.encode())
        code = cli.main(["task", *typed])
        return code, capsys.readouterr()

    return run


def refused(plugin, source, message):
    code, said = plugin(source, "mine")
    errors = [line for line in said.err.splitlines() if line.strip()]
    assert code == 2
    assert len(errors) == 1
    assert errors[0].startswith("error: task 'mine'")
    assert message in errors[0]
    assert len(errors[0]) < 400
    assert list(Path().iterdir()) == []
    assert not [path for path in Path("..").rglob("*") if path.suffix in (".csv", ".png", ".json")]


@pytest.mark.parametrize("name", IMPORTS)
def test_a_module_that_cannot_be_imported_or_has_no_task(plugin, name):
    source, message = IMPORTS[name]
    refused(plugin, source, message)


@pytest.mark.parametrize("name", IMPORTS)
def test_the_list_says_so_in_one_line_and_goes_on(plugin, name):
    code, said = plugin(IMPORTS[name][0])
    assert code == 0
    assert IMPORTS[name][1] in next(line for line in said.out.splitlines() if "mine" in line)
    assert "NAME --help" in said.out


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_constructor_that_makes_no_command_line(plugin, name):
    parameters, message = CONSTRUCTORS[name]
    source = f"class Mine:\n def __init__(self, {parameters}): pass\n def run(self, context): pass"
    refused(plugin, source, message)


@pytest.mark.parametrize("name", [name for name in RESULTS if RESULTS[name][1]])
def test_a_result_that_cannot_be_recorded(plugin, name):
    body, message = RESULTS[name]
    refused(plugin, f"{START}        {body}", message)


@pytest.mark.parametrize("kind", ["table", "figure"])
@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_that_is_a_path_or_another_file(plugin, name, kind):
    given = f"{{{name!r}: {{'a': [1]}}}}" if kind == "table" else f"{{{name!r}: new_figure(1, 1)}}"
    source = f"{START}        return TaskResult({{'x': 1}}, {kind}s={given})"
    refused(plugin, source, f"has a {kind} called")


def test_a_defect_of_a_task_keeps_its_traceback(plugin):
    with pytest.raises(AttributeError):
        plugin(f"{START}        {RESULTS['no context'][0]}", "mine")


def test_numbers_that_are_not_finite_are_recorded_as_null_and_said(plugin):
    code, said = plugin(f"{START}        return TaskResult({{'x': np.nan, 'y': True}})", "mine")
    assert code == 0
    assert "warning: mine/x is nan, recorded as null" in said.err
    assert '"mine/x": null,\n  "mine/y": 1.0' in Path("runs/mine/metrics.json").read_text()


def test_what_is_named_plainly_is_written(plugin):
    names = ["a", "A b", "x=1,y=2", "größe", "a.b", "7", "a-b_c+d (1)", "x" * 100]
    tables = {name: {"a": [1]} for name in names}
    code, _ = plugin(f"{START}        return TaskResult({{}}, {tables!r})", "mine")
    assert code == 0
    assert {path.stem for path in Path("runs/mine").glob("*.csv")} == set(names)
