"""YAML as people write it: read once before it is used, so that a mistake has a file and a line."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from elbolab.errors import UserError
from elbolab.renamed import renamed_in

__all__ = ["check_typed_yaml", "check_yaml", "read_yaml_text"]

MOST_NODES = 100_000
"""Values in a file with all its aliases written out; a few lines of aliases can stand for 10⁹."""

READERS = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_typed_yaml(words: Iterable[str]) -> None:
    """Checks every YAML file, and every mapping, among what was typed.

    Args:
        words: Of a command line; a value may stand alone or behind ``--option=``.

    Raises:
        UserError: As `check_yaml` does.
    """
    for word in words:
        value = word.partition("=")[2] if word.startswith("--") else word
        if value.lower().endswith((".yaml", ".yml")) and _is_file(value):
            text = read_yaml_text(Path(value))
            check_yaml(text, value)
            _check_names(text, value)
        elif value.startswith("{"):
            _check_typed(value)


def _check_names(text: str, name: str) -> None:
    """Refuses a configuration of an earlier version, with all that is to be replaced in it."""
    if old := renamed_in(text):
        changes = "; ".join(f"{before} is {now}" for before, now in old.items())
        raise UserError(
            f"{name} was written by an earlier version. Replace what has another name now: "
            f"{changes}."
        )


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def _check_typed(value: str) -> None:
    try:
        _check_nodes(yaml.compose(value, READERS), value)
    except (yaml.YAMLError, RecursionError):
        return  # perhaps no YAML, but what an option wants: its own message follows


def read_yaml_text(path: Path) -> str:
    """The text of a file.

    Raises:
        UserError: If it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text (byte {error.start}): save it as such."
        ) from None


def check_yaml(text: str, name: str) -> None:
    """Refuses what is no YAML, and what is YAML but means something else than it seems to.

    Args:
        text: The file's content.
        name: What the messages call it.

    Raises:
        UserError: For a mistake in the syntax, a key given twice in one mapping, an alias within
            what it stands for, and aliases that stand for a great many values.
    """
    try:
        _check_nodes(yaml.compose(text, READERS), name)
        yaml.load(text, READERS)
    except yaml.MarkedYAMLError as error:
        raise UserError(f"{_place(name, error)}: {_problem(error)}.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{name} is no YAML: {' '.join(str(error).split())}.") from None
    except RecursionError:
        raise UserError(f"{name} is nested too deeply to be read.") from None
    except UserError:
        raise
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise UserError(f"{name} holds a value that cannot be read: {error}.") from None


def _place(name: str, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name


def _problem(error: yaml.MarkedYAMLError) -> str:
    return " ".join(part for part in (error.context, error.problem) if part)


def _check_nodes(root: yaml.Node | None, name: str) -> None:
    if root is not None and _size(root, name, {}) > MOST_NODES:
        raise UserError(
            f"{name} stands for more than {MOST_NODES:,} values once its aliases are written out: "
            "write fewer."
        )


def _size(node: yaml.Node, name: str, sizes: dict[int, int]) -> int:
    """Values in a node with aliases written out; 0 for one whose size is being counted."""
    if id(node) not in sizes:
        sizes[id(node)] = 0
        sizes[id(node)] = 1 + sum(_size(child, name, sizes) for child in _children(node, name))
    elif sizes[id(node)] == 0:
        line = node.start_mark.line + 1
        raise UserError(f"{name}, line {line}: an alias stands for something that contains it.")
    return sizes[id(node)]


def _children(node: yaml.Node, name: str) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        _check_keys(node, name)
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _check_keys(mapping: yaml.MappingNode, name: str) -> None:
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in lines:
            raise UserError(
                f"{name}, line {line}: '{key.value}' is given twice, first in line "
                f"{lines[key.value]}. Keep one."
            )
        lines[key.value] = line
