"""Who may import whom."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

PURE = [
    ROOT / "cli.py",
    *ROOT.glob("elbolab/*.py"),
    *ROOT.glob("tasks/**/*.py"),
    *ROOT.glob("lightning_modules/functional/*.py"),
    *ROOT.glob("lightning_modules/nets/*.py"),
]
ROOMS = {"callbacks", "datamodules", "lightning_modules", "tasks"}
MAY_IMPORT = {
    "elbolab": set(),
    "datamodules": {"lightning_modules"},  # latents are what a model makes of images
    "lightning_modules": set(),
    "callbacks": {"lightning_modules"},
    "tasks": set(),
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", PURE, ids=lambda p: str(p.relative_to(ROOT)))
def test_mathematics_tasks_and_shared_code_know_no_lightning(path):
    packages = {name.split(".")[0] for name in imports(path)}
    assert not packages & {"pytorch_lightning", "lightning_fabric", "lightning_utilities"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_in_one_direction(room):
    for path in (ROOT / room).rglob("*.py"):
        others = {name.split(".")[0] for name in imports(path)} & ROOMS - {room}
        assert others <= MAY_IMPORT[room], path


def test_help_waits_neither_for_torch_nor_for_lightning():
    program = "import sys, cli; cli.main([]); assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
