"""Wrong words on the command line: one line each, exit code 2, nothing written."""

from pathlib import Path

import pytest
from conftest import SMALL

import cli
from elbolab.errors import UserError
from elbolab.option_checks import check_numbers, check_trainer

FIT = ["fit", "--config", "configs/vae_glyphs.yaml", *SMALL]
PREDICT = ["predict", "--config", "configs/vae_glyphs.yaml", *SMALL]
TEST = ["test", "--config", "configs/vae_glyphs.yaml", *SMALL]

OWN_MODULES = {
    "lacks.py": "import nonexistent_thing\nclass Mine: pass\n",
    "typo.py": "class Mine(:\n",
    "exits.py": "import sys\nsys.exit(3)\n",
    "stranger.py": "class Mine:\n    pass\n",
}


OWN_FILES = {
    "twice.yaml": b"seed_everything: 1\nseed_everything: 2\n",
    "syntax.yaml": b"model: [a\n b: c",
    "tab.yaml": b"model:\n\tclass_path: VAE\n",
    "latin.yaml": "# é\nseed_everything: 1".encode("latin-1"),
    "utf16.yaml": "seed_everything: 1".encode("utf-16"),
    "zero.yaml": b"seed_everything: \0",
    "list.yaml": b"- 1\n",
    "word.yaml": b"hello",
    "empty.yaml": b"",
    "deep.yaml": b"a: " + b"[" * 5000 + b"]" * 5000,
    "code.yaml": b"a: !!python/object/apply:os.system [touch ran]\n",
    "unknown.yaml": b"modell:\n  class_path: VAE\n",
    "bomb.yaml": b"a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(9)
    ),
}


@pytest.fixture
def own_modules(workplace, monkeypatch):
    """Modules and configurations of a person's own, in the working directory."""
    for name, text in OWN_MODULES.items():
        (workplace / name).write_text(text)
    for name, content in OWN_FILES.items():
        (workplace / name).write_bytes(content)
    (workplace / "folder").mkdir()
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.setattr("sys.dont_write_bytecode", True)


