"""What people get wrong in options and files: one line, exit code 2, nothing left behind."""

from pathlib import Path

import numpy as np
import pytest

import cli
from elbolab.errors import UserError
from tasks.cavi.fitting import fit_in_memory
from tasks.cavi.model import EpicentreModel
from tasks.cavi.options import Constants
from tasks.cavi.readers import CsvEvents

HEADER = "id,lat,long,stations\n"
GOOD = "".join(f"{i},{-20 + i % 7},{180 - i % 5},{20 + i % 9}\n" for i in range(40))
"""Lines 2 to 41."""

COLUMNS = ("--position", "[long, lat]", "--strength", "stations")
FEW = ("--components", "2", "--restarts", "2")
DIGITS = "9" * 5000


def row(cells):
    return HEADER + GOOD + cells + "\n"


WRONG_FILES = {
    "column twice": (HEADER.replace("id", "lat") + GOOD, "has two columns 'lat'"),
    "count twice": (HEADER.replace("id", "stations") + GOOD, "has two columns 'stations'"),
    "unused column twice": ("id,id,lat,long,stations\n1,1,2,3,4\n", "has two columns 'id'"),
    "column missing": ("id,lat,stations\n1,2,3\n", "has no column 'long'. Columns: id, lat,"),
    "column misspelt": ("id,lat,lon,stations\n1,2,3,4\n", "has no column 'long'. Is 'lon' meant?"),
    "no header": (GOOD, "has no column 'long'"),
    "semicolons": (HEADER.replace(",", ";"), "parted by semicolons: save it with commas"),
    "tabs": (HEADER.replace(",", "\t"), "parted by tabs: save it with commas"),
    "row longer": (row("1,2,3,4,5"), "line 42 has 5 cells where the header has 4"),
    "row longer, first": (HEADER + "1,2,3,4,5\n" + GOOD, "line 2 has 5 cells"),
    "row shorter": (row("1,2,3"), "line 42 has 3 cells where the header has 4"),
    "one longer, one shorter": (row("1,2,3\n1,2,3,4,5"), "line 42 has 3 cells"),
    "unclosed quote": (row('1,"2,3,4') + GOOD, "line 42"),
    "text after a quote": (row('1,"2"x,3,4'), "line 42 is no row of a CSV"),
    "endless cell": (row("1," + "1" * 200_000 + ",3,4"), "line 42 is no row of a CSV"),
    "zero byte": (row("1,2\0,3,4"), "line 42, has a zero byte"),
    "zero byte alone": (row("1,\0,3,4"), "line 42, has a zero byte"),
    "zero byte in the header": (HEADER.replace("lat", "l\0t") + GOOD, "line 1, has a zero byte"),
    "zero bytes at the end": (HEADER + GOOD + "\0" * 99, "line 42, has a zero byte"),
    "empty": ("", "is empty: its first line must name long, lat, stations"),
    "empty line": ("\n", "is empty"),
    "header alone": (HEADER, "has no events"),
    "header without an end": (HEADER.strip(), "has no events"),
    "header and empty lines": (HEADER + "\n\n,,,\n", "has no events"),
    "position missing": (row("1,,3,4"), "line 42, column lat must be a finite number, got ''"),
    "position NaN": (row("1,nan,3,4"), "line 42, column lat must be a finite number, got 'nan'"),
    "position infinite": (row("1,2,-inf,4"), "column long must be a finite number, got '-inf'"),
    "position a word": (row("1,2,east,4"), "column long must be a finite number, got 'east'"),
    "position complex": (row("1,1+2j,3,4"), "column lat must be a finite number, got '1+2j'"),
    "position a truth value": (row("1,True,3,4"), "column lat must be a finite number"),
    "position a date": (row("1,2024-01-01,3,4"), "column lat must be a finite number"),
    "position hexadecimal": (row("1,0x10,3,4"), "column lat must be a finite number, got '0x10'"),
    "position with a mark": (row("1,1_0,3,4"), "column lat must be a finite number, got '1_0'"),
    "decimal comma": (row('1,"1,5",3,4'), "column lat must be a finite number, got '1,5'"),
    "position of 1e300": (row("1,1e300,3,4"), "column lat must be within ±1e+100, got '1e300'"),
    "position of -1e200": (row("1,2,-1e200,4"), "column long must be within ±1e+100"),
    "position of 5,000 digits": (row(f"1,{DIGITS},3,4"), "lat must be a finite number, got '999"),
    "count missing": (row("1,2,3,"), "line 42, column stations must be a finite number, got ''"),
    "count negative": (row("1,2,3,-4"), "line 42, column stations must be a count 0, 1, 2, …"),
    "count of a half": (row("1,2,3,4.5"), "up to 9007199254740992, got '4.5'"),
    "count NaN": (row("1,2,3,nan"), "column stations must be a finite number, got 'nan'"),
    "count infinite": (row("1,2,3,inf"), "column stations must be a finite number, got 'inf'"),
    "count of 1e300": (row("1,2,3,1e300"), "stations must be a count 0, 1, 2, …"),
    "count of 5,000 digits": (row(f"1,2,3,{DIGITS}"), "stations must be a finite number"),
    "Latin-1 in a row": (row("1,2,3,4").encode() + b"\xe9,2,3,4\n", "line 43, is no text in UTF-8"),
    "Latin-1 in the header": (b"\xe9," + row("1,2,3,4").encode(), "line 1, is no text in UTF-8"),
    "Latin-1 far down": ((HEADER + GOOD * 300).encode() + b"\xe9,2,3,4\n", "line 12002"),
    "UTF-16": ((HEADER + GOOD).encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": ((HEADER + GOOD).encode("utf-16-le"), "line 1, has a zero byte"),
    "UTF-32": ((HEADER + GOOD).encode("utf-32"), "UTF-16"),
    "bytes": (bytes(range(256)), "has a zero byte"),
    "too few events": (HEADER + "1,2,3,4\n", "2 components need as many events, and there are 1"),
}
"""Content, and what is said about it."""

SIMULATED = {
    "tau": ("0", "-1", ".nan", ".inf", "1e300", "1e-300", "abc", "[1]", "null", "true"),
    "rho": ("0", "-1", ".nan", "-.inf", "1e300", "1e-300", "abc"),
    "alpha": ("0", "-1", ".nan", ".inf", "1e300", "1e100", "abc"),
    "beta": ("0", "-1", ".nan", ".inf", "1e-300", "1e-100", "abc"),
    "concentration": ("0", "-1", ".nan", ".inf", "1e300", "abc"),
    "components": ("0", "-1", "[]", "[1, 0]", "1.5", ".nan", "abc", "null", "1000000000000"),
    "restarts": ("0", "-1", "1.5", ".nan", "[2]", "1000000000000", "9" * 40),
    "nu": ("[1]", "[1, 2, 3]", "[]", "[.nan, 0]", "[.inf, 0]", "[1e300, 0]", "abc"),
    "weights": (
        *("[0.5, 0.4]", "[0.5, 0.5]", "[.nan, 1]", "[.inf, 1]", "[]", "[-1, 2]", "[0, 1]"),
        *("[0.25, 0.25, 0.25, 0.15]", "abc", "0.5", "[a, b]"),
    ),
    "density": ("exponential", "1"),
    "trace": ("everything",),
    "position": ("[x]", "x"),
    "strength": ("s",),
    "assign": ("new.csv",),
    "data": ("",),
    "simulation.events": ("0", "-1", "1.5", ".nan", "1000000000000", "3"),
    "simulation.components": ("0", "-1", "1000000000000"),
    "simulation.dimensions": ("0", "-1", "1000000000000"),
    "simulation.event": ("3",),
    "algorithm": ("FulPass", "Algorithm", "1"),
    "algorithm.max_passes": ("0", "-1", "1.5", ".nan", "1" + "0" * 30),
    "algorithm.tolerance": ("0", "-1", ".nan", ".inf"),
    "component": ("3",),
}
"""Option → wrong values of it, where events are simulated."""

OF_ALGORITHMS = {
    ("Streaming", "chunk"): ("0", "-1", ".nan", "1" + "0" * 30),
    ("Stochastic", "epochs"): ("0", "1" + "0" * 30),
    ("Stochastic", "batch"): ("0", "1.5"),
    ("Stochastic", "buffer"): ("0", "1" + "0" * 30),
    ("Stochastic", "forgetting"): ("0.5", "1.1", ".nan", "-1"),
    ("Stochastic", "delay"): ("-1", ".nan", ".inf"),
    ("Stochastic", "max_passes"): ("3",),
}

OF_FILES = [
    ((), "position and strength must name columns"),
    (("--position", "[]", "--strength", "stations"), "position and strength must name columns"),
    (("--position", "[lat, lat]", "--strength", "stations"), "name a column twice"),
    (("--position", "[lat]", "--strength", "lat"), "name a column twice"),
    (("--position", "[long, latt]", "--strength", "stations"), "Is 'lat' meant?"),
    (("--position", "[long, lat]", "--strength", "station"), "Is 'stations' meant?"),
    (("--position", "[lat]", "--strength", "stations", "--density", "log-normal"), "got '-20'"),
    ((*COLUMNS, "--components", "41"), "41 components need as many events, and there are 40"),
    ((*COLUMNS, "--components", "[2, 1000]"), "1000 components need as many events"),
    ((*COLUMNS, "--nu", "[1]"), "nu must have 2 numbers, got [1.0]"),
    ((*COLUMNS, "--components", "2", "--weights", "[0.2, 0.3, 0.5]"), "for components 2, got"),
    ((*COLUMNS, "--assign", "none.csv"), "cannot read none.csv: No such file"),
    ((*COLUMNS, "--assign", "half.csv"), "half.csv, line 42, column stations must be a count"),
    ((*COLUMNS, "--assign", "header.csv"), "header.csv has no events"),
    ((*COLUMNS, "--assign", ""), "must name a file"),
    ((*COLUMNS, "--data", "none.csv"), "cannot read none.csv: No such file"),
    ((*COLUMNS, "--data", "."), "cannot read .: Is a directory"),
    ((*COLUMNS, "--data", "n" * 300), "File name too long"),
    ((*COLUMNS, "--data", "a\0b"), "no file can be called that"),
    ((*COLUMNS, "--data", "/dev/null"), "is a pipe"),
]


WRONG_OPTIONS = {
    f"{name} {value[:9]}": (f"--{name}", value)
    for name, values in SIMULATED.items()
    for value in values
} | {
    f"{algorithm} {name} {value[:9]}": ("--algorithm", algorithm, f"--algorithm.{name}", value)
    for (algorithm, name), values in OF_ALGORITHMS.items()
    for value in values
}


@pytest.fixture
def refused(run_task, capsys):
    """Runs the task, which must refuse; returns the one line that it says."""

    def files():
        return sorted(
            path for path in Path().iterdir() if path.name not in ("cache", "__pycache__")
        )

    def run(*options):
        before = files()
        assert cli.main(["task", "cavi", *options, "--run_dir", "out"]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("error: ")
        assert lines[0].isprintable()
        assert len(lines[0]) < 500
        assert files() == before
        return lines[0]

    return run


@pytest.mark.parametrize("options", WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_wrong_options_are_named(options, refused):
    line = refused("--simulation.events", "50", "--restarts", "2", *options)
    about = options[-2].rpartition(".")[2].lstrip("-")
    assert about in line


@pytest.mark.parametrize(("content", "message"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_wrong_files_are_named_with_the_place(content, message, refused):
    content = content if isinstance(content, bytes) else content.encode()
    Path("some.csv").write_bytes(content)
    line = refused("--data", "some.csv", *COLUMNS, *FEW)
    assert message in line
    assert "some.csv" in line or "components need" in line


@pytest.mark.parametrize("name", ["row longer", "count of a half", "zero byte", "unclosed quote"])
def test_wrong_rows_are_named_whatever_the_chunk(name, refused):
    content, message = WRONG_FILES[name]
    Path("some.csv").write_text(content)
    for chunk in ("1", "7", "1000"):
        streaming = ("--algorithm", "Streaming", "--algorithm.chunk", chunk)
        assert message in refused("--data", "some.csv", *COLUMNS, *FEW, *streaming)


@pytest.mark.parametrize(("options", "message"), OF_FILES, ids=[str(o)[:60] for o, _ in OF_FILES])
def test_options_that_do_not_fit_the_file_are_named(options, message, refused):
    Path("some.csv").write_text(HEADER + GOOD)
    Path("half.csv").write_text(row("1,2,3,4.5"))
    Path("header.csv").write_text(HEADER)
    assert message in refused("--data", "some.csv", *options)


def test_there_are_more_than_150_wrong_inputs():
    assert len(WRONG_OPTIONS) + len(WRONG_FILES) + len(OF_FILES) > 150


@pytest.mark.parametrize(
    "content",
    [
        pytest.param((HEADER + GOOD).replace("\n", "\r\n"), id="CRLF"),
        pytest.param((HEADER + GOOD).replace("\n", "\r"), id="CR"),
        pytest.param("\ufeff" + HEADER + GOOD, id="byte-order mark"),
        pytest.param((HEADER + GOOD).strip(), id="no end"),
        pytest.param(HEADER + GOOD.replace("\n", "\n\n \n,,,\n"), id="empty lines"),
        pytest.param(HEADER + GOOD.replace(",", " , "), id="spaces"),
        pytest.param(
            HEADER
            + "".join(f'"{a}","{b}",{c}\n' for a, b, c in (r.split(",", 2) for r in GOOD.split())),
            id="quotes",
        ),
        pytest.param(
            HEADER + "".join(f'"a, b",{r.split(",", 1)[1]}\n' for r in GOOD.split()), id="commas"
        ),
        pytest.param(
            HEADER + "".join(f'"a\nb",{r.split(",", 1)[1]}\n' for r in GOOD.split()), id="lines"
        ),
        pytest.param('"i\nd",lat,long,stations\n' + GOOD, id="header of two lines"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_unusual_but_right_files_are_read(content, chunk, tmp_path):
    path, plain = tmp_path / "some.csv", tmp_path / "plain.csv"
    path.write_bytes(content.encode())
    plain.write_text(HEADER + GOOD)
    columns = (["long", "lat"], "stations")
    chunks = list(CsvEvents(path, *columns).chunks(chunk))
    (wanted,) = CsvEvents(plain, *columns).chunks(64)
    assert max(map(len, chunks)) <= chunk
    np.testing.assert_array_equal(np.concatenate([c.x for c in chunks]), wanted.x)
    np.testing.assert_array_equal(np.concatenate([c.strengths for c in chunks]), wanted.strengths)


def test_constants_too_far_from_the_events_are_named():
    """Only arrays get there: files and options are held within what cannot overflow."""
    model = EpicentreModel(Constants(tau=1e40), np.zeros(1))
    x = np.array([[1e140], [-1e140], [0.0]])
    with np.errstate(over="ignore"), pytest.raises(UserError, match="overflows: choose less extr"):
        fit_in_memory(model, x, np.ones(3), 2)


@pytest.mark.parametrize("constant", ["tau", "rho", "alpha", "beta", "concentration"])
@pytest.mark.parametrize("value", ["1e-40", "1e40"])
def test_extreme_constants_that_are_taken_give_finite_figures(constant, value, run_task):
    ends = "".join(f"{i},{s}9e99,{i},{i * 10**14}\n" for i in range(9) for s in ("", "-"))
    Path("far.csv").write_text(HEADER + ends)
    learn = ("--weights", "learn", *FEW)
    _, metrics = run_task("cavi", "--data", "far.csv", *COLUMNS, *learn, f"--{constant}", value)
    assert None not in metrics.values()


def test_a_wrong_row_behind_cells_of_two_lines_has_its_own_number(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text(HEADER + '"a\nb",1,2,3\n' + GOOD + "1,2,3,x\n")
    for chunk in (1, 7, 64):
        with pytest.raises(UserError, match="line 44, column stations"):
            list(CsvEvents(path, ["lat"], "stations").chunks(chunk))


def test_an_algorithm_of_ones_own_is_registered_or_named(refused, run_task, monkeypatch):
    start = "from tasks.cavi.methods import Algorithm, Streaming\nclass Own(Algorithm):\n"
    body = "    def hold(self, source):\n        return source\n"
    Path("unregistered_ascent.py").write_text(start + body)
    registered = (
        "from tasks.cavi.fitting import ascend, fit_posterior\n"
        "@fit_posterior.register(Own)\n"
        "def own(options, problem, q, generator):\n"
        "    return ascend(Streaming(50, 3), problem, q)\n"
    )
    Path("registered_ascent.py").write_text(start + body + registered)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    _, metrics = run_task("cavi", *FEW, "--algorithm", "registered_ascent.Own")
    assert metrics["passes"] <= 3
    line = refused(*FEW, "--algorithm", "unregistered_ascent.Own")
    assert "algorithm Own must be registered with tasks.cavi.fitting.fit_posterior" in line
