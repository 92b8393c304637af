"""Match files that are none: one line names file and place, exit code 2, nothing is written."""

import json
from pathlib import Path

import pytest

import tasks.trueskill.experiment  # noqa: F401  here, as matplotlib writes a cache when imported

HEADER = "date,team1,team2,goals1,goals2"
FIRST = "2020-01-01,A,B,1,0"
DIGITS = "9" * 5000


def table(*rows, header=HEADER):
    return "\n".join([header, *rows]) + "\n"


LATIN = table("2020-01-01,Björn,B,1,0").encode("latin-1")


def season(**fields):
    match = {"date": "2020-01-01", "team1": "A", "team2": "B", "score": {"ft": [1, 0]}}
    return json.dumps({"matches": [match | fields]})


def extra(*cells, kind="extra"):
    return table(f"2020-01-01,A,B,{','.join(map(str, cells))}", header=f"{HEADER},{kind}1,{kind}2")


WHOLE = "must be a whole number from 0 to 999, got"
PAIR = "score 'ft' must be two whole numbers from 0 to 999, got"
FILES = {
    "twice.csv": (table("2020-01-01,A,B,1,0,3", header=f"{HEADER},goals1"), "two columns 'goals1'"),
    "long.csv": (table(FIRST, f"{FIRST},9"), "line 3 has 6 cells where the header has 5"),
    "short.csv": (table(FIRST, "2020-01-02,A,B"), "line 3 has 3 cells where the header has 5"),
    "zero.csv": (table(FIRST, "\0"), "line 3, has a zero byte"),
    "latin.csv": (
        table(FIRST.replace("A", "Bjö")).encode("latin-1"),
        "line 2, is no text in UTF-8",
    ),
    "utf16.csv": (table(FIRST).encode("utf-16"), "is in UTF-16 or UTF-32"),
    "utf32.csv": (table(FIRST).encode("utf-32"), "is in UTF-16 or UTF-32"),
    "empty.csv": ("", "empty.csv is empty: its first line must name date, team1, team2"),
    "blank.csv": ("\n \n", "blank.csv is empty"),
    "header.csv": (table(), "header has no match to rate: 0 in all"),
    "semicolons.csv": (table(FIRST).replace(",", ";"), "parted by semicolons: save it with commas"),
    "slip.csv": (table(FIRST, header=HEADER.replace("goals1", "goal1")), "Is 'goal1' meant?"),
    "optional.csv": (
        extra(1, 0, 2, 0, kind="extra_"),
        "column 'extra_1': is 'extra1' meant?",
    ),
    "quote.csv": (table('2020-01-01,"A,B,1,0'), "line 2 is no row of a CSV"),
    "negative.csv": (table("2020-01-01,A,B,-1,0"), f"line 2, column goals1 {WHOLE} '-1'"),
    "fraction.csv": (table("2020-01-01,A,B,1.5,0"), f"column goals1 {WHOLE} '1.5'"),
    "nan.csv": (table("2020-01-01,A,B,0,nan"), f"column goals2 {WHOLE} 'nan'"),
    "huge.csv": (table("2020-01-01,A,B,1e300,0"), f"column goals1 {WHOLE} '1e300'"),
    "digits.csv": (table(f"2020-01-01,A,B,{DIGITS},0"), f"column goals1 {WHOLE} '9999"),
    "arabic.csv": (table("2020-01-01,A,B,٣,0"), f"column goals1 {WHOLE} '٣'"),
    "half.csv": (table("2020-01-01,A,B,1,"), f"line 2, column goals2 {WHOLE} ''"),
    "no_team.csv": (table("2020-01-01,A,,1,1"), "line 2, column team2 is empty"),
    "february.csv": (table("2020-02-30,A,B,1,0"), "the date '2020-02-30': write it as YYYY-MM-DD"),
    "basic.csv": (table("20200101,A,B,1,0"), "the date '20200101'"),
    "week.csv": (table("2020-W01-1,A,B,1,0"), "the date '2020-W01-1'"),
    "slashes.csv": (table("01/02/2020,A,B,1,0"), "the date '01/02/2020'"),
    "no_date.csv": (table(",A,B,1,0"), "line 2, column date is empty"),
    "itself.csv": (table("2020-01-01,A, A ,1,0"), "line 2: A plays itself on 2020-01-01"),
    "name.csv": (table(f"2020-01-01,{'A' * 5000},B,1,0"), "has more than 100 letters"),
    "escape.csv": (table("2020-01-01,A\x1b[31m,B,1,0"), r"'A\x1b[31m' has a control character"),
    "noon.csv": (
        table(f"{FIRST},noon", header=f"{HEADER},time"),
        "the time 'noon' must begin",
    ),
    "late.csv": (table(f"{FIRST},24:00", header=f"{HEADER},time"), "the time '24:00'"),
    "fewer.csv": (extra(2, 0, 1, 0), "fewer goals after extra time than after 90 minutes"),
    "level.csv": (extra(0, 0, 4, 4, kind="penalties"), "a shoot-out cannot end level"),
    "only.csv": (extra("", "", 1, 0), "extra time or penalties without the goals of 90 minutes"),
    "drawn.csv": (table("2020-01-01,A,B,0,0"), "no match to rate: 1 in all, 0 without a score"),
    "unplayed.csv": (table("2020-01-01,A,B,,"), "no match to rate: 1 in all, 1 without a score"),
    "empty.json": ("", "empty.json, line 1, column 1, is no JSON"),
    "cut.json": (season()[:-5], "is no JSON: Expecting ',' delimiter"),
    "page.json": ("<html></html>", "line 1, column 1, is no JSON"),
    "utf16.json": (season().encode("utf-16"), "is in UTF-16 or UTF-32"),
    "latin.json": (season(team1="_").replace("_", "ö").encode("latin-1"), "is no text in UTF-8"),
    "zero.json": (b"{\x00}", "line 1, has a zero byte"),
    "object.json": ("{}", "object.json has no list 'matches'"),
    "list.json": ("[]", "list.json has no list 'matches'"),
    "number.json": ("3", "has no list 'matches'"),
    "none.json": ("null", "has no list 'matches'"),
    "text.json": ('{"matches": "all"}', "has no list 'matches'"),
    "nothing.json": ('{"matches": []}', "nothing has no match to rate"),
    "entries.json": ('{"matches": [3]}', "match 1: 'date' must be text, got None"),
    "deep.json": ("[" * 100_000, "more than 64 lists and objects within each other"),
    "shallow.json": (season(score={"ft": json.loads("[" * 70 + "]" * 70)}), "more than 64 lists"),
    "key.json": ('{"matches": [], "matches": []}', "the key 'matches' twice in one object"),
    "score.json": (season().replace('"ft"', '"ft": [0, 1], "ft"'), "the key 'ft' twice"),
    "infinite.json": (season().replace("[1", "[Infinity"), "the number Infinity, which is out of"),
    "beyond.json": (season().replace("[1", "[1e999"), "the number 1e999, which is out of range"),
    "digits.json": (season().replace("[1", f"[{DIGITS}"), "the number 9999"),
    "large.json": (season(score={"ft": [10**300, 0]}), f"match 1: {PAIR} [1000"),
    "minus.json": (season(score={"ft": [-1, 0]}), f"{PAIR} [-1, 0]"),
    "float.json": (season(score={"ft": [1.0, 0]}), f"{PAIR} [1.0, 0]"),
    "truth.json": (season(score={"ft": [True, False]}), f"{PAIR} [True, False]"),
    "three.json": (season(score={"ft": [1, 2, 3]}), f"{PAIR} [1, 2, 3]"),
    "nested.json": (season(score={"ft": [[1], [0]]}), f"{PAIR} [[1], [0]]"),
    "string.json": (season(score="1-0"), f"{PAIR} '1-0'"),
    "yes.json": (season(score=True), f"{PAIR} True"),
    "day.json": (season(date=20200101), "'date' must be text, got 20200101"),
    "month.json": (season(date="2020-13-01"), "match 1: match A – B has the date '2020-13-01'"),
    "team.json": (season(team1=3), "'team1' must be text, got 3"),
    "null.json": (season(team2=None), "'team2' must be text, got None"),
    "spaces.json": (season(team1="  "), "'team1' must be text, got '  '"),
    "inner.json": (season(team1={"name": "A"}), "'team1' must be text, got {'name': 'A'}"),
    "surrogate.json": (season(team1="\ud800"), r"'\ud800' has a control character"),
    "lines.json": (season(team1="A\nB", team2="A B"), "match 1: A B plays itself"),
    "time.json": (season(time=5), "'time' must be text, got 5"),
    "hour.json": (season(time="25:00"), "the time '25:00' must begin with HH:MM"),
    "notes.txt": ("", "notes.txt is neither .json (openfootball's) nor .csv"),
}

