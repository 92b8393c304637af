"""Wrong games and options of ``task game``: one line each, exit code 2, nothing left behind."""

import json
from pathlib import Path

import pytest

import cli

DEEP = "[" * 5000 + "]" * 5000

CSV_FILES = {
    "word": ("1,two\n", ", line 1, column 2: must be a number, got 'two'"),
    "header": ("rock,paper\n1,2\n", ", line 1, column 1: must be a number, got 'rock'"),
    "truth": ("True,False\n", ", line 1, column 1: must be a number, got 'True'"),
    "ragged": ("1,2\n\n3\n", ", line 3: payoffs must be as many in every row, got 1 after 2"),
    "longer": ("1,2\n3,4,5\n", ", line 2: payoffs must be as many in every row, got 3 after 2"),
    "gap": ("1,2\n3,\n", ", line 2, column 2: must be a number, got ''"),
    "commas": (",\n,\n", ", line 1, column 1: must be a number, got ''"),
    "semicolons": ("1;2\n3;4\n", ", line 1, column 1: must be a number, got '1;2'"),
    "complex": ("1,2j\n", ", line 1, column 2: must be a number, got '2j'"),
    "underscore": ("1_0,2\n", ", line 1, column 1: must be a number, got '1_0'"),
    "empty": ("", "matrix of at least one number"),
    "blank": ("\n \n\n", "matrix of at least one number"),
    "nan": ("1,nan\n", ", line 1, column 2: must be finite, got nan"),
    "infinite": ("1,2\n-inf,0\n", ", line 2, column 1: must be finite, got -inf"),
    "overflow": ("1,1e400\n", ", line 1, column 2: must be finite, got inf"),
    "digits": ("1," + "9" * 5000 + "\n", ", line 1, column 2: must be finite, got inf"),
    "huge": ("1,1e300\n", ", line 1, column 2: must lie in ±1e+100, got 1e+300"),
    "tiny": ("1e-320,0\n0,1e-320\n", "payoffs must differ by 1e-100 at least, or not at all"),
    "long": ("1," + "x" * 200_000 + "\n", ", line 1: field larger than field limit"),
    "latin": ("1,é\n".encode("latin-1"), ", line 1, is no text in UTF-8 (byte 0xe9)"),
    "utf16": ("1,2\n".encode("utf-16"), " is in UTF-16"),
    "zero": (b"1,2\n3,\x00\n", ", line 2, has a zero byte"),
}

JSON_FILES = {
    "broken": ("[", ", line 1, column 2, is no JSON"),
    "nothing": ("", ", line 1, column 1, is no JSON"),
    "key": ({"payoff": [[1]]}, "Did you mean 'payoffs'?"),
    "twice": ('{"payoffs": [[1]], "payoffs": [[2]]}', "has the key 'payoffs' twice"),
    "keyless": ({"rows": ["a"]}, "payoffs must be a list of rows"),
    "number": ("3", "payoffs must be a list of rows"),
    "null": ("null", "payoffs must be a list of rows"),
    "text": ('"1,2"', "payoffs must be a list of rows"),
    "one_row": ([1, 2, 3], "payoffs must be a list of rows"),
    "empty_list": ([], "matrix of at least one number"),
    "empty_row": ([[]], "matrix of at least one number"),
    "words": ([["a", "b"], ["c", "d"]], ", row 1, column 1: must be a number, got 'a'"),
    "digits_in_words": ([["1", "2"]], ", row 1, column 1: must be a number, got '1'"),
    "truths": ([[True, False], [False, True]], ", row 1, column 1: must be a number, got 'True'"),
    "nulls": ([[1, None]], ", row 1, column 2: must be a number, got 'None'"),
    "cube": ([[[1]]], ", row 1, column 1: must be a number, got '[1]'"),
    "ragged_list": ([[1, 2], [3]], ", row 2: payoffs must be as many in every row"),
    "mixed": ([[1], 2], "payoffs must be a list of rows"),
    "nan_word": ("[[NaN]]", "has the number NaN, which is out of range"),
    "infinity": ("[[1, -Infinity]]", "has the number -Infinity, which is out of range"),
    "out_of_range": ("[[1e400]]", "has the number 1e400, which is out of range"),
    "many_digits": ("[[" + "7" * 5000 + "]]", "which is out of range"),
    "large": ("[[1e300]]", ", row 1, column 1: must lie in ±1e+100"),
    "deep": (DEEP, "lists and objects within each other"),
    "too_many_names": ({"payoffs": [[1]], "rows": ["a", "b"]}, "rows must name 1 actions, got 2"),
    "no_names": ({"payoffs": [[1]], "columns": []}, "columns must name 1 actions, got 0"),
    "word_of_names": ({"payoffs": [[1, 2]], "columns": "ab"}, "columns must be a list of names"),
    "number_names": ({"payoffs": [[1]], "rows": [1]}, "rows must be a list of names, got [1]"),
    "names_twice": ({"payoffs": [[1, 2]], "columns": ["a", "a"]}, "differ, 'a' stands twice"),
    "blank_name": ({"payoffs": [[1]], "rows": [" "]}, "rows must have names of letters"),
    "line_name": ({"payoffs": [[1]], "rows": ["a\nb"]}, r"rows must have names of letters"),
    "surrogate": ('{"payoffs": [[1]], "rows": ["\\ud800"]}', "rows must have names of letters"),
    "latin_json": ('{"payoffs": [[1]], "rows": ["é"]}'.encode("latin-1"), "no text in UTF-8"),
    "utf16_json": ("[[1]]".encode("utf-16"), "is in UTF-16"),
    "zero_json": (b"[[1]]\x00", "has a zero byte"),
}

