"""The VAE module: its contract, and what its checkpoints carry."""

import math

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from torch.distributions import Distribution

from datamodules.tensor_batches import TensorBatches
from elbolab.errors import UserError
from lightning_modules.latent_codec import LatentCodec
from lightning_modules.nets.likelihoods import GaussianLikelihood
from lightning_modules.nets.priors import LearnedGaussianPrior
from lightning_modules.vae import VAE


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(shape=(1, 6, 5), latent_dim=3, hidden=(16,))


def test_encode_and_decode_return_distributions_of_the_declared_shapes(vae):
    x = torch.rand(7, 1, 6, 5)
    posterior, likelihood = vae.encode(x), vae.decode(torch.randn(7, 3))
    assert isinstance(posterior, Distribution)
    assert (posterior.batch_shape, posterior.event_shape) == ((7,), (3,))
    assert (likelihood.batch_shape, likelihood.event_shape) == ((7,), (1, 6, 5))
    terms = vae.estimate(x, vae.bound, vae.estimator)
    assert terms.reconstruction.shape == (7,)
    assert terms.kl.shape == (7, 3)


def test_samples_are_images_that_depend_on_the_generator_alone(vae):
    first = vae.sample(4, torch.Generator().manual_seed(1))
    torch.manual_seed(99)
    again = vae.sample(4, torch.Generator().manual_seed(1))
    other = vae.sample(4, torch.Generator().manual_seed(2))
    assert first.shape == (4, 1, 6, 5)
    assert bool(((first >= 0) & (first <= 1)).all())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert vae.sample(2).shape == (2, 1, 6, 5)


def test_training_loss_is_the_mean_negative_bound(vae):
    torch.manual_seed(3)
    output = vae.training_step((torch.rand(5, 1, 6, 5),), 0)
    bound = output["reconstruction"] - output["kl"].sum(1)
    torch.testing.assert_close(output["loss"], -bound.mean())


@pytest.mark.parametrize(
    "sizes", [{"latent_dim": 0}, {"hidden": (16, 0)}, {"shape": (1, -2, 5)}], ids=str
)
def test_sizes_below_one_are_refused(sizes):
    name, value = next(iter(sizes.items()))
    with pytest.raises(UserError, match=f"{name} must be at least 1"):
        VAE(**{"shape": (1, 6, 5), "latent_dim": 3, name: value})


def train(model: VAE, path, **options) -> Trainer:
    data = TensorBatches((torch.rand(64, 1, 6, 5),), 16, shuffle=True)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        default_root_dir=path,
        limit_val_batches=0,
        **quiet,
        **options,
    )
    trainer.fit(model, data)
    return trainer


def test_a_checkpoint_made_in_python_loads_without_running_code(vae, tmp_path):
    trainer = train(vae, tmp_path, enable_checkpointing=False)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = VAE.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert loaded.latent_dim == 3
    assert loaded.shape == (1, 6, 5)
    x = torch.rand(2, 1, 6, 5)
    torch.testing.assert_close(loaded.encode(x).mean, vae.encode(x).mean)


def saved(model: VAE, path) -> str:
    train(model, path, enable_checkpointing=False).save_checkpoint(path / "model.ckpt")
    return str(path / "model.ckpt")


PYTHON = {
    "likelihood": GaussianLikelihood,
    "activation": torch.nn.Tanh,
    "prior": lambda latent_shape, shape: LearnedGaussianPrior(latent_shape, shape),
    "hidden": np.array([8]),
}


@pytest.mark.parametrize("name", PYTHON)
def test_what_a_checkpoint_cannot_restore_has_to_be_given_again(tmp_path, name):
    model = VAE(**{"shape": (1, 6, 5), "latent_dim": 3, "hidden": (8,), name: PYTHON[name]})
    path = saved(model, tmp_path)
    with pytest.raises(UserError, match=f"VAE was built in Python with {name}=.* give it again"):
        VAE.load_from_checkpoint(path, weights_only=True)
    again = VAE.load_from_checkpoint(path, weights_only=True, **{name: PYTHON[name]})
    x = torch.rand(2, 1, 6, 5)
    torch.testing.assert_close(again.reconstruct(x), model.reconstruct(x))


def test_whole_numbers_of_numpy_are_plain(tmp_path):
    path = saved(VAE((1, 6, 5), np.int64(4), (8,)), tmp_path)
    assert VAE.load_from_checkpoint(path, weights_only=True).latent_dim == 4


def test_an_optimizer_given_in_python_is_missed_when_training_goes_on(tmp_path):
    build = lambda p: torch.optim.SGD(p, 0.1)  # noqa: E731
    model = VAE((1, 6, 5), 3, (8,), optimizer=build, lr_scheduler=None)
    path = saved(model, tmp_path)
    loaded = VAE.load_from_checkpoint(path, weights_only=True)
    assert loaded.sample(2).shape == (2, 1, 6, 5)
    with pytest.raises(UserError, match=r"without its optimizer, .* give it again"):
        train(loaded, tmp_path, enable_checkpointing=False)
    again = VAE.load_from_checkpoint(path, weights_only=True, optimizer=build)
    train(again, tmp_path, enable_checkpointing=False)


def test_a_codec_refuses_a_vae_that_it_would_build_wrongly(tmp_path):
    model = VAE((1, 6, 5), 3, (8,), likelihood=GaussianLikelihood)
    checkpoint = torch.load(saved(model, tmp_path), weights_only=True)
    with pytest.raises(UserError, match="built in Python with likelihood=GaussianLikelihood"):
        LatentCodec(checkpoint, "model.ckpt")


@pytest.mark.parametrize("rate", [-1.0, math.inf, math.nan])
def test_impossible_learning_rates_are_refused(rate):
    model = VAE((1, 6, 5), 3, (8,), optimizer=lambda p: WithRate(p, rate))
    with pytest.raises(UserError, match=r"optimizer.lr must be (finite and )?at least 0, got"):
        model.configure_optimizers()


class WithRate(torch.optim.SGD):
    """Takes any rate, which torch's own refuse in part."""

    def __init__(self, parameters, rate):
        super().__init__(parameters, lr=0.1)
        self.param_groups[0]["lr"] = rate


def test_mixed_precision_trains_and_keeps_likelihoods_in_float32(vae, tmp_path):
    seen = []
    step = vae.training_step

    def spy(batch, batch_idx):
        output = step(batch, batch_idx)
        seen.append(
            (output["reconstruction"].dtype, output["kl"].dtype, float(output["loss"].detach()))
        )
        return output

    vae.training_step = spy
    train(vae, tmp_path, precision="bf16-mixed", enable_checkpointing=False)
    assert {(r, k) for r, k, _ in seen} == {(torch.float32, torch.float32)}
    assert all(loss == loss for *_, loss in seen)


def test_optimizer_is_adam_and_the_schedule_steps_once_an_epoch(tmp_path):
    decay = lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)  # noqa: E731
    model = VAE(shape=(1, 6, 5), latent_dim=2, hidden=(8,), lr_scheduler=decay)
    trainer = train(model, tmp_path, enable_checkpointing=False)
    (optimizer,) = trainer.optimizers
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["weight_decay"] == 0
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-4)
