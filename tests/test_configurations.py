"""Configurations are found by name from anywhere."""

import pytest
from conftest import ROOT

import cli
from elbolab.configurations import with_found_configurations

SHIPPED = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("name", ["vae", "vae.yaml", "configs/vae.yaml"])
@pytest.mark.parametrize("typed", [["--config", "{}"], ["--config={}"]])
def test_a_shipped_configuration_is_found_from_an_empty_folder(tmp_path, monkeypatch, name, typed):
    monkeypatch.chdir(tmp_path)
    words = with_found_configurations(["fit", *(word.format(name) for word in typed)])
    assert words[-1].removeprefix("--config=") == str(ROOT / "configs/vae.yaml")


def test_a_file_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vae").write_text("seed_everything: 3\n")
    assert with_found_configurations(["fit", "--config", "vae"]) == ["fit", "--config", "vae"]


def test_names_of_tasks_configurations_are_found_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = with_found_configurations(
        ["qwop", "--config", "tasks/qwop", "--config", "mdp_frozen_lake"]
    )
    assert [word for word in words if word.endswith(".yaml")] == [
        str(ROOT / "configs/tasks/qwop.yaml"),
        str(ROOT / "configs/tasks/mdp_frozen_lake.yaml"),
    ]


def test_every_shipped_configuration_is_listed_with_what_it_is(capsys):
    assert cli.main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(SHIPPED)
    assert all(len(line.split("  ", 2)[-1].strip()) > 20 for line in lines)


def test_a_name_that_is_none_gets_a_suggestion(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["task", "qwop", "--config", "qwop_comparisn"]) == 2
    assert "Did you mean 'tasks/qwop_comparison'?" in capsys.readouterr().err
