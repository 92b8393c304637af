"""NICE: its formulas against autograd, quadrature and closed forms; its contract as a module."""

import math

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from scipy.stats import kstest, logistic
from test_nice_dequantization import content_noise
from torch.autograd.functional import jacobian

from datamodules.tensor_batches import TensorBatches
from elbolab.errors import UserError
from lightning_modules.functional.normalising_flow import (
    couple,
    dequantize,
    logistic_log_prob,
    logistic_quantile,
)
from lightning_modules.nice import NICE


def random_nice(shape=(1, 4, 6), dtype=torch.float64, spread=1.0, **options) -> NICE:
    """A small flow all of whose parameters matter, log-scales of both signs included."""
    torch.manual_seed(0)
    model = NICE(shape, hidden=(16, 16), **options).to(dtype)
    model.scale.data.normal_().mul_(spread / model.log_scale.std())
    return model


def images(n: int, shape=(1, 4, 6), seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, *shape), generator=generator).float() / 255


@pytest.mark.parametrize("couplings", [1, 2, 3, 4])
def test_inverse_undoes_forward(couplings):
    model = random_nice(couplings=couplings)
    y = torch.randn(50, 1, 4, 6, dtype=torch.float64)
    z, log_det = model(y)
    back, back_log_det = model.inverse(z)
    assert back.shape == y.shape
    assert float((back - y).detach().abs().max()) < 1e-10
    torch.testing.assert_close(log_det, -back_log_det)
    again, _ = model(model.inverse(torch.randn_like(z))[0])
    assert again.shape == z.shape


def test_log_determinant_is_that_of_the_autograd_jacobian():
    model = random_nice((6,))
    for y in torch.randn(5, 6, dtype=torch.float64):
        full = jacobian(lambda v: model(v[None])[0][0], y)
        torch.testing.assert_close(model(y[None])[1], torch.linalg.slogdet(full).logabsdet)


def test_halves_alternate_so_that_each_coupling_moves_one_of_them():
    one, ten = torch.ones_like, lambda half: 10 * torch.ones_like(half)
    x, units = torch.zeros(1, 6), torch.ones(6)
    assert couple(x, [one], units).tolist() == [[0, 1, 0, 1, 0, 1]]
    assert couple(x, [one, ten], units).tolist() == [[10, 1, 10, 1, 10, 1]]
    assert couple(x, [one, ten], torch.arange(6.0)).tolist() == [[0, 1, 20, 3, 40, 5]]
    sees = couple(torch.arange(6.0)[None], [lambda even: 100 * even], units)
    assert sees.tolist() == [[0, 1, 2, 203, 4, 405]]


