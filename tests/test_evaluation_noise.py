"""Figures of a trained model are its own: neither batches, order nor precision show in them."""

import math

import pytest
import torch
from pytorch_lightning import Trainer
from scipy.stats import kstest

from callbacks.monitors.elbo import ElboMonitor
from datamodules.tensor_batches import TensorBatches
from elbolab.errors import UserError
from lightning_modules.functional.bounds import ImportanceWeighted
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.noise import ContentNoise
from lightning_modules.functional.schedule import LinearSchedule
from lightning_modules.nets.likelihoods import ContinuousBernoulliLikelihood, GaussianLikelihood
from lightning_modules.nets.posteriors import (
    CategoricalPosterior,
    DiagonalGaussianPosterior,
    ExponentialPosterior,
    Posterior,
)
from lightning_modules.nets.priors import (
    ExponentialPrior,
    StandardNormalPrior,
    UniformCategoricalPrior,
)
from lightning_modules.nice import NICE
from lightning_modules.score import ScoreModel
from lightning_modules.spiral_score import SpiralScore
from lightning_modules.vae import VAE

SHAPE = (1, 4, 4)
FAMILIES = {
    DiagonalGaussianPosterior: StandardNormalPrior,
    ExponentialPosterior: ExponentialPrior,
    CategoricalPosterior: UniformCategoricalPrior,
}


def images(n: int, shape=SHAPE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, *shape), generator=generator) / 255


def vae(**options) -> VAE:
    torch.manual_seed(0)
    return VAE(SHAPE, latent_dim=3, hidden=(16,), nll_samples=7, **options).eval()


@pytest.mark.parametrize(
    "noise", [ContentNoise.of_images(images(400)), ContentNoise.of_points(images(400) - 0.5)],
    ids=["images", "points"],
)  # fmt: skip
def test_content_noise_is_uniform_normal_and_independent_over_draws(noise):
    uniform = noise.uniforms((5,), range(20))
    assert uniform.shape == (20, 400, 5)
    assert kstest(uniform.flatten().numpy(), "uniform").pvalue > 0.01
    assert kstest(noise.normal((100,)).flatten().numpy(), "norm").pvalue > 0.01
    correlation = torch.corrcoef(uniform.flatten(1))
    off = correlation[~torch.eye(20, dtype=torch.bool)]
    assert float(off.abs().max()) < 5 / 2000**0.5
    torch.testing.assert_close(noise.uniform((5,), 13), uniform[13])


@pytest.mark.parametrize("posterior", FAMILIES)
def test_draws_of_a_posterior_are_exact_and_the_quick_ones_no_others(posterior):
    """Against the slow way that any posterior has, by their means and spreads."""
    torch.manual_seed(0)
    family, n = posterior(), 3000
    raw = torch.randn(1, family.parameters_per_latent * 2).expand(n, -1)
    noise = ContentNoise(torch.arange(n)[:, None])
    quick = family.draw(raw, noise, range(3)).flatten(0, 1)
    slow = Posterior.draw(family, raw[:200], ContentNoise(torch.arange(200)[:, None]), range(3))
    q = family(raw[:1])
    for draws in (quick, slow.flatten(0, 1)):
        error = (q.variance[0] / len(draws)).sqrt()
        assert ((draws.mean(0) - q.mean[0]).abs() < 4.5 * error).all()


@pytest.mark.parametrize("posterior", FAMILIES)
def test_draws_do_not_depend_on_the_batch_nor_on_how_many_are_taken(posterior):
    model = vae(posterior=posterior, prior=FAMILIES[posterior])
    x = images(9)
    raw = model.encoder(x.flatten(1))
    whole = model.draw(x, raw, range(6))
    order = torch.randperm(9)
    assert torch.equal(model.draw(x[order], raw[order], range(6)), whole[:, order])
    assert torch.equal(model.draw(x[4:5], raw[4:5], range(2, 4)), whole[2:4, 4:5])
    slow = Posterior.draw(model.posterior, raw, ContentNoise.of_images(x), range(4))
    part = Posterior.draw(model.posterior, raw[4:], ContentNoise.of_images(x[4:]), range(2, 4))
    assert torch.equal(part, slow[2:4, 4:])