PLACES = {
    "absent.csv": "cannot read absent.csv: No such file or directory",
    "absent": "no file or season 'absent'",
    "folder.csv": "cannot read folder.csv: Is a directory",
    "folder": "folder is neither .json",
    "loop.csv": "cannot read loop.csv: Too many levels of symbolic links",
    "folder.csv/a.csv": "cannot read folder.csv/a.csv: No such file",
    "": "no file or season ''",
    "n" * 300: "no file or season 'nnnn",
    f"{'n' * 300}.csv": "nnn…: File name too long",
    "a\0b": r"no file or season 'a\x00b'",
    "a\0b.csv": r"cannot read 'a\x00b.csv': no file can be called that",
    "two\nlines": r"no file or season 'two\nlines'",
    "two\nlines.json": r"cannot read two\nlines.json: No such file",
    "https://x/y.json": "'https://x/y.json' is an address: download the file and name it",
    "serie-a-2018-20": "Did you mean 'serie-a-2018-19'?",
    "serie-a-1899-00": "no file or season 'serie-a-1899-00'",
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_match_files(name, run_task):
    content, message = FILES[name]
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert message in run_task.refused("trueskill", "--matches", name)


@pytest.mark.parametrize(("name", "message"), PLACES.items(), ids=range(len(PLACES)))
def test_places_where_no_match_file_is(name, message, run_task):
    Path("folder").mkdir()
    Path("folder.csv").mkdir()
    Path("loop.csv").symlink_to("loop.csv")
    assert message in run_task.refused("trueskill", "--matches", name)


def test_a_run_directory_that_is_taken_stays_as_it_is(run_task):
    Path("out").mkdir()
    Path("out/results.csv").write_text("mine")
    assert "run directory out exists" in run_task.refused("trueskill")
    assert Path("out/results.csv").read_text() == "mine"
