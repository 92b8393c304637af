"""The switches of the VAE: all that go together train, and those that do not are refused."""

import itertools
import math

import pytest
import torch
from conftest import ROOT, SMALL
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim import SGD

import cli
from elbolab.errors import UserError
from lightning_modules.functional.annealing import Linear
from lightning_modules.functional.baselines import LeaveOneOut, RunningMean
from lightning_modules.functional.bounds import Elbo, ImportanceWeighted
from lightning_modules.functional.estimators import (
    DoublyReparameterized,
    Reparameterized,
    ScoreFunction,
    StickingTheLanding,
)
from lightning_modules.nets.likelihoods import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LearnedGaussianLikelihood,
    PixelGaussianLikelihood,
)
from lightning_modules.nets.posteriors import (
    CategoricalPosterior,
    DiagonalGaussianPosterior,
    ExponentialPosterior,
)
from lightning_modules.nets.priors import (
    ExponentialPrior,
    LearnedGaussianPrior,
    MixtureOfGaussiansPrior,
    StandardNormalPrior,
    UniformCategoricalPrior,
    VampPrior,
)
from lightning_modules.optimization import StagedDecay
from lightning_modules.vae import VAE

LIKELIHOODS = [
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LearnedGaussianLikelihood,
    PixelGaussianLikelihood,
]
REAL = [StandardNormalPrior, LearnedGaussianPrior, MixtureOfGaussiansPrior, VampPrior]
LATENTS = [
    *((DiagonalGaussianPosterior, prior) for prior in REAL),
    *((ExponentialPosterior, prior) for prior in [*REAL, ExponentialPrior]),
    *((CategoricalPosterior, prior) for prior in [UniformCategoricalPrior, VampPrior]),
]
SCORE = [ScoreFunction, lambda: ScoreFunction(RunningMean), lambda: ScoreFunction(LeaveOneOut)]
OBJECTIVES = [
    *((lambda: Elbo(2), build) for build in [Reparameterized, StickingTheLanding, *SCORE]),
    *(
        (lambda: ImportanceWeighted(3), build)
        for build in [Reparameterized, DoublyReparameterized, *SCORE]
    ),
]


def build(**choices):
    torch.manual_seed(0)
    return VAE(**{"shape": (1, 4, 3), "latent_dim": 3, "hidden": (8,), **choices})


def fits(posterior, prior, bound, estimator):
    if posterior is not CategoricalPosterior:
        return True
    relaxed = estimator is Reparameterized and prior is UniformCategoricalPrior
    return estimator in SCORE or (relaxed and bound().linear)


@pytest.mark.parametrize(("posterior", "prior"), LATENTS, ids=lambda c: c.__name__)
def test_every_combination_learns_or_is_refused(posterior, prior):
    x = torch.rand(5, 1, 4, 3, generator=torch.Generator().manual_seed(0))
    for likelihood, (bound, estimator) in itertools.product(LIKELIHOODS, OBJECTIVES):
        choices = {"likelihood": likelihood, "posterior": posterior, "prior": prior}
        if not fits(posterior, prior, bound, estimator):
            with pytest.raises(UserError, match="take ScoreFunction|no such limit"):
                build(bound=bound, estimator=estimator, **choices)
            continue
        model = build(bound=bound, estimator=estimator, **choices)
        output = model.training_step((x,), 0)
        output["loss"].backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        assert output["bound"].shape == output["reconstruction"].shape == (5,)
        images = model.sample(2, torch.Generator().manual_seed(1))
        assert images.shape == (2, 1, 4, 3)
        assert bool(((images >= 0) & (images <= 1)).all())
        assert model.reconstruct(x).shape == x.shape


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        (DiagonalGaussianPosterior, ExponentialPrior),
        (DiagonalGaussianPosterior, UniformCategoricalPrior),
        (CategoricalPosterior, StandardNormalPrior),
    ],
    ids=lambda c: c.__name__,
)
def test_a_prior_that_is_zero_at_the_posteriors_latents_is_refused(posterior, prior):
    with pytest.raises(UserError, match=f"{posterior.__name__} and {prior.__name__} do not go"):
        build(posterior=posterior, prior=prior)


def test_kl_weight_scales_the_kl_of_the_loss_and_of_nothing_else():
    model = build(kl_weight=lambda: Linear(0.25, 1.0, epochs=3))
    x = torch.rand(5, 1, 4, 3)
    for epoch, beta in ((0.0, 0.25), (1.0, 0.5), (7.0, 1.0)):
        model.anneal(epoch)
        torch.manual_seed(1)
        output = model.training_step((x,), 0)
        expected = (beta * output["kl"].sum(1) - output["reconstruction"]).mean()
        torch.testing.assert_close(output["loss"].detach(), expected)
        torch.testing.assert_close(output["bound"], output["reconstruction"] - output["kl"].sum(1))