@pytest.mark.parametrize(
    "options", [{}, {"bound": lambda: ImportanceWeighted(5)}], ids=["elbo", "weighted"]
)
def test_every_figure_of_an_image_is_its_own(options):
    model, x = vae(**options), images(50)
    with torch.no_grad():
        whole = model.test_step((x,), 0)
        parts = [model.test_step((part,), 0) for part in x.split(7)]
    for name, values in whole.items():
        other = torch.cat([part[name] for part in parts])
        torch.testing.assert_close(values, other, rtol=1e-4, atol=1e-3, msg=name)


def figures(model, x, size, precision="32-true") -> dict[str, float]:
    trainer = Trainer(
        accelerator="cpu", callbacks=[ElboMonitor()], logger=False, enable_progress_bar=False,
        precision=precision, enable_checkpointing=False,
    )  # fmt: skip
    trainer.test(model, TensorBatches((x,), size), verbose=False)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def test_the_elbo_of_a_test_set_does_not_move_with_the_batch_size_nor_with_precision():
    model, x = vae(), images(300)
    one, many = figures(model, x, 64), figures(model, x, 300)
    assert one == pytest.approx(many, rel=1e-6)
    assert figures(model, x, 64, "bf16-mixed") == pytest.approx(many, rel=1e-6)


def test_a_likelihood_says_how_many_draws_it_took_and_whether_it_is_one():
    grey, binary = images(20), images(20).round()
    mixed = torch.cat([grey, binary])
    assert figures(vae(), binary, 8)["test/nll_samples"] == 7
    assert "test/nll" not in figures(vae(), grey, 8)
    assert "test/nll" not in figures(vae(), mixed, 8)
    density = vae(likelihood=ContinuousBernoulliLikelihood)
    assert {"test/nll", "test/nll_standard_error"} <= set(figures(density, grey, 8))
    said = figures(vae(), grey, 8)
    assert said["test/nll_unnormalised"] > 0
    assert said["test/nll_unnormalised_standard_error"] > 0


def test_the_number_of_draws_belongs_to_the_image():
    model = vae()
    model.nll_samples = None
    mixed = torch.cat([images(2), images(1).round()])
    assert model.samples_for(mixed).tolist() == [100, 100, 5000]


@pytest.mark.parametrize("straight_through", [True, False])
def test_the_training_figure_of_relaxed_latents_is_the_bound_not_the_objective(
    straight_through,
):
    """Over many draws its mean is that of the exact bound, well away from the objective's."""
    model = vae(
        posterior=lambda: CategoricalPosterior(4, straight_through=straight_through),
        prior=UniformCategoricalPrior,
    ).double()
    for weight in model.decoder.parameters():
        weight.data *= 4
    x = images(1).double().expand(20_000, *SHAPE)
    with torch.no_grad():
        step, raw = model.training_step((x,), 0), model.encoder(x.flatten(1))
        z = model.posterior(raw).sample()
        exact = model.decode(z).log_prob(x)
    difference = step["reconstruction"] - exact
    error = float(difference.std()) / len(x) ** 0.5
    assert abs(float(difference.mean())) < 4 * error
    assert float(step["bound"].mean()) == pytest.approx(
        float((step["reconstruction"] - step["kl"].sum(1)).mean())
    )
    relaxed = abs(float(-step["loss"] - step["bound"].mean()))
    assert relaxed < 1e-9 if straight_through else relaxed > max(0.1, 8 * error)


