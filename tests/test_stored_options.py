"""What a stranger's checkpoint names is neither imported nor run, whatever reads it."""

import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning
import torch
import yaml
from conftest import SMALL
from latent_space import write_vae_run

import cli
from elbolab.errors import UserError
from lightning_modules.latent_codec import CODEC
from lightning_modules.stored_options import check_names, name_classes
from lightning_modules.vae import VAE

BY_CLI = {
    "_class_path": "lightning_modules.vae.VAE",
    "_instantiator": "pytorch_lightning.cli.instantiate_module",
}
PAYLOAD = """
from pathlib import Path
Path("IT_RAN").touch()
from datamodules.glyphs import GlyphDataModule
from lightning_modules.nets.likelihoods import BernoulliLikelihood
class Likelihood(BernoulliLikelihood): pass
class Data(GlyphDataModule): pass
"""
EVIL = "runs.evil.payload.Likelihood"
HOSTILE = [
    {"likelihood": {"class_path": EVIL}},
    {"likelihood": EVIL},
    {"likelihood": f"'{EVIL}'"},
    {"likelihood": f'{{"class_path": "{EVIL}"}} # a/b'},
    {"likelihood": "runs/evil/options.yaml"},
    {"likelihood": "runs/evil/options"},
    {"_class_path": "runs.evil.payload.VAE"},
    {"_instantiator": "runs.evil.payload.build"},
    {"activation": {"class_path": "os._exit"}},
    {"activation": "os.abort"},
    {"activation": {"class_path": "subprocess.Popen", "init_args": {"args": "touch IT_RAN"}}},
    {"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": EVIL}}},
    {
        "lr_scheduler": {
            "class_path": "torch.optim.lr_scheduler.LambdaLR",
            "init_args": {"lr_lambda": "os._exit"},
        }
    },
]


@pytest.fixture
def evil(workplace, monkeypatch):
    """A directory whose module, once imported, leaves a trace."""
    folder = Path("runs/evil")
    folder.mkdir(parents=True)
    (folder / "payload.py").write_text(PAYLOAD)
    for name in ("options.yaml", "options"):
        (folder / name).write_text(f"class_path: {EVIL}\n")
    monkeypatch.syspath_prepend(str(workplace))
    yield folder
    assert not Path("IT_RAN").exists()
    assert not [name for name in sys.modules if name.startswith("runs")]


def checkpoint(options: dict) -> dict:
    vae = VAE((1, 28, 28), latent_dim=3, hidden=[32])
    return {
        "state_dict": vae.state_dict(),
        "hyper_parameters": {**vae.hparams, **BY_CLI, **options},
        "pytorch-lightning_version": pytorch_lightning.__version__,
    }


def test_the_payload_itself_works(workplace):
    folder = Path("runs/evil")
    folder.mkdir(parents=True)
    (folder / "payload.py").write_text(PAYLOAD.split("from datamodules")[0])
    subprocess.run([sys.executable, "-c", "import runs.evil.payload"], check=True)
    assert Path("IT_RAN").exists()


@pytest.mark.parametrize("options", HOSTILE, ids=str)
def test_load_from_checkpoint(evil, options):
    torch.save(checkpoint(options), "hostile.ckpt")
    with pytest.raises(ValueError, match=r"hostile.ckpt (names|holds)|instantiator|class"):
        VAE.load_from_checkpoint("hostile.ckpt")


@pytest.mark.parametrize("options", HOSTILE[:2] + HOSTILE[8:10], ids=str)
@pytest.mark.parametrize("carried", [False, True])
def test_a_run_that_latents_are_taken_from(evil, capsys, options, carried):
    write_vae_run(Path("runs/evil"))
    hostile = checkpoint(options)
    if carried:  # as a score model's checkpoint carries its VAE
        codec = {"vae": hostile, "shift": torch.zeros(3), "scale": torch.ones(3)}
        hostile = {**checkpoint({}), CODEC: codec}
    torch.save(hostile, "runs/evil/checkpoints/best.ckpt")
    typed = ["--config", "configs/latent_score.yaml", "--data.vae_run", "runs/evil"]
    assert cli.main(["fit", *typed, "--trainer.fast_dev_run", "1"]) == 2
    assert "which is no class of this package" in capsys.readouterr().err


def test_the_configuration_of_such_a_run(evil, capsys):
    write_vae_run(Path("runs/evil"))
    config = {"data": {"class_path": "runs.evil.payload.Data", "init_args": {}}}
    Path("runs/evil/config.yaml").write_text(yaml.safe_dump(config))
    typed = ["--config", "configs/latent_score.yaml", "--data.vae_run", "runs/evil"]
    assert cli.main(["fit", *typed, "--trainer.fast_dev_run", "1"]) == 2
    assert "names runs.evil.payload.Data, which is no class" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fit", "test", "predict"])
def test_ckpt_path(evil, command):
    typed = ["--config", "configs/vae_glyphs.yaml", *SMALL, "--model.latent_dim", "3"]
    hostile = checkpoint(HOSTILE[0]) | {
        "hparams": HOSTILE[0],
        "callbacks": {"BestCheckpoint": {"class_path": EVIL}},
        "datamodule_hyper_parameters": {"class_path": EVIL},
    }
    torch.save(hostile, "hostile.ckpt")
    cli.main([command, *typed, "--run_dir", "out", "--ckpt_path", "hostile.ckpt"])


def test_own_classes_are_known_once_they_are_imported_or_named():
    check_names({"likelihood": {"class_path": "lightning_modules.nets.likelihoods.Likelihood"}}, "")
    check_names({"activation": "torch.nn.SiLU", "file": "/data/v1.2/x.idx", "size": "0.5"}, "")
    check_names({"model": f"{__name__}.Mine"}, "")
    with pytest.raises(UserError, match="names lightning_modules.vae.math"):
        check_names({"x": "lightning_modules.vae.math"}, "")
    with pytest.raises(UserError, match="names elsewhere.thing"):
        check_names({"x": "elsewhere.thing"}, "")
    name_classes({"data": {"class_path": "elsewhere.thing"}})
    check_names({"x": "elsewhere.thing"}, "")
    name_classes({})


class Mine(VAE):
    """A class of one's own."""