@pytest.mark.parametrize("posterior", [DiagonalGaussianPosterior, CategoricalPosterior])
def test_nll_tends_to_the_evidence_summed_over_latents(posterior):
    """One latent on a fine grid, or of ten classes: log p(x) is a sum that can be written out."""
    prior = UniformCategoricalPrior if posterior is CategoricalPosterior else StandardNormalPrior
    model = build(posterior=posterior, prior=prior, latent_dim=1, nll_samples=20_000).double()
    x = (torch.rand(4, 1, 4, 3, dtype=torch.float64) > 0.5).double()
    if posterior is CategoricalPosterior:
        z, log_prior = torch.eye(10, dtype=torch.float64)[:, None], math.log(0.1)
    else:
        z = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None]
        log_prior = -0.5 * (z**2 + math.log(2 * math.pi)) + math.log(18 / 4000)
    each = torch.stack([model.decode(z).log_prob(image) for image in x], 1)
    exact = torch.logsumexp(each + log_prior, 0)
    torch.manual_seed(2)
    assert ((model.nll(x) + exact).abs() < 0.02).all()


def test_nll_is_the_same_whatever_the_memory():
    model = build(hidden=(400, 3000), nll_samples=130)
    x = torch.rand(60, 1, 4, 3)
    nlls = []
    for memory in (1, 2, 5, 1000):
        model.nll_memory = memory
        torch.manual_seed(3)
        nlls.append(model.nll(x))
    for other in nlls[1:]:
        torch.testing.assert_close(other, nlls[0], atol=1e-4, rtol=0)


def test_nll_takes_5000_draws_of_binary_images_and_100_of_others(monkeypatch):
    model, asked = build(), []

    def spy(problem, samples, memory):
        asked.append(samples)
        return torch.zeros(len(problem.x))

    monkeypatch.setattr("lightning_modules.vae.log_evidence", spy)
    model.nll(torch.ones(2, 1, 4, 3))
    model.nll(torch.full((2, 1, 4, 3), 0.5))
    model.nll_samples = 7
    model.nll(torch.ones(2, 1, 4, 3))
    assert asked == [5000, 100, 7]


def test_staged_decay_is_the_published_one_over_any_number_of_epochs():
    weight = torch.nn.Parameter(torch.zeros(()))
    rates = {}
    for epochs in (3280, 328):
        optimizer = SGD([weight], lr=1.0)
        schedule = StagedDecay(optimizer, epochs)
        rates[epochs] = []
        for _ in range(epochs):
            rates[epochs].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
    counts = [rates[3280].count(rate) for rate in sorted(set(rates[3280]), reverse=True)]
    assert counts == [3**i for i in range(8)]
    assert rates[3280][-1] == pytest.approx(0.1)
    assert rates[328] == pytest.approx(rates[3280][::10])


def test_gradient_noise_is_measured_drawn_and_leaves_training_alone(fit, workplace):
    config = workplace / "noise.yaml"
    text = (workplace / "configs/vae_glyphs.yaml").read_text()
    monitor = "GradientNoiseMonitor"
    options = "{samples: 2, draws: 3, every_n_epochs: 1}"
    line = f"    - class_path: {monitor}\n      init_args: {options}\n"
    config.write_text(text.replace("  callbacks:\n", "  callbacks:\n" + line))
    plain, watched = fit("plain"), fit("watched", "--config", str(config), *SMALL)
    assert (watched / "images/gradient_noise.png").exists()
    assert not (plain / "images/gradient_noise.png").exists()
    weights = [
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for run in (plain, watched)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    events = EventAccumulator(str(watched))
    events.Reload()
    tags = events.Tags()["scalars"]
    assert events.Scalars("gradient/variance/Elbo/encoder/Reparameterized")[-1].value > 0
    assert "gradient/snr/ImportanceWeighted/decoder/DoublyReparameterized" in tags


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--model.bound", "ImportanceWeighted", "--model.estimator", "StickingTheLanding"],
            "biased",
        ),
        (["--model.posterior", "CategoricalPosterior"], "do not go together"),
        (["--model.bound", "Elbo", "--model.bound.draws", "0"], "draws must be at least 1, got 0"),
        (["--model.nll_samples", "0"], "nll_samples must be at least 1, got 0"),
        (["--model.prior", "VampPriorr"], "VampPrior"),
    ],
    ids=lambda v: v[-1] if isinstance(v, list) else "",
)
def test_what_does_not_go_together_is_one_line(workplace, capsys, options, said):
    typed = ["fit", "--config", "configs/vae_glyphs.yaml", *options]
    assert cli.main(typed) == 2
    message = capsys.readouterr().err.strip()
    assert said in message
    assert len(message.splitlines()) == 1
    assert not (workplace / "runs").exists()


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "configs").glob("*vae*.yaml")))
def test_every_configuration_of_the_family_takes_the_glyphs(workplace, name):
    typed = ["--config", f"configs/{name}.yaml", "--data", "GlyphDataModule", *SMALL[:6]]
    assert cli.main(["fit", *typed, "--trainer.fast_dev_run", "2"]) == 0
