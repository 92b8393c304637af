"""What made a run: program, machine, command, time and data, kept in ``provenance.json``.

The file holds one entry for each command that worked in the run's directory, resumes included, in
the order in which they began. Nothing personal: no user name, no environment, and the home folder
in a path is written ``~``.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from elbolab.errors import UserError
from elbolab.run_directory import RunDirectory, write_atomically
from elbolab.tables import as_markdown

__all__ = ["Provenance", "facts_table", "file_facts", "read_provenance"]

PACKAGES = (
    *("torch", "torchvision", "pytorch-lightning", "torchmetrics", "jsonargparse", "tensorboard"),
    *("numpy", "scipy", "numba", "gymnasium", "matplotlib"),
)
SOURCES = Path(__file__).parent.parent
BLOCK = 1 << 20


class Provenance:
    """The entry of one command, written when it begins and again when it ends.

    Args:
        run: The run directory.
        command: The words that were typed.
        at_once: Whether the beginning is written; otherwise the end alone is.
        facts: What else is known at the beginning, such as ``seed``, ``processes`` and
            ``precision``; plain values.
    """

    def __init__(
        self, run: RunDirectory, command: Sequence[str], *, at_once: bool = True, **facts: Any
    ) -> None:
        self._path, self._clock = run.provenance, time.monotonic()
        self._before = read_provenance(run)
        self._entry: dict[str, Any] = {
            "command": [_without_home(word) for word in command],
            "started": _now(),
            "ended": None,
            "outcome": "running",
            **facts,
            "program": _program(),
            "machine": _machine(),
        }
        if at_once:
            self._write()

    def add(self, **facts: Any) -> None:
        """Adds facts that became known later; they are written at the end."""
        self._entry |= facts

    def end(self, outcome: str, **facts: Any) -> None:
        """Writes the entry for good.

        Args:
            outcome: ``finished``, ``stopped`` or ``failed``.
            facts: As for `add`.
        """
        self._entry |= {
            **facts,
            "ended": _now(),
            "outcome": outcome,
            "wall_seconds": round(time.monotonic() - self._clock, 3),
            "cpu_seconds": round(time.process_time(), 3),
            "peak_memory_mib": _peak_memory_mib(),
        }
        self._write()

    @property
    def facts(self) -> Mapping[str, Any]:
        """The entry as it stands."""
        return self._entry

    def _write(self) -> None:
        entries = [*self._before, self._entry]
        write_atomically(self._path, (json.dumps(entries, indent=2) + "\n").encode())


def read_provenance(run: RunDirectory) -> list[dict[str, Any]]:
    """The entries of a run, the oldest first; none where the file is missing.

    Raises:
        UserError: If the file is damaged.
    """
    if not run.provenance.exists():
        return []
    try:
        entries = json.loads(run.provenance.read_text(encoding="utf-8"))
        return [dict(entry) for entry in entries]
    except (ValueError, TypeError) as error:
        raise UserError(f"{run.provenance} is damaged ({error}): delete it.") from error


def file_facts(paths: Iterable[Path]) -> dict[str, Mapping[str, Any]]:
    """Length in bytes and SHA-256 of data files, by their paths."""
    return {_without_home(str(path)): _facts(path) for path in paths if path.is_file()}


def facts_table(facts: Mapping[str, Any]) -> str:
    """Nested facts as a Markdown table of two columns, for TensorBoard's text page."""
    flat = dict(_flat(facts))
    return as_markdown({"what": list(flat), "value": list(flat.values())})


def _flat(facts: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, str]]:
    for key, value in facts.items():
        full = f"{name}.{key}" if name else str(key)
        if isinstance(value, Mapping):
            yield from _flat(value, full)
        else:
            yield full, " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _facts(path: Path) -> Mapping[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _without_home(word: str) -> str:
    home = str(Path.home())
    return word.replace(home, "~") if len(home) > 1 else word


def _program() -> dict[str, Any]:
    commit = _git("rev-parse", "HEAD")
    return {
        "elbolab": _version("elbolab"),
        "commit": commit,
        "dirty": None if commit is None else bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    """What git says of the program's own clone; None where there is no clone or no git."""
    if not (SOURCES / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(SOURCES), *words], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
    } | _accelerators()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _accelerators() -> dict[str, Any]:
    """Threads and GPUs as torch sees them, where torch is in use at all."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    driver = getattr(torch._C, "_cuda_getDriverVersion", lambda: None)() if names else None
    return {
        "threads": torch.get_num_threads(),
        "gpus": names,
        "cuda": torch.version.cuda if names else None,
        "cuda_driver": driver,
    }


def _peak_memory_mib() -> float | None:
    """The most memory that this process ever held; None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