def test_the_density_in_two_dimensions_integrates_to_one():
    model = random_nice((2,), spread=0.5)
    line = torch.arange(-40, 40, 0.05, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        mass = torch.stack([model.log_prob(part).exp().sum() for part in grid.split(200_000)])
    assert float(mass.sum()) * 0.05**2 == pytest.approx(1, abs=1e-4)


def test_the_prior_is_scipys_logistic_and_so_are_its_draws():
    z = torch.linspace(-60, 60, 241, dtype=torch.float64)
    np.testing.assert_allclose(logistic_log_prob(z), logistic.logpdf(z.numpy()), rtol=1e-12)
    u = torch.rand(20_000, generator=torch.Generator().manual_seed(2))
    assert kstest(logistic_quantile(u).numpy(), logistic.cdf).pvalue > 0.01
    assert bool(logistic_quantile(torch.tensor([0.0, 1 - 2**-24])).isfinite().all())


def test_without_shifts_the_likelihood_is_the_logistic_mass_of_each_byte():
    model = random_nice((1, 2, 2), draws=4000, dtype=torch.float32)
    for shift in model.shifts:
        torch.nn.init.zeros_(shift[-1].weight)
        torch.nn.init.zeros_(shift[-1].bias)
    x = images(3, (1, 2, 2))
    scale = model.log_scale.exp().detach().double().numpy()
    left = (255 * x.flatten(1).double().numpy()).round() / 256
    mass = logistic.cdf((left + 1 / 256) * scale) - logistic.cdf(left * scale)
    exact = np.log(256 * mass).sum(1)
    # 4,000 draws of a density that varies by at most a few per cent within a bin.
    np.testing.assert_allclose(model.log_likelihood(x).detach(), exact, atol=2e-3)


def test_draws_are_averaged_by_log_mean_exp():
    model, x = random_nice(draws=7, dtype=torch.float32), images(5)
    each = torch.stack([model.log_prob(dequantize(x, content_noise(x, k))) for k in range(7)])
    expected = torch.logsumexp(each, 0) - math.log(7)
    torch.testing.assert_close(model.log_likelihood(x), expected, rtol=1e-5, atol=1e-4)


def test_an_image_has_one_likelihood_whatever_its_batch():
    model, x = random_nice(dtype=torch.float32), images(20)
    whole = model.log_likelihood(x)
    parts = torch.cat([model.log_likelihood(part) for part in x.flip(0).split(3)]).flip(0)
    torch.testing.assert_close(whole, parts, rtol=1e-5, atol=1e-4)


def test_samples_are_byte_images_that_depend_on_the_generator_alone():
    model = random_nice(dtype=torch.float32)
    first = model.sample(9, torch.Generator().manual_seed(1))
    torch.manual_seed(99)
    assert torch.equal(first, model.sample(9, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, model.sample(9, torch.Generator().manual_seed(2)))
    assert first.shape == (9, 1, 4, 6)
    torch.testing.assert_close((255 * first).round() / 255, first)
    assert bool(model.log_likelihood(first).isfinite().all())


def train(model: NICE, path, **options) -> Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        max_epochs=3,
        accelerator="cpu",
        default_root_dir=path,
        limit_val_batches=0,
        enable_checkpointing=False,
        **quiet,
        **options,
    )
    trainer.fit(model, TensorBatches((images(512) ** 4,), 32, shuffle=True))
    return trainer


def test_a_checkpoint_gives_identical_likelihoods(tmp_path):
    model = NICE((1, 4, 6), hidden=(16,))
    before = float(model.log_likelihood(images(50) ** 4).mean().detach())
    train(model, tmp_path).save_checkpoint(tmp_path / "model.ckpt")
    loaded = NICE.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    x = images(50) ** 4
    assert torch.equal(loaded.log_likelihood(x), model.log_likelihood(x))
    assert float(model.log_likelihood(x).mean()) > before + 10


def test_mixed_precision_trains_and_likelihoods_stay_those_of_float64(tmp_path):
    model, seen = NICE((1, 14, 14), hidden=(64, 64)), []
    model.shifts[0].register_forward_hook(lambda *args: seen.append(args[2].dtype))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        max_epochs=3, accelerator="cpu", precision="bf16-mixed", default_root_dir=tmp_path,
        limit_val_batches=0, enable_checkpointing=False, **quiet,
    )  # fmt: skip
    x = images(256, (1, 14, 14)) ** 4
    trainer.fit(model, TensorBatches((x,), 32, shuffle=True))
    assert set(seen) == {torch.bfloat16}
    with torch.autocast("cpu", torch.bfloat16):
        likelihood = model.log_likelihood(x)
    y = dequantize(x, content_noise(x, 0))
    exact = model.double().log_prob(y.double())
    assert likelihood.dtype == torch.float32
    assert float((likelihood - exact).abs().max()) < 1e-3
    assert float(exact.abs().mean()) > 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (1, 3, 5)}, r"shape \(1, 3, 5\) has 15, an odd number"),
        ({"shape": (1, 0, 4)}, "shape must be at least 1, got 0"),
        ({"couplings": 0}, "couplings must be at least 1, got 0"),
        ({"hidden": (16, 0)}, "hidden must be at least 1, got 0"),
        ({"draws": 0}, "draws must be at least 1, got 0"),
    ],
)
def test_impossible_sizes_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        NICE(**{"shape": (1, 4, 6), **options})


@pytest.mark.parametrize("wrong", [-0.1, 1.01, 255.0, math.nan])
def test_images_outside_the_unit_interval_are_refused(wrong):
    model, x = random_nice(dtype=torch.float32), images(4)
    x[2, 0, 1, 1] = wrong
    for step in (model.training_step, model.test_step):
        with pytest.raises(UserError, match=r"NICE needs images in \[0, 1\], got values from"):
            step((x,), 0)
