"""Real MNIST, where DATA_ROOT names a folder that holds it."""

import json
from pathlib import Path

import pytest

import cli
from datamodules.mnist import MNISTDataModule

pytestmark = pytest.mark.real_data

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]


def metrics(run: str) -> dict[str, float]:
    return json.loads((Path(run) / "metrics.json").read_text())


def test_mnist_is_complete(data_root):
    data = MNISTDataModule(root=str(data_root))
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    sizes = [sum(len(x) for x, _ in loader) for loader in
             (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())]  # fmt: skip
    assert sizes == [55_000, 5_000, 10_000]
    x = next(iter(data.test_dataloader()))[0]
    assert (float(x.min()), float(x.max())) == (0, 1)


def test_the_base_model_learns_and_its_figures_do_not_depend_on_the_batch_size(
    workplace, data_root
):
    base = ["--config", "configs/vae.yaml", "--data.root", str(data_root), *QUIET]
    short = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "400"]
    assert cli.main(["fit", *base, *short, "--run_dir", "run"]) == 0
    found = []
    for size in ("64", "1000", "10000"):
        assert cli.main(["test", "--run_dir", "run", *QUIET, "--data.eval_batch_size", size]) == 0
        found.append(metrics("run"))
    # A plain loop is at about −155 after 400 steps; an untrained model at −550.
    assert found[0]["test/elbo"] > -180
    for other in found[1:]:
        assert other["test/kl"] == pytest.approx(found[0]["test/kl"], rel=1e-4)
        error = other["test/elbo_standard_error"]
        assert abs(other["test/elbo"] - found[0]["test/elbo"]) < 3 * error