def test_levels_and_noise_of_a_score_models_evaluation_belong_to_the_example():
    torch.manual_seed(0)
    model = ScoreModel((2,), schedule=lambda: LinearSchedule(30, 0.01, 0.4))
    x = torch.randn(200, 2)
    with torch.no_grad():
        whole = model.validation_step((x,), 0)
        parts = [model.validation_step((part,), 0) for part in x.flip(0).split(7)]
    assert torch.equal(torch.cat([part["k"] for part in parts]).flip(0), whole["k"])
    each = torch.cat([part["by_level"]["hyvarinen"] for part in parts]).flip(0)
    torch.testing.assert_close(each, whole["by_level"]["hyvarinen"], rtol=1e-4, atol=1e-5)
    counts = torch.bincount(
        torch.cat([model.validation_step((torch.randn(1000, 2),), 0)["k"] for _ in range(3)]),
        minlength=31,
    )
    assert counts[0] == 0
    assert float((counts[1:] - 100).abs().max()) < 5 * 10  # 100 ± 10 each


def spiral() -> SpiralScore:
    torch.manual_seed(0)
    model = SpiralScore((2,), schedule=lambda: LinearSchedule(30, 0.01, 0.4))
    model.compare_with(torch.randn(40, 2), 0.05)
    return model.eval()


def test_neither_truth_nor_likelihood_is_computed_in_half_precision():
    model, x = spiral(), torch.randn(50, 2)
    k = torch.tensor(3)
    with torch.no_grad():
        plain = {**model.test_step((x,), 0)["by_level"], **model.predict_step((x,), 0)}
        plain["score"] = model.truth(x, k)
        with torch.autocast("cpu", torch.bfloat16):
            cast = {**model.test_step((x,), 0)["by_level"], **model.predict_step((x,), 0)}
            cast["score"] = model.truth(x, k)
            assert model.truth.log_prob(x.bfloat16(), k).dtype == torch.float32
    for name, values in plain.items():
        assert torch.equal(values, cast[name]), name


def test_exact_mixtures_are_the_same_under_autocast():
    truth = MixtureScore(torch.randn(500, 2), 0.05, LinearSchedule())
    x, k = torch.randn(100, 2), torch.tensor(1)
    exact = truth.log_prob(x, k)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(truth.log_prob(x, k), exact)


MODELS = {
    "vae": lambda: VAE(SHAPE, latent_dim=2, hidden=(8,), nll_samples=3),
    "nice": lambda: NICE(SHAPE, hidden=(8,)),
    "score": lambda: ScoreModel((16,), schedule=lambda: LinearSchedule(12, 0.05, 0.6)),
}


def trained(model, precision: str, path) -> Trainer:
    x = images(24) if not isinstance(model, ScoreModel) else images(24).flatten(1)
    data = TensorBatches((x,), 8)
    trainer = Trainer(
        accelerator="cpu", precision=precision, max_epochs=1, logger=False, default_root_dir=path,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(model, data, data)
    trainer.test(model, data, verbose=False)
    trainer.predict(model, data)
    return trainer


@pytest.mark.parametrize("name", MODELS)
def test_double_precision_works_and_half_precision_weights_are_refused(name, tmp_path):
    model = MODELS[name]()
    trained(model, "64-true", tmp_path)
    assert all(p.dtype == torch.float64 and p.isfinite().all() for p in model.parameters())
    for precision in ("bf16-true", "16-true"):
        with pytest.raises(UserError, match=f"precision {precision} .* take --trainer.precision"):
            trained(MODELS[name](), precision, tmp_path)


@pytest.mark.parametrize("wrong", [255.0, -0.1, 1.01, math.nan])
def test_a_vae_refuses_pixels_outside_the_unit_interval(wrong):
    model, x = vae(), images(4)
    x[2, 0, 1, 1] = wrong
    for step in (model.training_step, model.validation_step, model.test_step):
        with pytest.raises(UserError, match=r"VAE needs images in \[0, 1\], got values from"):
            step((x,), 0)


def test_a_likelihood_of_other_pixels_says_so():
    class Wide(GaussianLikelihood):
        pixel_range = (-math.inf, math.inf)

    assert vae(likelihood=Wide).training_step((images(4) * 255,), 0)["loss"].isfinite()
