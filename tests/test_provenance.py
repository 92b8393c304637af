"""What made a run is kept, and nothing personal with it."""

import getpass
import hashlib
import json
from pathlib import Path

import pytest
from conftest import SMALL

import cli
from datamodules.mnist import MNISTDataModule
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


def test_fit_resume_test_and_predict_each_leave_their_entry(fit):
    run = fit("out")
    more = ["--run_dir", "out", "--ckpt_path", "last", "--trainer.max_epochs", "3"]
    assert cli.main(["fit", "--config", "vae_glyphs", *SMALL, *more]) == 0
    assert cli.main(["test", "--run_dir", "out"]) == 0
    assert cli.main(["predict", "--run_dir", "out", "--num_samples", "2"]) == 0
    entries = read_provenance(RunDirectory(run))
    assert [entry["command"][0] for entry in entries] == ["fit", "fit", "test", "predict"]
    assert {entry["outcome"] for entry in entries} == {"finished"}
    first, second, *_ = entries
    assert (first["began_at_step"], first["ended_at_step"]) == (0, 30)
    assert (second["began_at_step"], second["ended_at_step"]) == (30, 45)
    assert first["training_loop"]
    assert first["examples_per_second"] > 0
    assert first["parameters"] > 1000
    assert (first["processes"], first["precision"], first["seed"]) == (1, "32-true", 0)


def test_a_task_leaves_an_entry_too(run_task):
    folder, _ = run_task("mdp", "--compare", "false", "--seed", "3")
    (entry,) = read_provenance(RunDirectory(folder))
    assert entry["command"][:2] == ["task", "mdp"]
    assert (entry["outcome"], entry["seed"]) == ("finished", 3)


@pytest.mark.real_data
def test_files_of_the_data_are_known(data_root):
    facts = file_facts(MNISTDataModule(root=str(data_root)).source_files())
    assert len(facts) == 4
    sizes = sorted(fact["bytes"] for fact in facts.values())
    assert sizes == [10_008, 60_008, 7_840_016, 47_040_016]
