"""``--figures``: the same pictures in formats without pixels, of fits and of tasks."""

import numpy as np
import pytest
import yaml

import cli
from elbolab.errors import UserError
from elbolab.option_checks import figure_formats
from elbolab.pictures import new_figure, save_figure, write_picture
from elbolab.run_directory import RunDirectory

BEGINNINGS = {"png": b"\x89PNG", "pdf": b"%PDF-", "svg": b"<?xml", "eps": b"%!PS"}


def endings(run):
    """Ending → names of the pictures that have it; every file is what its ending says."""
    found = {}
    for path in (run / "images").iterdir():
        assert path.read_bytes().startswith(BEGINNINGS[path.suffix[1:]]), path
        found.setdefault(path.suffix[1:], set()).add(path.stem)
    return found


def test_a_fit_and_its_test_write_them(fit, capsys):
    run = fit("out", "--figures", "pdf,svg", "--trainer.max_epochs", "1")
    found = endings(run)
    assert found.keys() == {"png", "pdf", "svg"}
    assert found["png"] == found["pdf"] == found["svg"] >= {"samples", "elbo_curve"}
    assert yaml.safe_load((run / "config.yaml").read_text())["figures"] == "pdf,svg"
    assert cli.main(["predict", "--run_dir", "out", "--figures", "[eps]"]) == 0
    assert endings(run)["eps"] == {"predicted_samples", "predicted_reconstructions"}
    assert cli.main(["test", "--run_dir", "out", "--figures", "jpeg"]) == 2
    assert "figures must be some of pdf, svg, eps" in capsys.readouterr().err


def test_a_task_writes_them(run_task):
    out, _ = run_task("game", "--steps", "9", "--figures", "eps,pdf", drawn=True)
    found = endings(out)
    assert found["png"] == found["pdf"] == found["eps"]
    assert "figures must be some of" in run_task.refused("game", "--figures", "pdf,docx")


@pytest.mark.parametrize(
    ("given", "formats"),
    [
        (None, ()),
        ("pdf", ("pdf",)),
        ("PDF, .svg,pdf", ("pdf", "svg")),
        ("[svg,eps]", ("svg", "eps")),
        (["svg", "pdf"], ("svg", "pdf")),
    ],
)
def test_formats_are_named_as_people_name_them(given, formats):
    assert figure_formats(given) == formats


@pytest.mark.parametrize("given", ["", "png", "pdf;svg", ["pdf", "x" * 500]])
def test_other_formats_are_refused(given):
    with pytest.raises(UserError, match="figures must be some of pdf, svg, eps") as caught:
        figure_formats(given)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", ["pdf", "svg"])
def test_equal_figures_are_equal_files(tmp_path, kind):
    contents = []
    for name in "ab":
        figure = new_figure(3, 2)
        figure.add_subplot().plot(np.arange(5), label="steps")
        write_picture(figure, name, RunDirectory(tmp_path), None, 0, [kind])
        contents.append((tmp_path / f"images/{name}.{kind}").read_bytes())
        save_figure(figure, tmp_path / f"images/{name}.{kind}")
    assert contents[0] == contents[1]
    if kind == "pdf":
        assert b"/Type3" not in contents[0]  # fonts of shapes, which journals refuse
