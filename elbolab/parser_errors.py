"""Turns jsonargparse's nested messages into the one line that a person needs.

jsonargparse indents the message of an option below that of the option that holds it. The last
``Parser key`` is the innermost option; what follows it says what was wanted and what was given.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from elbolab.class_errors import explain_class, option_names
from elbolab.configurations import configuration_names
from elbolab.errors import UserError, did_you_mean

__all__ = ["explain"]

USUAL_NAMES = {
    "epochs": "trainer.max_epochs",
    "max_epochs": "trainer.max_epochs",
    "lr": "model.optimizer.lr",
    "learning_rate": "model.optimizer.lr",
    "optimizer": "model.optimizer",
    "batch_size": "data.batch_size",
    "seed": "seed_everything",
    "gpus": "trainer.devices",
    "devices": "trainer.devices",
    "root": "data.root",
    "resume": "ckpt_path last",
    "output_dir": "run_dir",
}
"""What other programs call an option → what it is called here."""


def explain(
    error: BaseException,
    options: Iterable[str] = (),
    *,
    typed: Iterable[str] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> str:
    """The innermost cause of ``error`` in one line, with a suggestion where one is close.

    Args:
        error: What jsonargparse raised while parsing or building objects.
        options: The command's options (``--model.latent_dim``), to compare a wrong one with.
        typed: The words that were typed.
        elsewhere: Option that another command has → that command.
    """
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return str(cause)
    text, known = str(error), list(options)
    readings = (
        _nothing_given(text),
        _no_value(text, list(typed)),
        _unknown_option(text, known, elsewhere or {}),
        _no_file(text),
        _no_mapping(text),
        _not_positive(text),
        _too_long(text),
        _bad_class(text),
        _bad_value(text),
    )
    return next((line for line in readings if line), _leaf(text))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _nothing_given(text: str) -> str | None:
    if match := re.search(r"following arguments are required: (.+)", text):
        names = [name.split(".")[-1] for name in match[1].split(", ")]
        if set(names) <= {"data", "model", "config"}:
            missing = " and ".join(names)
            return f"no {missing} given: name a configuration, such as --config configs/vae.yaml."
        wanted = " and ".join(f"--{_key(text)}.{name}".replace("--.", "--") for name in names)
        return f"{_key(text) or 'this command'} needs {wanted}."
    return None


def _no_value(text: str, typed: list[str]) -> str | None:
    """``argument --model: expected one argument`` names the parent of what was typed."""
    match = re.search(r"argument (\S+): expected (?:one|at least one) argument", text)
    if not match:
        return None
    parent = match[1].split("/")[-1].rstrip("+")  # --optimiser+ appends
    lonely = [
        word
        for word, following in zip(typed, [*typed[1:], "--"], strict=True)
        if word.startswith(parent) and "=" not in word and following.startswith("--")
    ]
    return f"{lonely[0] if lonely else parent} needs a value."


def _unknown_option(text: str, options: list[str], elsewhere: Mapping[str, str]) -> str | None:
    if match := re.search(r"[Uu]nrecognized arguments?: ([^\s=]+)", text):
        name = match[1]
        if not name.startswith("-"):
            return (
                f"'{name}' is no option: name a configuration with --config, and every value "
                "after its option."
            )
        return _not_here(name, options, elsewhere)
    if match := re.search(r"[Oo]ption '([^']+)' is not accepted|not accept option '([^']+)'", text):
        name = match[1] or match[2]
        if owners := re.findall(r"class_path(?: |=)'([^']+)'", text):
            owner = _owner(text, match.start()) or owners[-1]
            hint = did_you_mean(name, option_names(owner))
            return f"{owner} has no option '{name}'.{hint}"
        return f"unknown option '{name}'.{did_you_mean(name, [o.lstrip('-') for o in options])}"
    return None


def _owner(text: str, at: int) -> str | None:
    """The class whose option was refused: named behind the refusal, or else before it."""
    if behind := re.search(r"Got value: Namespace\(class_path='([^']+)'", text[at:]):
        return behind[1]
    before = re.findall(r"class_path '([^']+)'", text[:at])
    return before[-1] if before else None


def _not_here(name: str, options: list[str], elsewhere: Mapping[str, str]) -> str:
    if command := elsewhere.get(name):
        return f"{name} is an option of '{command}', not of this command."
    usual = USUAL_NAMES.get(name.lstrip("-").replace("-", "_"))
    if usual and any(usual.split(".")[0].split(" ")[0] in option for option in options):
        return f"unknown option {name}. Did you mean '--{usual}'?"
    hint = did_you_mean(name, [option for option in options if option not in ("--help", "-h")])
    return f"unknown option {name}.{hint}"


def _no_file(text: str) -> str | None:
    missing = r"(?:File does not exist: |Path is not a file: |Unable to load config )'?([^'\n]+)'?"
    if match := re.search(missing, text):
        path = Path(match[1])
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        if path.is_dir():
            return f"{shown} is a folder: name the file in it."
        return f"no file {shown}.{did_you_mean(str(shown), configuration_names())}"
    return None


def _no_mapping(text: str) -> str | None:
    if match := re.search(r"Unexpected config:\s*(.*)", text):
        got = match[1].strip() or "nothing"
        return f"--config wants a file of options with their values, as in configs/; it says {got}."
    return None


CLASS_WANTED = (
    r"expects a function or a callable class",
    r"Problem with given class_path '[^']+':\s+(?:module '|No module|Expected|Import|invalid)",
    r"Expected a dot import path string",
    r"to be a subclass of|to a subclass of",
    r"No module named",
    r"has no attribute",
    r"\(\S+\.py, line \d+\)",
)
"""What jsonargparse says where a class was wanted."""


def _bad_class(text: str) -> str | None:
    leaf = text[_innermost(text) :]
    if re.search(r"Expected an? <class '(int|float|bool)'", leaf):
        return None  # a number was wanted, which may be given as a class too
    if not any(re.search(pattern, leaf) for pattern in CLASS_WANTED):
        return None
    name = _given(text)
    if name is None:
        return None
    bases = re.findall(r"subclass of (?:<class ')?(?:\w+\.)*(\w+)", leaf)
    bases += re.findall(r"Type \S*Callable\[.*?([A-Z]\w+)\] expects", leaf)
    return explain_class(name, bases[0] if bases else "", _key(text))


def _innermost(text: str) -> int:
    keys = list(re.finditer(r'Parser key "([\w.]+)":', text))
    return keys[-1].end() if keys else 0


def _key(text: str) -> str:
    """The option in full: ``model.prior`` of the keys ``model`` and ``prior`` below it."""
    joined = ""
    for key in re.findall(r'Parser key "([\w.]+)":', text):
        joined = key if key.startswith(f"{joined}.") or joined in ("", key) else f"{joined}.{key}"
    return joined


def _given(text: str) -> str | None:
    """What was given for the innermost option."""
    leaf = text[_innermost(text) :]
    for pattern in (
        r"Problem with given class_path '([^']+)'",
        r"(?:Got|Given) value: ((?!Namespace|NestedArg)[^\n]*?)(?:\. Got value|\n|$)",
        r"(?:Got|Given) value: Namespace\(class_path='([^']+)'",
    ):
        if match := re.search(pattern, leaf):
            return match[1]
    if match := re.search(r"Expected a dot import path string: (\S+)", leaf):
        return match[1]
    nested = re.search(r"NestedArg\(key='[^']*', val='([^']*)'\)", text)
    return nested[1] if nested else None


def _bad_value(text: str) -> str | None:
    if not re.search(r'Parser key "([\w.]+)":', text):
        return None
    leaf = text[_innermost(text) :]
    wanted = re.findall(r"Expected an? (.+?)(?:\. Got value: |\n|$)", leaf)
    given = _given(text)
    kinds = dict.fromkeys(_readable(kind) for kind in wanted if "accessible or invalid" not in kind)
    named = [kind for kind in kinds if kind not in ("None", "")]
    if not named or given is None:
        return None
    return f"{_key(text)} must be {' or '.join(named)}, got {given or 'nothing'}."


def _readable(kind: str) -> str:
    """``<class 'int'>`` → ``int``; ``typing.Literal['a', 'b']`` → ``one of 'a', 'b'``."""
    if kind.startswith("dot import path"):
        return ""
    kind = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", kind).replace("NoneType", "None")
    return re.sub(r"^(?:typing\.)?Literal\[(.*)\]$", r"one of \1", kind)


def _not_positive(text: str) -> str | None:
    """``num_samples: Not of type PositiveInt: …``."""
    if "Not of type PositiveInt" in text and _key(text):
        value = re.search(r"(?:literal.*: |value: ?|got )'?([^'\n]*)'?", text)
        got = f", got {value[1]}" if value else ""
        return f"{_key(text)} must be a whole number of at least 1{got}."
    return None


def _too_long(text: str) -> str | None:
    if match := re.search(r"value has (\d+) digits", text):
        return f"{_key(text)} is a number of {match[1]} digits, more than any option takes."
    return None


def _leaf(text: str) -> str:
    """The first sentence that says more than that a union did not fit."""
    lines = [line.strip(" -\t") for line in text.splitlines()]
    noise = ("Parser key", "Does not validate", "Subtypes:", "Errors:", "Given value", "Problem")
    leaf = next((line for line in lines if line and not line.startswith(noise)), " ".join(lines))
    key = _key(text)
    return f"{key}: {leaf}" if key and key.split(".")[-1] not in leaf else leaf
