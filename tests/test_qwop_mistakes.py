"""What is wrong for ``task qwop``: one line, exit code 2, and nothing is left behind."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

import cli
from tasks.qwop.options import GeneticAlgorithm, Optimiser
from tasks.qwop.simulator import simulate

COLUMNS = ["segment,hip,knee", *(f"{n},0.5,-0.5" for n in range(1, 21))]


def table(*changed, header=COLUMNS[0]):
    """A plan as this project writes it, with some lines (line, text) changed."""
    lines = [header, *COLUMNS[1:]]
    for line, text in changed:
        lines[line - 1] = text
    return "\n".join(lines).encode() + b"\n"


OPTIONS = [
    (["--budget", "0"], "budget must be at least 1, got 0"),
    (["--budget", "-5"], "budget must be at least 1, got -5"),
    (["--budget", "1.5"], "budget must be int, got 1.5"),
    (["--budget", ".nan"], "budget must be int, got nan"),
    (["--budget", ".inf"], "budget must be int, got inf"),
    (["--budget", "many"], "budget must be int, got many"),
    (["--budget", "true"], "budget must be int, got"),
    (["--budget", "null"], "budget must be int, got None"),
    (["--budget", "[1]"], "budget must be int, got [1]"),
    (["--budget"], "--budget needs a value"),
    (["--budgets", "3"], "unknown option --budgets. Did you mean '--budget'?"),
    (["--seeds", "0"], "seeds must be at least 1"),
    (["--seeds", "1000000000000"], "seeds must be at most 100000"),
    (["--patience", "-1"], "patience must be at least 1"),
    (["--patience", ".inf"], "patience must be int"),
    (["--chunk", "0"], "chunk must be at least 1"),
    (["--optimiser", "[]"], "optimiser must name at least one"),
    (["--optimiser", "CMA"], "Did you mean 'CMAES'?"),
    (["--optimiser", "3"], "optimiser must be the name of a class, got 3"),
    (["--optimiser", "null"], "optimiser"),
    (["--optimiser", "os.system"], "os.system"),
    (["--optimiser", "tasks.qwop.nowhere.Mine"], "tasks.qwop.nowhere"),
    (["--optimiser", "[CMAES, Nope]"], "Nope"),
    (["--optimiser", "[CMAES, 3]"], "optimiser"),
    (["--optimiser", "tasks.qwop.options.Optimiser"], "Optimiser has no method search"),
    (["--optimiser.population", "0"], "population must be at least 1"),
    (["--optimiser.population", "1000000000000"], "population must be at most 100000"),
    (["--optimiser.population"], "--optimiser.population needs a value"),
    (["--optimiser.mutation", "1.5"], "mutation must be in [0, 1], got 1.5"),
    (["--optimiser.mutation", ".nan"], "mutation must be"),
    (["--optimiser.mutation", ".inf"], "mutation must be"),
    (["--optimiser.crossover=-0.1"], "crossover must be in [0, 1], got -0.1"),
    (["--optimiser.replacement=-.inf"], "replacement must be"),
    (["--optimiser.step", "1"], "GeneticAlgorithm has no option 'step'"),
    (["--optimiser", "CMAES", "--optimiser.mutation=0.1"], "CMAES has no option 'mutation'"),
    (["--optimiser", "CMAES", "--optimiser.population=1"], "population must be at least 2"),
    (["--optimiser", "CMAES", "--optimiser.sigma=0"], "sigma must be above 0"),
    (["--optimiser", "CMAES", "--optimiser.sigma=.inf"], "sigma must be"),
    (
        ["--optimiser", "CMAES", "--optimiser.restart_growth=10"],
        "restart_growth must be in [1, 10)",
    ),
    (["--optimiser", "CoordinateSearch", "--optimiser.step=0"], "step must be in (0, 2], got 0"),
    (["--optimiser", "CoordinateSearch", "--optimiser.restart=3"], "restart must be bool"),
    (["--optimiser", "[CMAES, RandomSearch]", "--optimiser.population=0"], "population must be"),
    (["--executor", "ray"], "executor must be one of 'local', 'dask', got ray"),
    (["--executor", "dask"], "executor dask needs --scheduler ADDRESS"),
    (["--scheduler", "tcp://a:1"], "scheduler has no meaning with executor local"),
    (["--executor", "dask", "--scheduler", "nonsense://a"], "no Dask scheduler answers at"),
    (["--executor", "dask", "--scheduler", "tcp://127.0.0.1:99999"], "no Dask scheduler answers"),
    (["--executor", "dask", "--scheduler", "tcp://"], "no Dask scheduler answers"),
    (["--executor", "dask", "--scheduler", "a b"], "no Dask scheduler answers"),
    (["--plan", "best", "--resume", "out"], "resume has no meaning with a plan"),
    (["--plan", "none.csv"], "cannot read none.csv: No such file or directory"),
    (["--plan", ""], "cannot read"),
    (["--plan", "."], "cannot read .: Is a directory"),
    (["--plan", "a\0b"], r"cannot read 'a\x00b': no file can be called that"),
    (["--plan", "a" * 300], "File name too long"),
    (["--resume", "nowhere"], "cannot resume from nowhere/checkpoints/search.npz: No such file"),
    (["--resume", ""], "cannot resume from checkpoints/search.npz: No such file"),
    (["--resume", "a\0b"], "cannot resume from a"),
    (["--resume", "a" * 300], "File name too long"),
]
PLANS = {
    "empty": (b"", "holds 0 numbers, and a plan is 40"),
    "few": (b"1,2,3\n", "holds 3 numbers, and a plan is 40"),
    "many": (b"0 " * 41, "holds 41 numbers, and a plan is 40"),
    "words": (b"run," * 39 + b"run\n", "has no column 'hip'"),
    "one word": (b"0\n" * 30 + b"run\n" + b"0\n" * 9, "line 31 holds 'run'"),
    "nan": (b"0," * 39 + b"nan\n", "line 1 holds 'nan'"),
    "infinity": (b"0\n0\ninf\n" + b"0\n" * 37, "line 3 holds 'inf'"),
    "beyond range": (b"0 " * 39 + b"1e999", "line 1 holds '1e999'"),
    "complex": (b"0 " * 39 + b"1j", "line 1 holds '1j'"),
    "underscore": (b"0 " * 39 + b"1_0", "line 1 holds '1_0'"),
    "digits of thousands": (b"0 " * 39 + b"x" * 5000, "line 1 holds 'xxxx"),
    "latin-1": (b"hip,knee\n\xe9,0\n", "line 2, is no text in UTF-8"),
    "utf-16": (("0 " * 40).encode("utf-16"), "is in UTF-16"),
    "zero byte": (b"0 " * 39 + b"\0", "has a zero byte"),
    "decimal commas": (b"0,5;0,5\n" * 20, "holds 80 numbers"),
    "out of order": (table((5, "5,0,0"), (6, "4,0,0")), "line 5, column segment must be 4, got 5"),
    "segment twice": (table((3, "1,0,0")), "line 3, column segment must be 2, got 1"),
    "from zero": (table((2, "0,0,0")), "line 2, column segment must be 1, got 0"),
    "half a segment": (table((3, "1.5,0,0")), "line 3, column segment must be a whole number"),
    "segment without number": (table((3, ",0,0")), "line 3, column segment must be a whole"),
    "column missing": (table(header="segment,hip,ankle"), "has no column 'knee'"),
    "column misspelt": (table(header="segment,hip,kne"), "has no column 'knee'. Is 'kne' meant?"),
    "column twice": (table(header="hip,hip,knee"), "has two columns 'hip'"),
    "of several": (table(header="segment,CMAES_hip,CMAES_knee"), "has no column 'hip'"),
    "row longer": (table((4, "3,0,0,0")), "line 4 has 4 cells where the header has 3"),
    "row shorter": (table((4, "3,0")), "line 4 has 2 cells where the header has 3"),
    "nan in a column": (table((4, "3,nan,0")), "line 4, column hip must be a finite number"),
    "nothing in a column": (table((4, "3,0,")), "line 4, column knee must be a finite number"),
    "text in a column": (table((4, "3,0,far")), "column knee must be a finite number, got 'far'"),
    "segment missing": (b"\n".join(table().splitlines()[:-1]), "has 19 segments, and a plan is 20"),
    "segment too many": (table() + b"21,0,0\n", "has 21 segments, and a plan is 20"),
    "header alone": (b"hip,knee\n", "has 0 segments, and a plan is 20"),
    "broken quotes": (table((4, '3,"0,0')), "is no row of a CSV"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0", "has a zero byte"),
}


def archive(settings=None, **arrays):
    """A checkpoint with the settings of the default search and what was told."""
    buffer = io.BytesIO()
    own = {"class": "GeneticAlgorithm", **vars(GeneticAlgorithm()), "seed": 0}
    text = json.dumps({"GeneticAlgorithm.0": own}) if settings is None else settings
    np.savez(
        buffer, settings=np.array(text), **{k.replace("_0", ".0"): v for k, v in arrays.items()}
    )
    return buffer.getvalue()


def told(value):
    return archive(GeneticAlgorithm_0=value)


GOOD, ONE = told(np.ones(50)), np.ones(1).tobytes()
OTHER = '{"GeneticAlgorithm.0": {"class": "CMAES"}}'
DAMAGED = {
    "empty": (b"", "No data left in file"),
    "text": (b"no archive", "cannot resume from"),
    "cut": (GOOD[: len(GOOD) // 2], "cannot resume from"),
    "end missing": (GOOD[:-1], "cannot resume from"),
    "a bit turned": (
        GOOD.replace(np.ones(1).tobytes() * 9, np.ones(1).tobytes() * 8 + b"\1" * 8, 1),
        "CRC",
    ),
    "one array": (lambda b: (np.save(b, np.ones(3)), b.getvalue())[1], "cannot resume from"),
    "without settings": (lambda b: (np.savez(b, x=np.ones(3)), b.getvalue())[1], "settings"),
    "settings no JSON": (archive("{"), "cannot resume from"),
    "settings a list": (archive("[1]"), "cannot resume from"),
    "settings a number": (archive("3"), "cannot resume from"),
    "search missing": (archive(), "GeneticAlgorithm.0"),
    "two dimensions": (told(np.ones((5, 10))), "it does not hold distances"),
    "no dimension": (told(np.array(1.0)), "it does not hold distances"),
    "whole numbers": (told(np.ones(50, int)), "it does not hold distances"),
    "complex": (told(np.ones(50, complex)), "it does not hold distances"),
    "texts": (told(np.array(["1"] * 50)), "it does not hold distances"),
    "nan": (told(np.full(50, np.nan)), "it does not hold distances"),
    "infinity": (told(np.full(50, np.inf)), "it does not hold distances"),
    "objects": (told(np.array([{}, None], object)), "cannot resume from"),
    "other distances": (GOOD, "its distances are not those of this simulator"),
    "other settings": (
        archive('{"GeneticAlgorithm.0": {"class": "CMAES"}}', GeneticAlgorithm_0=np.ones(50)),
        "it ran with",
    ),
}


def refused(capsys, *options):
    assert cli.main(["task", "qwop", *options, "--run_dir", "out"]) == 2
    said = capsys.readouterr().err.splitlines()
    (error,) = [line for line in said if line.startswith("error: ")]
    assert not [line for line in said if line.startswith("Traceback")]
    assert len(error) < 400
    assert not Path("out").exists()
    return error


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_options(options, message, capsys, run_task):
    assert message in refused(capsys, *options)
    assert not [path for path in run_task.path.iterdir() if path.name != "cache"]


@pytest.mark.parametrize("name", PLANS)
def test_plan_files(name, capsys, run_task):
    content, message = PLANS[name]
    Path("plan.csv").write_bytes(content)
    error = refused(capsys, "--plan", "plan.csv")
    assert error.startswith("error: plan.csv")
    assert message in error
    assert Path("plan.csv").read_bytes() == content


@pytest.mark.parametrize("name", DAMAGED)
def test_checkpoints_that_cannot_be_resumed_from(name, capsys, run_task):
    content, message = DAMAGED[name]
    path = Path("old/checkpoints/search.npz")
    path.parent.mkdir(parents=True)
    content = content(io.BytesIO()) if callable(content) else content
    path.write_bytes(content)
    error = refused(capsys, "--resume", "old", "--budget", "100")
    assert error.startswith("error: cannot resume")
    assert message in error
    assert path.read_bytes() == content


def test_plans_that_are_right_are_read(run_task, monkeypatch):
    monkeypatch.setattr("tasks.qwop.experiment.gait_gif", lambda points: b"")
    rows = table().decode()
    numbers = " ".join(["0.5 -0.5"] * 20)
    for content in (
        rows,
        rows.replace(",", ";"),
        "\ufeff" + rows,
        rows.replace("\n", "\r\n"),
        numbers,
    ):
        Path("plan.csv").write_text(content, newline="")
        _, metrics = run_task("qwop", "--plan", "plan.csv")
        assert metrics["distance"] == simulate([0.5, -0.5] * 20)


class Ragged(Optimiser):
    """An optimiser of one's own that asks for plans that are none."""

    def __init__(self, kind: str = "short"):
        self.kind = kind

    def search(self, noise):
        wrong = {
            "short": np.zeros((3, 39)),
            "flat": np.zeros(40),
            "nan": np.full((2, 40), np.nan),
            "text": [["a"] * 40],
            "none": None,
            "empty": np.zeros((0, 40)),
        }
        yield wrong[self.kind]


@pytest.mark.parametrize("kind", ["short", "flat", "nan", "text", "none", "empty"])
def test_an_optimiser_that_asks_for_no_plans(kind, capsys, run_task):
    name = f"{__name__}.Ragged"
    error = refused(capsys, f"--optimiser={name}", f"--optimiser.kind={kind}")
    assert "optimiser Ragged asked for" in error
