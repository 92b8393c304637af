"""Latents of a VAE as data: standardised, kept, and refused where they cannot be had."""

from pathlib import Path

import pytest
import torch
from latent_space import write_vae_run

from datamodules.latents import LatentDataModule
from elbolab.errors import UserError
from lightning_modules.latent_codec import LatentCodec
from lightning_modules.nets.posteriors import ExponentialPosterior
from lightning_modules.nets.priors import ExponentialPrior


@pytest.fixture
def run(workplace) -> Path:
    write_vae_run(workplace / "runs/latent_vae")
    return Path("runs/latent_vae")


def loaded(run, **options) -> LatentDataModule:
    data = LatentDataModule(str(run), **options)
    data.prepare_data()
    data.setup("fit")
    return data


def everything(loader) -> torch.Tensor:
    return torch.cat([u for u, _ in loader])


def test_latents_are_the_encoders_means_standardised_over_the_training_images(run):
    data = loaded(run)
    assert data.shape == (3,)
    u = everything(data.train_dataloader())
    torch.testing.assert_close(u.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(u.var(0), torch.ones(3), atol=1e-4, rtol=0)
    x, y = next(iter(data.images.test_dataloader()))
    v, labels = next(iter(data.test_dataloader()))
    mean = data.codec.vae.encode(x).mean
    torch.testing.assert_close(v[: len(x)] * data.codec.scale + data.codec.shift, mean)
    assert torch.equal(labels[: len(x)], y)
    decoded = data.codec.vae.decode(mean).mean
    torch.testing.assert_close(data.codec.decode(v[: len(x)]), decoded)


def test_fresh_samples_differ_between_epochs_and_have_variance_one(run):
    data = loaded(run, fresh_samples=True, batch_size=300)
    loader = data.train_dataloader()
    epochs = []
    for epoch in range(40):
        loader.set_epoch(epoch)
        epochs.append(everything(loader))
    assert not torch.equal(epochs[0], epochs[1])
    pooled = torch.cat(
        epochs
    )  # 12,000 draws: a variance is known to 1.3 %, and 300 means are fewer
    torch.testing.assert_close(pooled.var(0), torch.ones(3), atol=0.05, rtol=0)
    loader.set_epoch(0)
    assert torch.equal(everything(loader), epochs[0])


@pytest.fixture
def encodings(monkeypatch) -> list[int]:
    """Sizes of the batches that an encoder was given."""
    sizes, encode = [], LatentCodec.encode
    monkeypatch.setattr(
        LatentCodec, "encode", lambda self, x: (sizes.append(len(x)), encode(self, x))[1]
    )
    return sizes


def test_encodings_are_kept_until_the_vae_or_its_images_change(run, encodings):
    first = everything(loaded(run).val_dataloader())
    assert sum(encodings) == 300 + 70  # validation is part of the 300
    encodings.clear()
    assert torch.equal(everything(loaded(run).val_dataloader()), first)
    assert not encodings
    config, kept = run / "config.yaml", run / "latents.pt"
    config.write_text(config.read_text().replace("train_size: 300", "train_size: 310"))
    loaded(run)
    assert sum(encodings) == 310 + 70
    encodings.clear()
    kept.write_bytes(kept.read_bytes()[:100])
    loaded(run)
    assert encodings
    encodings.clear()
    vae = write_vae_run(run)  # 300 images again
    with torch.no_grad():
        vae.encoder[0].weight[0, 0] += 1
    checkpoint = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    torch.save(checkpoint | {"state_dict": vae.state_dict()}, run / "checkpoints/best.ckpt")
    loaded(run)
    assert encodings


def test_a_missing_run_comes_with_the_command_that_makes_it(workplace):
    with pytest.raises(UserError, match="python cli.py fit --config configs/latent_vae.yaml'"):
        LatentDataModule("runs/latent_vae")
    with pytest.raises(UserError, match=r"configs/latent_vae.yaml --run_dir other/place'"):
        LatentDataModule("other/place")
    write_vae_run(Path("runs/latent_vae"))
    with pytest.raises(UserError, match="Did you mean 'runs/latent_vae'"):
        LatentDataModule("runs/latent_vea")


def test_a_half_written_run_says_what_it_lacks(run):
    (run / "config.yaml").unlink()
    with pytest.raises(
        UserError, match=r"config.yaml names no data set of images: .*--data.images"
    ):
        LatentDataModule(str(run))
    checkpoint = run / "checkpoints/best.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"best.ckpt is damaged|refused"):
        LatentDataModule(str(run))
    checkpoint.unlink()
    (run / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds no checkpoints/best.ckpt"):
        LatentDataModule(str(run))


def test_only_vaes_with_latents_in_space_will_do(run):
    checkpoint = run / "checkpoints/best.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": {"shape": (2,)}}, checkpoint)
    with pytest.raises(UserError, match="is no checkpoint of a VAE"):
        LatentDataModule(str(run))
    options = {"posterior": ExponentialPosterior, "prior": ExponentialPrior}
    vae = write_vae_run(run, **options)
    carried = torch.load(checkpoint, weights_only=True)
    paths = {name: {"class_path": f"{c.__module__}.{c.__name__}"} for name, c in options.items()}
    extra = {"_class_path": "lightning_modules.vae.VAE", **paths}
    carried["hyper_parameters"] |= extra | {
        "_instantiator": "pytorch_lightning.cli.instantiate_module"
    }
    torch.save(carried, checkpoint)
    assert vae.latent_dim == 3
    with pytest.raises(UserError, match="ExponentialPosterior are not vectors in R"):
        LatentDataModule(str(run))


def test_sizes_below_one_are_refused(run):
    with pytest.raises(UserError, match="batch_size must be at least 1, got 0"):
        LatentDataModule(str(run), batch_size=0)
