"""Names of version 0.1 are answered with what they are called now."""

from importlib import import_module

import pytest

import cli
from elbolab.renamed import CLASSES, MODULES, present_name, renamed_in

MOVED = {
    "callbacks.elbo.ElboMonitor": "callbacks.monitors.elbo.ElboMonitor",
    "callbacks.pictures.SampleGrid": "callbacks.pictures.images.SampleGrid",
    "callbacks.score_field.ScoreField": "callbacks.pictures.score_field.ScoreFieldPicture",
    "datamodules.kmnist.KMNISTDataModule": "datamodules.mnist.KMNISTDataModule",
    "tasks.qwop.optimisers.CMAES": "tasks.qwop.options.CMAES",
    "tasks.trueskill.methods.Gibbs": "tasks.trueskill.options.Gibbs",
    "tasks.mdp.dynamics.Extragradient": "tasks.game.dynamics.Extragradient",
}


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_moved_class_is_found_where_it_is_said_to_be(old, new):
    assert present_name(old) == new
    module, _, name = new.rpartition(".")
    assert isinstance(getattr(import_module(module), name), type)


@pytest.mark.parametrize("new", [name for name in CLASSES.values() if "(" not in name])
def test_every_new_name_is_a_class(new):
    module, _, name = new.rpartition(".")
    assert isinstance(getattr(import_module(module), name), type)


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_every_new_module_is_there(module):
    import_module(module)


def test_names_that_stayed_are_left_alone():
    assert present_name("lightning_modules.vae.VAE") is None
    assert present_name("VAE") is None
    assert present_name("Typicality") == "TypicalityScore"
    assert renamed_in("class_path: callbacks.monitors.elbo.ElboMonitor") == {}


def test_an_old_configuration_is_answered_with_all_that_changed(workplace, capsys):
    (workplace / "old.yaml").write_text(
        "data:\n  class_path: datamodules.kmnist.KMNISTDataModule\n"
        "trainer:\n  callbacks:\n  - class_path: callbacks.elbo.ElboMonitor\n"
    )
    assert cli.main(["fit", "--config", "old.yaml"]) == 2
    error = capsys.readouterr().err
    assert "callbacks.elbo.ElboMonitor is callbacks.monitors.elbo.ElboMonitor" in error
    assert "datamodules.kmnist.KMNISTDataModule is datamodules.mnist.KMNISTDataModule" in error
    assert len(error.splitlines()) == 1


def test_an_old_name_that_is_typed_is_answered_with_the_new(workplace, capsys):
    typed = ["task", "mdp", "--learner", "Reinforce", "--learner.baseline", "LeaveOneOut"]
    assert cli.main(typed) == 2
    assert "LeaveOneOut is called LeaveOneOutReturn now" in capsys.readouterr().err