FILES = {f"{name}.csv": case for name, case in CSV_FILES.items()} | {
    f"{name}.json": case for name, case in JSON_FILES.items()
}

RATE = "[{class_path: %s, init_args: {rate: %s}}]"
OPTIONS = [
    (["--payoffs", "rock-paper"], "Did you mean 'rock-paper-scissors'?"),
    (["--payoffs", "none.csv"], "cannot read none.csv: No such file"),
    (["--payoffs", "."], "no game '.'"),
    (["--payoffs", ""], "no game ''"),
    (["--payoffs", "folder.csv"], "cannot read folder.csv: Is a directory"),
    (["--payoffs", "game.xlsx"], "no game 'game.xlsx'. Give"),
    (["--payoffs", "n" * 300 + ".csv"], "File name too long"),
    (["--payoffs", "a\0b.csv"], "no file can be called that"),
    (["--steps", "0"], "steps must be in [1, 1e+07], got 0"),
    (["--steps", "-3"], "steps must be in [1, 1e+07], got -3"),
    (["--steps", "1000000000000"], "steps must be in [1, 1e+07], got 1000000000000"),
    (["--steps", "1.5"], "steps"),
    (["--start", "[[1, 0], [1, 0, 0]]"], "start of the row player must be 3 probabilities"),
    (["--start", "[[1, 0, 0], [1, 1, 0]]"], "start of the column player must be 3 probabilities"),
    (["--start", "[[2, -1, 0], [1, 0, 0]]"], "start of the row player must be 3 probabilities"),
    (["--start", "[[0, 0, 0], [1, 0, 0]]"], "start of the row player must be 3 probabilities"),
    (["--start", "[[], []]"], "start of the row player must be 3 probabilities"),
    (["--start", "[[.nan, 0, 1], [1, 0, 0]]"], "start"),
    (["--start", "[[.inf, 0, 1], [1, 0, 0]]"], "start"),
    (["--start", "[[1, 0, 0]]"], "start"),
    (["--dynamics", RATE % ("DescentAscent", "0")], "rate must be in (0, 1e+06], got 0"),
    (["--dynamics", RATE % ("Extragradient", "-1")], "rate must be in (0, 1e+06], got -1"),
    (["--dynamics", RATE % ("MultiplicativeWeights", ".nan")], "rate must be"),
    (["--dynamics", RATE % ("DescentAscent", ".inf")], "rate must be"),
    (["--dynamics", RATE % ("DescentAscent", "1e300")], "rate must be in (0, 1e+06], got 1e+300"),
    (["--dynamics", RATE % ("FictitiousPlay", "1")], "rate"),
    (["--dynamics", "[FictitousPlay]"], "FictitousPlay"),
    (["--dynamics", "[GradientDynamics]"], "GradientDynamics"),
    (["--seed", "-1"], "seed must be a whole number from 0"),
    (["--seed", "4294967296"], "seed must be a whole number from 0"),
]


def refused(options, capsys, task="game"):
    """The one line with which a command ends that leaves nothing behind."""
    assert cli.main(["task", task, *options, "--run_dir", "out"]) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    lines = [line for line in printed.err.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert len(lines[0]) < 600
    assert lines[0].isprintable()
    assert not Path("out").exists()
    assert not Path("runs").exists()
    return lines[0]


def write(path, content):
    """Writes bytes, text or what shall be JSON."""
    if not isinstance(content, bytes | str):
        content = json.dumps(content)
    Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", FILES)
def test_wrong_games_are_refused(run_task, name, capsys):
    content, message = FILES[name]
    write(name, content)
    line = refused(["--payoffs", name], capsys)
    assert name in line
    assert message in line


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_wrong_options_are_refused(run_task, options, message, capsys):
    Path("folder.csv").mkdir()
    assert message in refused(options, capsys)
