"""Text files, tables and JSON that a person gives: one line names the file and the place."""

import os

import pytest

from elbolab.csv_tables import read_table, table_rows
from elbolab.errors import UserError
from elbolab.files import read_json, read_text, shown, text_lines

WRONG_BYTES = {
    "Latin-1": (b"name\nJos\xe9\n", ", line 2, is no text in UTF-8 (byte 0xe9): save the file"),
    "UTF-16": ("name\n".encode("utf-16"), " is in UTF-16 or UTF-32: save it as UTF-8."),
    "big-endian": ("\ufeffname\n".encode("utf-16-be"), " is in UTF-16"),
    "zero byte": (b"a,b\n\n1,\x00\n", ", line 3, has a zero byte"),
    "compressed": (b"\x1f\x8b\x08\x00", ", line 1, has a zero byte"),
    "cut letter": (b"ok\n\xc3", ", line 2, is no text in UTF-8"),
    "surrogate": (b"\xed\xa0\x80", ", line 1, is no text in UTF-8"),
}


def one_line(caught):
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 300
    return message


@pytest.mark.parametrize("read", [read_text, lambda path: list(text_lines(path))])
@pytest.mark.parametrize(("content", "message"), WRONG_BYTES.values(), ids=WRONG_BYTES)
def test_what_is_no_text_is_named_with_its_line(read, content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.txt").write_bytes(content)
    with pytest.raises(UserError) as caught:
        read("wrong.txt")
    assert one_line(caught).startswith(f"wrong.txt{message}")


@pytest.mark.parametrize("read", [read_text, lambda path: list(text_lines(path))])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.txt", "cannot read none.txt: No such file or directory."),
        (".", "cannot read .: Is a directory."),
        ("file/below", "cannot read file/below: Not a directory."),
        ("n" * 300, "cannot read nnn"),
        ("a\0b", r"cannot read 'a\x00b': no file can be called that."),
        ("two\nlines", r"cannot read two\nlines: No such"),
        ("loop", "cannot read loop: Too many levels of symbolic links."),
        ("", "cannot read : No such"),
    ],
)
def test_what_cannot_be_read_is_named(read, path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError) as caught:
        read(path)
    assert one_line(caught).startswith(message)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path):
    (tmp_path / "secret").touch(mode=0)
    with pytest.raises(UserError, match="Permission denied"):
        read_text(tmp_path / "secret")


def test_files_that_are_too_large_are_not_read_to_their_end(tmp_path):
    (tmp_path / "large").write_text("12345")
    assert read_text(tmp_path / "large", largest=5) == "12345"
    with pytest.raises(UserError, match="large has more than .* MiB"):
        read_text(tmp_path / "large", largest=4)
    with pytest.raises(UserError, match="/dev/zero has more than 64 MiB"):
        read_text("/dev/zero")


