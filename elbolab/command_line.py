"""From what a person typed to options, by rules that every command shares.

What is typed wins over every ``--config``, wherever in the line it stands. A class that takes
another one's place begins with its own defaults.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jsonargparse import ArgumentParser, Namespace, _typehints

from elbolab.configurations import with_found_configurations
from elbolab.errors import UserError
from elbolab.option_checks import check_numbers
from elbolab.parser_errors import explain
from elbolab.yaml_files import check_typed_yaml

__all__ = ["in_order", "instantiate", "parse"]


def parse(
    parser: ArgumentParser,
    typed: Sequence[str],
    options: Sequence[str] | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> Namespace:
    """Parses a command line.

    Args:
        parser: Made with ``exit_on_error=False``.
        typed: The words of the command line.
        options: What a mistyped option is compared with; by default the parser's own.
        elsewhere: Option that another command has → that command.

    Raises:
        UserError: If it cannot be parsed, in one line; if a number is not finite.
    """
    typed = with_found_configurations(typed)
    check_typed_yaml(typed)
    try:
        with _exchanged_classes_begin_anew():
            parsed = parser.parse_args(in_order(typed))
    except (argparse.ArgumentError, ValueError) as error:
        known = [option for action in parser._actions for option in action.option_strings]
        known = known if options is None else list(options)
        message = explain(error, known, typed=typed, elsewhere=elsewhere)
        raise UserError(message) from error
    except SystemExit as stop:
        if any("help" in word or "print" in word or word == "-h" for word in typed):
            raise
        raise UserError("a module that was named ends the program while it is imported.") from stop
    check_numbers(parsed.as_dict())
    return parsed


def instantiate(parser: ArgumentParser, options: Namespace) -> Namespace:
    """Builds the objects that options describe.

    Raises:
        UserError: What an object says of its options. Where an option may be of several kinds,
            jsonargparse tries each and says of all that they did not fit.
    """
    refusals: list[UserError] = []

    def build(class_type: type, *args: Any, **kwargs: Any) -> Any:
        try:
            return class_type(*args, **kwargs)
        except UserError as refusal:
            refusals.append(refusal)
            raise

    parser.add_instantiator(build, object, subclasses=True)
    try:
        return parser.instantiate(options)
    except ValueError as error:
        if refusals:
            raise refusals[0] from error
        raise


def in_order(typed: Sequence[str]) -> list[str]:
    """Brings ``--config`` before all options, and a class before the options typed for it.

    ``--optimiser.population 80 --optimiser CMAES`` means the CMAES of population 80. Where classes
    are appended to a list, ``--callbacks+ A --callbacks.x 1 --callbacks+ B``, the order stays.
    """
    first, *rest = _groups(typed)
    ordered: list[list[str]] = []
    for group in sorted(rest, key=lambda group: _name(group) != "config"):
        prefix = f"{_name(group)}."
        its_own = (i for i, known in enumerate(ordered) if _name(known).startswith(prefix))
        ordered.insert(next(its_own, len(ordered)), group)
    return [word for group in [first, *ordered] for word in group]


def _groups(typed: Sequence[str]) -> list[list[str]]:
    """What stands before the first option, then each option with its values."""
    groups: list[list[str]] = [[]]
    for word in typed:
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(word)
    return groups


def _name(group: list[str]) -> str:
    """``model.prior`` for ``--model.init_args.prior=VampPrior``."""
    return group[0].partition("=")[0].removeprefix("--").replace(".init_args", "")


@contextmanager
def _exchanged_classes_begin_anew() -> Iterator[None]:
    """Replaces jsonargparse's rule for options of a class that another one takes the place of.

    Its own keeps those whose names fit the new class: another class's default, or a value chosen
    for another class, in place of the new one's default. There is no setting for it.
    """
    rule = _typehints.discard_init_args_on_class_path_change
    _typehints.discard_init_args_on_class_path_change = _forget
    try:
        yield
    finally:
        _typehints.discard_init_args_on_class_path_change = rule


def _forget(_: object, before: Namespace | dict | None, now: Namespace | dict) -> None:
    """Empties the options of the class before, if now there is another one."""
    if isinstance(before, Namespace) and before.get("class_path") != now["class_path"]:
        for key in ("init_args", "dict_kwargs"):
            before.pop(key, None)
