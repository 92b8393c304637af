"""What made a run is kept, and nothing personal with it."""

import getpass
import hashlib
import json
from pathlib import Path

import pytest

from elbolab.errors import UserError
from elbolab.provenance import Provenance, file_facts, read_provenance
from elbolab.run_directory import RunDirectory


def test_each_command_leaves_an_entry_in_turn(tmp_path):
    run = RunDirectory(tmp_path / "run")
    first = Provenance(run, ["fit", "--config", "vae"], seed=3, processes=1)
    assert read_provenance(run)[0]["outcome"] == "running"
    first.add(training_loop="Lightning")
    first.end("stopped", examples_per_second=10.0)
    Provenance(run, ["test"]).end("finished")
    fit, test = read_provenance(run)
    assert (fit["command"], fit["seed"], fit["outcome"]) == (
        ["fit", "--config", "vae"],
        3,
        "stopped",
    )
    assert (fit["training_loop"], fit["examples_per_second"]) == ("Lightning", 10.0)
    assert test["command"] == ["test"]
    for entry in (fit, test):
        assert entry["started"] <= entry["ended"]
        assert entry["wall_seconds"] >= 0
        assert entry["cpu_seconds"] > 0
        assert entry["peak_memory_mib"] > 1
        assert entry["program"]["packages"]["numpy"]
        assert entry["machine"]["cores"] >= 1


def test_nothing_personal_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("A_SECRET", "swordfish")
    run = RunDirectory(tmp_path / "run")
    Provenance(run, ["fit", "--data.root", "/home/ada/data", "--x=/home/ada/y"]).end("finished")
    text = run.provenance.read_text()
    assert json.loads(text)[0]["command"] == ["fit", "--data.root", "~/data", "--x=~/y"]
    assert "swordfish" not in text
    assert "/home/ada" not in text
    if getpass.getuser() != "root":  # a word of its own elsewhere
        assert getpass.getuser() not in text


def test_data_files_are_known_by_length_and_hash(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"elbo" * 1_000_000)
    (facts,) = file_facts([path, tmp_path / "missing"]).values()
    assert facts == {
        "bytes": 4_000_000,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


@pytest.mark.parametrize("content", ["", "{", "[1]", "3"])
def test_a_damaged_file_is_named(tmp_path, content):
    run = RunDirectory(tmp_path)
    Path(run.provenance).write_text(content)
    with pytest.raises(UserError, match=r"provenance\.json is damaged"):
        read_provenance(run)
