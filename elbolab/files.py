"""The one place where text files that a person gives are read; JSON too. For CSV see `csv_tables`.

Whatever is wrong with a file is a `UserError` of one line that names the file and, where there is
one, the line and the column.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any

from elbolab.errors import UserError

__all__ = ["decode_text", "one_line", "parse_json", "read_json", "read_text", "shown", "text_lines"]

LARGEST = 64 * 2**20
"""Bytes of a file that is read as a whole."""

DEEPEST = 64
"""Objects and lists of a JSON file within each other."""

LONGEST_NUMBER = 400
"""Digits of a number in JSON: more than the largest float has, and than anybody types."""

LONGEST_SHOWN = 60
"""Letters of a value that a message shows."""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""What files in UTF-16 begin with, and with zeros behind it those in UTF-32."""


def one_line(text: str | os.PathLike[str]) -> str:
    """Text or a path as a message shows it: line ends and control characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fspath(text))


def shown(value: object) -> str:
    """A value as a message shows it, in one line and cut where it is long."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except (RecursionError, ValueError):  # of integers with thousands of digits
        text = f"a {type(value).__name__}"
    return one_line(text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…")


def read_text(path: str | os.PathLike[str], largest: int = LARGEST) -> str:
    """The content of a text file in UTF-8; a byte-order mark is left out.

    Args:
        path: The file, or a pipe.
        largest: Bytes that it may have.

    Raises:
        UserError: If there is no such file, it is a directory, may not be read, is too large, or is
            no text in UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(largest + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if len(content) > largest:
        raise UserError(f"{one_line(path)} has more than {largest / 2**20:g} MiB, the most it may.")
    return decode_text(content, one_line(path))


def decode_text(content: bytes, source: str, first_line: int = 1) -> str:
    """Bytes as text in UTF-8, without a byte-order mark.

    Args:
        content: The bytes.
        source: What errors call them.
        first_line: Number of the line with which they begin.

    Raises:
        UserError: If they are no text in UTF-8, or hold a zero byte; it names the line.
    """

    def line(place: int) -> str:
        return f"{source}, line {first_line + content.count(10, 0, place)}"

    if content.startswith(UTF_16):
        raise UserError(f"{source} is in UTF-16 or UTF-32: save it as UTF-8.")
    if (place := content.find(0)) >= 0:
        raise UserError(f"{line(place)}, has a zero byte: it is no text.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{content[error.start]:02x}"
        raise UserError(
            f"{line(error.start)}, is no text in UTF-8 ({byte}): save the file as UTF-8."
        ) from error


def text_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """The lines of a text file in UTF-8, one after the other, for files too large for `read_text`.

    Args:
        path: The file.

    Yields:
        Lines with their ends, as `csv_tables.table_rows` and the ``csv`` module want them.

    Raises:
        UserError: As `read_text`, but where the wrong line is reached.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for line in file:
                if "\0" in line:
                    _blame_line(path)
                yield line
    except UserError:
        raise
    except UnicodeDecodeError:
        _blame_line(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _blame_line(path: str | os.PathLike[str]) -> None:
    """Raises for the first line that is no text."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            decode_text(line, one_line(path), number)
    raise UserError(f"{one_line(path)} is no text in UTF-8: save it as UTF-8.")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file: `read_text`, then `parse_json`."""
    return parse_json(read_text(path), one_line(path))


def parse_json(text: str, source: str) -> Any:
    """What a JSON text holds.

    Args:
        text: The text.
        source: What errors call it.

    Raises:
        UserError: If it is no JSON, names a key twice in an object, is nested more than `DEEPEST`
            times, or has a number that is none or out of range.
    """

    def one_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"{source} has the key '{shown(twice)}' twice in one object.")
        return content

    def in_range(digits: str) -> float:
        value = float(digits)
        if math.isinf(value) or math.isnan(value) or len(digits) > LONGEST_NUMBER:
            raise UserError(f"{source} has the number {shown(digits)}, which is out of range.")
        return value

    def whole(digits: str) -> int:
        in_range(digits)
        return int(digits)

    try:
        content = json.loads(
            text,
            object_pairs_hook=one_of_each,
            parse_float=in_range,
            parse_int=whole,
            parse_constant=in_range,
        )
        deep = _is_deep(content)
    except json.JSONDecodeError as error:
        where = f"{source}, line {error.lineno}, column {error.colno}"
        raise UserError(f"{where}, is no JSON: {error.msg}.") from error
    except RecursionError:
        content, deep = None, True
    if deep:
        raise UserError(f"{source} has more than {DEEPEST} lists and objects within each other.")
    return content


def _is_deep(content: Any) -> bool:
    """Whether more than `DEEPEST` lists and objects lie within each other."""
    level = [content]
    for _ in range(DEEPEST):
        level = [part for outer in level for part in _parts(outer) if isinstance(part, dict | list)]
    return bool(level)


def _parts(content: Any) -> Iterable[Any]:
    if isinstance(content, dict):
        return content.values()
    return content if isinstance(content, list) else ()


def _unreadable(path: str | os.PathLike[str], error: OSError | ValueError) -> UserError:
    if isinstance(error, OSError):
        return UserError(f"cannot read {shown(os.fspath(path))}: {error.strerror or error}.")
    return UserError(f"cannot read '{shown(os.fspath(path))}': no file can be called that.")