def test_text_is_read_as_it_is_but_for_the_byte_order_mark(tmp_path):
    (tmp_path / "text").write_bytes("\ufeffgrün\r\n東京\n".encode())
    assert read_text(tmp_path / "text") == "grün\r\n東京\n"
    assert list(text_lines(tmp_path / "text")) == ["grün\r\n", "東京\n"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1, column 2, is no JSON: Expecting property name"),
        ('{"a": 1,\n "b": }', "line 2, column 7, is no JSON: Expecting value."),
        ("", "line 1, column 1, is no JSON: Expecting value."),
        ("[1] [2]", "line 1, column 5, is no JSON: Extra data."),
        ('"a\nb"', "line 1, column 3, is no JSON: Invalid control character"),
        ('{"a": 1, "b": 2, "a": 3}', "has the key 'a' twice in one object."),
        ('[{"x\\n": {}, "x\\n": 3}]', r"has the key 'x\n' twice in one object."),
        ("[NaN]", "has the number NaN, which is out of range."),
        ("[-Infinity]", "has the number -Infinity, which is out of range."),
        ("1e999", "has the number 1e999, which is out of range."),
        ("7" * 5000, "has the number 7777"),
        ("0." + "1" * 5000, "has the number 0.1111"),
        ("[" * 65 + "]" * 65, "has more than 64 lists and objects within each other."),
        ('{"a":' * 70 + "1" + "}" * 70, "has more than 64 lists and objects"),
        ("[" * 100_000, "has more than 64 lists and objects"),
    ],
    ids=range(15),
)
def test_what_is_no_json_is_named_with_its_place(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.json").write_text(text)
    with pytest.raises(UserError) as caught:
        read_json("wrong.json")
    assert one_line(caught).startswith("wrong.json")
    assert message in one_line(caught)


def test_json_is_read_with_every_number_that_a_float_can_be(tmp_path):
    deep = "[" * 63 + "]" * 63
    path = tmp_path / "right.json"
    path.write_text(f'\ufeff{{"a": [1, 2.5, 1e300, null], "b": {{"a": "é"}}, "c": {deep}}}')
    content = read_json(path)
    assert content["a"] == [1, 2.5, 1e300, None]
    assert content["b"] == {"a": "é"}
    path.write_text("null")
    assert read_json(path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", " is empty: its first line must name x, y."),
        ("\n\n  \n", " is empty"),
        ("x,z\n", " has no column 'y'. Columns: x, z."),
        ("x,Y \n", " has no column 'y'."),
        ("x,y,x\n1,2,3\n", " has two columns 'x': rename or remove one."),
        ("x,y,w,w\n", " has two columns 'w'"),
        ("x;y\n1;2\n", " has no column 'x'. Its cells are parted by semicolons: save it with"),
        ("x\ty\n1\t2\n", " has no column 'x'. Its cells are parted by tabs"),
        ("x,y,extra_1\n", " has a column 'extra_1': is 'extra1' meant? Rename or remove it."),
        ("x,y\n1,2,3\n", ", line 2 has 3 cells where the header has 2."),
        ("x,y\n1,2\n\n1\n", ", line 4 has 1 cells where the header has 2."),
        ('x,y\n"1\n",2\n3\n', ", line 4 has 1 cells"),
        ('x,y\n1,"2\n', ", line 2 is no row of a CSV: unexpected end of data."),
        ('x,y\n1,"2"3\n', ", line 2 is no row of a CSV: ',' expected after '\"'."),
        (f"x,y\n1,{'2' * 200_000}\n", ", line 2 is no row of a CSV: field larger than field limit"),
    ],
    ids=range(15),
)
def test_what_is_no_table_is_named_with_its_line(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_table("wrong.csv", ["x", "y"], ["extra1"])
    assert one_line(caught).startswith(f"wrong.csv{message}")


def test_rows_know_their_lines_and_columns_stand_in_any_order(tmp_path):
    path = tmp_path / "right.csv"
    path.write_bytes('\ufeffnote, y ,x\r\n"two\r\nlines",2, 1\r\n,,\r\n\r\n,4,"3"\r\n'.encode())
    first, second = read_table(path, ["x", "y"], ["extra1"])
    assert (first.line, first.cells) == (2, {"x": "1", "y": "2"})
    assert (second.line, second.cells) == (6, {"x": "3", "y": "4"})
    assert second.at("x") == f"{path}, line 6, column x"
    assert (second.number("x"), second.whole("y")) == (3.0, 4)
    assert [row.line for row in table_rows(text_lines(path), "it", ["x"])] == [2, 6]


@pytest.mark.parametrize("cell", ["", "x", "nan", "inf", "-Infinity", "1e999", "1_000", "0x1"])
def test_cells_that_are_no_numbers_are_named(cell):
    (row,) = table_rows(["x,y\n", f"{cell},1\n"], "it", ["x"])
    with pytest.raises(UserError) as caught:
        row.number("x")
    assert str(caught.value) == f"it, line 2, column x must be a finite number, got '{cell}'."


@pytest.mark.parametrize("cell", ["-1", "+1", "1.0", "1e3", "1000", "9" * 5000, "٣", "²", "x"])
def test_cells_that_are_no_whole_numbers_in_range_are_named(cell):
    (row,) = table_rows(["x\n", f"{cell}\n"], "it", ["x"])
    with pytest.raises(UserError) as caught:
        row.whole("x", largest=999)
    assert "it, line 2, column x must be a whole number from 0 to 999, got '" in one_line(caught)


def test_values_are_shown_in_one_short_line():
    assert shown("é\n\x1b") == r"é\n\x1b"
    assert shown([1, "a"]) == "[1, 'a']"
    assert len(shown("x" * 1000)) == 60
    assert shown(10**5000) == "a int"