MISTAKES = [
    # Names that other programs have.
    ([*FIT, "--epochs", "3"], "Did you mean '--trainer.max_epochs'?"),
    ([*FIT, "--lr", "0.1"], "Did you mean '--model.optimizer.lr'?"),
    ([*FIT, "--learning_rate", "0.1"], "Did you mean '--model.optimizer.lr'?"),
    ([*FIT, "--batch_size", "8"], "Did you mean '--data.batch_size'?"),
    ([*FIT, "--batch-size", "8"], "Did you mean '--data.batch_size'?"),
    ([*FIT, "--seed", "1"], "Did you mean '--seed_everything'?"),
    ([*FIT, "--gpus", "2"], "Did you mean '--trainer.devices'?"),
    # Options of another command, and values without an option.
    ([*FIT, "--num_samples", "3"], "--num_samples is an option of 'predict'"),
    ([*TEST, "--labels", "3"], "--labels is an option of 'predict'"),
    (["fit", "vae"], "'vae' is no option: name a configuration with --config"),
    (["fit", "configs/vae.yaml"], "'configs/vae.yaml' is no option"),
    (["--config", "configs/vae.yaml"], "--config: options come after a command"),
    (["fit", "--model", "VAE"], "no data given"),
    (["fit", "--data", "GlyphDataModule"], "no model given"),
    # Values that are missing.
    ([*FIT, "--model.latent_dim"], "--model.latent_dim needs a value"),
    ([*FIT, "--model.latent_dim", "--data.val_size", "60"], "--model.latent_dim needs a value"),
    ([*FIT, "--model"], "--model needs a value"),
    ([*FIT, "--run_dir"], "--run_dir needs a value"),
    ([*FIT, "--config"], "--config needs a value"),
    ([*FIT, "--model.lr_scheduler", "StepLR"], "needs --model.lr_scheduler.step_size"),
    # Files.
    (["fit", "--config", "folder"], "folder is a folder: name the file in it"),
    (["fit", "--config=configs/vea.yaml"], "Did you mean 'configs/vae.yaml'?"),
    ([*FIT, "--config", "twice.yaml"], "'seed_everything' is given twice, first in line 1. Keep"),
    ([*FIT, "--config", "syntax.yaml"], "syntax.yaml, line 2, column 3"),
    ([*FIT, "--config", "tab.yaml"], "tab.yaml, line 2"),
    ([*FIT, "--config", "latin.yaml"], "latin.yaml is not UTF-8"),
    ([*FIT, "--config", "utf16.yaml"], "utf16.yaml is not UTF-8"),
    ([*FIT, "--config", "zero.yaml"], "zero.yaml"),
    ([*FIT, "--config", "list.yaml"], "--config wants a file of options"),
    ([*FIT, "--config", "word.yaml"], "--config wants a file of options"),
    ([*FIT, "--config", "empty.yaml"], "--config wants a file of options"),
    ([*FIT, "--config", "deep.yaml"], "deep.yaml is nested too deeply"),
    ([*FIT, "--config", "code.yaml"], "code.yaml, line 1"),
    ([*FIT, "--config", "unknown.yaml"], "unknown option 'modell.class_path'"),
    ([*FIT, "--config", "bomb.yaml"], "bomb.yaml stands for more than"),
    # Classes.
    ([*FIT, "--model.prior", "lacks.Mine"], "cannot import module 'lacks'"),
    ([*FIT, "--model.prior", "lacks.Mine"], "No module named 'nonexistent_thing'"),
    ([*FIT, "--model.prior", "typo.Mine"], "typo.py, line 1"),
    ([*FIT, "--model.prior", "exits.Mine"], "ends the program while it is imported"),
    ([*FIT, "--model.prior", "stranger.Mine"], "stranger.Mine is no Prior"),
    ([*FIT, "--model.prior", "stranger.Mein"], "no class 'Mein'. Did you mean 'Mine'?"),
    ([*FIT, "--model.prior", "absent.Mine"], "no module 'absent' for class 'absent.Mine'"),
    ([*FIT, "--model.prior", "absent.Mine"], "PYTHONPATH"),
    ([*FIT, "--model", "lacks.Mine"], "No module named 'nonexistent_thing'"),
    ([*FIT, "--model", "stranger.Mine"], "stranger.Mine is no LightningModule"),
    ([*FIT, "--model", "absent.Mine"], "PYTHONPATH"),
    ([*FIT, "--model.optimizer", "Adamm"], "Did you mean 'Adam'?"),
    ([*FIT, "--model.kl_weight", "-1"], "model.kl_weight must be the name of a class"),
    ([*FIT, "--trainer.callbacks", "3"], "trainer.callbacks must be the name of a class"),
    ([*FIT, "--model.likelihood", "GaussianLikelihood", "--model.likelihood.sigma", "1"],
     "GaussianLikelihood has no option 'sigma'"),
    (["task", "trueskill", "--inference", "Gibs"], "no class 'Gibs'. Did you mean 'Gibbs'?"),
    (["task", "cavi", "--algorithm", "FullPas"], "no class 'FullPas'. Did you mean 'FullPass'?"),
    (["task", "trueskill", "--league", "none.yaml"], "no file none.yaml"),
    # Numbers.
    (["task", "cavi", "--tau", "1" * 5000], "tau is a number of 5000 digits"),
    ([*FIT, "--model.optimizer.lr", "nan"], "model.optimizer.lr must be float, got nan"),
    ([*FIT, "--model.optimizer.lr", ".nan"], "model.optimizer.lr must be a finite number"),
    ([*FIT, "--model.optimizer.lr", ".inf"], "model.optimizer.lr must be a finite number"),
    ([*FIT, "--model.optimizer.lr", "-1"], "Invalid learning rate: -1"),
    ([*FIT, "--model.optimizer.betas", "[2, 3]"], "Invalid beta parameter"),
    ([*FIT, "--model.optimizer.weight_decay", "-1"], "Invalid weight_decay value"),
    ([*FIT, "--seed_everything", "-1"], "seed_everything must be a whole number from 0"),
    ([*FIT, "--seed_everything", "99999999999"], "seed_everything must be a whole number from 0"),
    ([*FIT, "--seed_everything", "1.5"], "seed_everything must be int, got 1.5"),
    ([*FIT, "--model.shape", "[1, 2, 2]"], "model.shape [1, 2, 2] is not that of GlyphDataModule"),
    ([*PREDICT, "--num_samples", "x"], "num_samples must be a whole number of at least 1, got x"),
    ([*PREDICT, "--labels", "x"], "labels must be int or list, got x"),
    ([*FIT, "--trainer.max_epochs", "0"], "trainer.max_epochs and trainer.max_steps"),
    ([*FIT, "--trainer.gradient_clip_val", "-1"], "trainer.gradient_clip_val must be at least 0"),
    ([*FIT, "--trainer.log_every_n_steps", "0"], "trainer.log_every_n_steps must be at least 1"),
    ([*FIT, "--trainer.devices", "1000"], "trainer.devices 1000: this machine has"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "message"), MISTAKES)
def test_wrong_words_are_one_line_and_leave_nothing(own_modules, capsys, typed, message):
    before = sorted(Path().rglob("*"))
    assert cli.main(typed) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": {"init_args": {"rate": float("nan")}}}, "model.rate must be a finite number"),
        ({"data": {"scale": [1.0, float("inf")]}}, "data.scale must be a finite number, got inf"),
        ({"data": {"seed": -3}}, "data.seed must be a whole number from 0"),
        ({"seed": 2**32}, "seed must be a whole number from 0"),
    ],
)
def test_numbers_are_finite_and_seeds_fit_wherever_they_stand(options, message):
    with pytest.raises(UserError, match=message):
        check_numbers(options)


@pytest.mark.parametrize(
    "trainer",
    [
        {"accumulate_grad_batches": 0},
        {"check_val_every_n_epoch": 0},
        {"gradient_clip_val": float("nan")},
        {"max_steps": 0},
    ],
)
def test_values_that_the_trainer_would_take_without_a_word_are_refused(trainer):
    with pytest.raises(UserError, match=f"trainer.{next(iter(trainer))}"):
        check_trainer(trainer)
