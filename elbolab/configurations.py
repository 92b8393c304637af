"""The shipped configurations, found by name from any working directory."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["configuration_names", "describe_configurations", "with_found_configurations"]

SHIPPED = Path(__file__).parent.parent / "configs"
"""Beside the code, in a clone and in an installed package alike."""


def with_found_configurations(typed: Sequence[str]) -> list[str]:
    """The words of a command line with every ``--config NAME`` replaced by the file it means.

    A file of that name comes first; then the shipped one, with or without folder and ending:
    ``vae``, ``tasks/qwop``, ``configs/vae.yaml``.
    """
    words = list(typed)
    for i, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option != "--config":
            continue
        if equals:
            words[i] = f"{option}={_found(value)}"
        elif i + 1 < len(words):
            words[i + 1] = _found(words[i + 1])
    return words


def _found(name: str) -> str:
    try:
        if Path(name).exists():
            return name
    except (OSError, ValueError):  # too long, or with a zero byte
        return name
    stem = name.removeprefix("configs/").removesuffix(".yaml")
    for folder in (Path("configs"), SHIPPED):
        for place in ("", "tasks", "data"):
            path = folder / place / f"{stem}.yaml"
            if stem and path.is_file():
                return str(path)
    return name


def configuration_names() -> list[str]:
    """Names of the shipped configurations and paths of those in the working directory."""
    shipped = {str(path.relative_to(SHIPPED).with_suffix("")) for path in SHIPPED.rglob("*.yaml")}
    return sorted(shipped | {str(path) for path in Path("configs").rglob("*.yaml")})


def describe_configurations() -> str:
    """A line for each shipped configuration: its name, and what its first comment says."""
    paths = sorted(SHIPPED.rglob("*.yaml"), key=lambda path: (len(path.parts), str(path)))
    names = [str(path.relative_to(SHIPPED).with_suffix("")) for path in paths]
    width = max(map(len, names), default=0)
    return "\n".join(
        f"  {name:{width}}  {_first_comment(path)}" for name, path in zip(names, paths, strict=True)
    )


def _first_comment(path: Path) -> str:
    """The first sentence of the comment at the top."""
    comment: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or line.startswith("#   "):
            break
        comment.append(line.removeprefix("#").strip())
    return " ".join(comment).partition(". ")[0].rstrip(".:")
