"""Likelihoods, posteriors and priors against integration, enumeration and reference samples."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chisquare, expon, kstest, norm
from torch.distributions import ContinuousBernoulli, Independent, MultivariateNormal

from elbolab.errors import UserError
from lightning_modules.functional.annealing import Exponential
from lightning_modules.functional.distributions import (
    LOG_VARIANCE_BOUND,
    GumbelSoftmax,
    LogVarianceNormal,
    bounded,
    continuous_bernoulli_log_prob,
    continuous_bernoulli_normalizer,
)
from lightning_modules.functional.elbo import closed_form_kl
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

F64 = torch.float64
GREY = [
    ContinuousBernoulliLikelihood,
    lambda shape: GaussianLikelihood(shape, scale=0.2),
    LearnedGaussianLikelihood,
    PixelGaussianLikelihood,
]


def test_bernoulli_likelihood_sums_to_one_over_all_binary_images():
    raw = torch.randn(1, 1, 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    likelihood = BernoulliLikelihood((1, 2, 3))(raw)
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)), dtype=F64)
    total = likelihood.log_prob(images.view(-1, 1, 2, 3)).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("build", GREY, ids=["continuous", "fixed", "learned", "pixel"])
@pytest.mark.parametrize("logit", [-12.0, -0.2, 0.0, 0.31, 3.0])
def test_grey_likelihoods_integrate_to_one_and_have_the_mean_they_say(build, logit):
    likelihood = build((1,)).double()
    raw = torch.full((1, likelihood.parameters_per_pixel, 1), logit, dtype=F64)
    pixel = likelihood(raw)
    low, high = (0, 1) if build is ContinuousBernoulliLikelihood else (-60, 60)

    def density(x):
        return math.exp(float(pixel.log_prob(torch.tensor([[x]], dtype=F64)).detach()))

    mean = float(pixel.mean.detach())
    near = [p for p in mean + np.array([-9, -1, -0.1, 0, 0.1, 1, 9]) if low < p < high]
    total, _ = quad(density, low, high, points=near, limit=400)
    first, _ = quad(lambda x: x * density(x), low, high, points=near, limit=400)
    assert total == pytest.approx(1, abs=1e-7)
    assert first == pytest.approx(mean, abs=1e-7)


def test_continuous_bernoulli_equals_torchs_away_from_zero_and_is_smooth_at_it():
    x = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=F64)
    for logit in (-8.0, -1.0, 0.5, 4.0):
        logits = torch.full_like(x, logit)
        expected = ContinuousBernoulli(logits=logits).log_prob(x)
        torch.testing.assert_close(continuous_bernoulli_log_prob(x, logits), expected)
    logits = torch.linspace(-1, 1, 4001, dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(continuous_bernoulli_normalizer(logits).sum(), logits)
    assert float(slope.diff().abs().max()) < 1e-4  # no step where the series begins
    assert float(slope[2000]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, -2.0), (-0.3, 1.2)])
def test_gaussian_kls_equal_numerical_integration(mean, log_variance):
    raw = torch.tensor([[mean, log_variance]], dtype=F64)
    q = DiagonalGaussianPosterior()(raw)
    truth = norm(mean, float(q.stddev))
    prior = LearnedGaussianPrior((1,), (1,)).double()
    torch.nn.init.constant_(prior.mean, 0.4)
    torch.nn.init.constant_(prior.log_variance, -0.7)
    for p, other in (
        (StandardNormalPrior((1,), (1,)).double(), norm()),
        (prior, norm(0.4, math.exp(-0.35))),
    ):
        expected, _ = quad(
            lambda z, p=other: truth.pdf(z) * (truth.logpdf(z) - p.logpdf(z)), -20, 20
        )
        kl = closed_form_kl(q, p(None))
        assert kl.shape == (1, 1)
        assert float(kl.detach()) == pytest.approx(expected, abs=1e-8)


def test_exponential_kl_equals_the_formula_and_numerical_integration():
    q = ExponentialPosterior()(torch.tensor([[math.log(2.0)]], dtype=F64))
    rate = float(q.base_dist.rate)
    kl = float(closed_form_kl(q, ExponentialPrior((1,), (1,), rate=0.5).double()(None)))
    assert kl == pytest.approx(
        math.log(rate / 0.5) + 0.5 / rate - 1, abs=1e-8
    )  # log λ is kept in float32
    a, b = expon(scale=1 / rate), expon(scale=2)
    expected, _ = quad(lambda z: a.pdf(z) * (a.logpdf(z) - b.logpdf(z)), 0, 40 / rate)
    assert kl == pytest.approx(expected, abs=1e-8)


def test_categorical_kl_equals_enumeration():
    raw = torch.randn(2, 3 * 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    q = CategoricalPosterior(4)(raw)
    kl = closed_form_kl(q, UniformCategoricalPrior((3, 4), (1,)).double()(None))
    pi = raw.view(2, 3, 4).softmax(-1)
    torch.testing.assert_close(kl, (pi * (4 * pi).log()).sum(-1))


def test_no_closed_form_is_none():
    q = DiagonalGaussianPosterior()(torch.zeros(1, 4))
    assert closed_form_kl(q, MixtureOfGaussiansPrior((2,), (1,))(None)) is None
    assert closed_form_kl(MultivariateNormal(torch.zeros(2), torch.eye(2)), q) is None


def test_exponential_draws_are_exponential():
    torch.manual_seed(0)
    q = ExponentialPosterior()(torch.full((1, 1), 0.7, dtype=F64))
    draws = q.rsample([20_000]).flatten().numpy()
    assert kstest(draws, expon(scale=1 / float(q.base_dist.rate)).cdf).pvalue > 0.01
    assert draws.min() >= 0


def test_gaussian_draws_are_gaussian():
    torch.manual_seed(1)
    draws = LogVarianceNormal(torch.tensor(0.3, dtype=F64), torch.tensor(1.1, dtype=F64))
    assert kstest(draws.rsample([20_000]).numpy(), norm(0.3, math.exp(0.55)).cdf).pvalue > 0.01


@pytest.mark.parametrize("draw", ["sample", "relaxed"])
def test_categorical_draws_have_their_probabilities(draw):
    torch.manual_seed(2)
    logits = torch.tensor([0.1, -1.0, 1.3, 0.0], dtype=F64)
    q = GumbelSoftmax(logits, temperature=0.3)
    y = q.sample([20_000]) if draw == "sample" else q.rsample([20_000])
    counts = torch.bincount(y.argmax(-1), minlength=4).numpy()  # τ does not change the argmax
    assert chisquare(counts, 20_000 * logits.softmax(0).numpy()).pvalue > 0.01


def test_gumbel_softmax_tends_to_the_categorical_as_the_temperature_falls():
    logits = torch.tensor([0.1, -1.0, 1.3], dtype=F64)
    far = []
    for temperature in (1.0, 0.1, 0.01, 0.001):
        torch.manual_seed(3)  # the same Gumbel noise each time
        y = GumbelSoftmax(logits, temperature).rsample([5000])
        torch.testing.assert_close(y.sum(-1), torch.ones(5000, dtype=F64))
        far.append(float((1 - y.max(-1).values).mean()))
    assert far == sorted(far, reverse=True)
    assert far[-1] < 1e-3
    spread = (0.25 / 5000) ** 0.5
    assert ((y.mean(0) - logits.softmax(0)).abs() < 3 * spread + far[-1]).all()


def test_straight_through_gives_one_hot_vectors_with_the_relaxed_gradient():
    logits = torch.zeros(5, 4, dtype=F64, requires_grad=True)
    target = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    gradients, values = [], []
    for straight_through in (False, True):
        torch.manual_seed(4)
        y = GumbelSoftmax(logits, 0.7, straight_through).rsample()
        gradients.append(torch.autograd.grad((y * target).sum(), logits)[0])
        values.append(y.detach())
    torch.testing.assert_close(gradients[0], gradients[1])
    torch.testing.assert_close(values[1].round(), values[1])
    assert torch.equal(values[1].argmax(-1), values[0].argmax(-1))


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        (DiagonalGaussianPosterior(), StandardNormalPrior),
        (ExponentialPosterior(), ExponentialPrior),
        (CategoricalPosterior(5), UniformCategoricalPrior),
    ],
    ids=["gaussian", "exponential", "categorical"],
)
@pytest.mark.parametrize("level", [-50.0, 50.0])
def test_extreme_encoder_outputs_stay_finite(posterior, prior, level):
    torch.manual_seed(0)
    signs = torch.tensor([1.0, -1.0]).repeat(5)
    raw = (level * signs[: 2 * posterior.parameters_per_latent]).repeat(3, 1).requires_grad_()
    q = posterior(raw)
    p = prior(posterior.latent_shape(2), (1,))(None)
    z = q.rsample([4])
    exact = q.sample([4])
    terms = [z, q.log_prob(exact), p.log_prob(exact), closed_form_kl(q, p)]
    (gradient,) = torch.autograd.grad(sum(term.sum() for term in terms), raw)
    assert all(bool(term.isfinite().all()) for term in [*terms, gradient])


def test_log_variance_is_bounded_smoothly():
    raw = torch.linspace(-200, 200, 2001, dtype=F64, requires_grad=True)
    log_variance = bounded(raw)
    (slope,) = torch.autograd.grad(log_variance.sum(), raw)
    assert float(log_variance.abs().max()) <= LOG_VARIANCE_BOUND
    assert bool((slope >= 0).all())
    assert float(slope[1000]) == 1
    assert float(bounded(torch.tensor(1.0))) == pytest.approx(1, abs=2e-3)


def test_mixture_prior_is_the_mixture_that_its_parameters_say():
    torch.manual_seed(0)
    prior = MixtureOfGaussiansPrior((1,), (1,), components=3).double()
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([0.0, 1.0, -1.0]))
        prior.log_variances.copy_(torch.tensor([[0.0], [-1.0], [1.0]]))
    z = np.linspace(-12, 12, 4001)
    density = prior(None).log_prob(torch.tensor(z)[:, None]).exp().detach().numpy()
    weights = torch.softmax(torch.tensor([0.0, 1.0, -1.0], dtype=F64), 0).numpy()
    means = prior.means.detach().numpy()[:, 0]
    scales = np.exp([0.0, -0.5, 0.5])
    parts = zip(weights, means, scales, strict=True)
    np.testing.assert_allclose(density, sum(w * norm(m, s).pdf(z) for w, m, s in parts), rtol=1e-10)
    draws = prior.sample(20_000, None, torch.Generator().manual_seed(1)).numpy()[:, 0]
    parts = list(zip(weights, means, scales, strict=True))
    assert kstest(draws, lambda t: sum(w * norm(m, s).cdf(t) for w, m, s in parts)).pvalue > 0.01


def test_vamp_prior_is_the_mean_posterior_of_its_pseudo_inputs():
    torch.manual_seed(0)
    prior = VampPrior((2,), (1, 3, 3), components=7).double()
    encoder = torch.nn.Linear(9, 4).double()

    def encode(x):
        return DiagonalGaussianPosterior()(encoder(x.flatten(1)))

    z = torch.randn(5, 2, dtype=F64)
    each = torch.stack([encode(u[None]).log_prob(z) for u in prior.pseudo_inputs])
    torch.testing.assert_close(prior(encode).log_prob(z), each.logsumexp(0) - math.log(7))
    assert prior.pseudo_inputs.shape == (7, 1, 3, 3)
    assert isinstance(encode(prior.pseudo_inputs), Independent)


def test_half_precision_outputs_give_float32_distributions():
    raw = torch.zeros(2, 1, 1, 4, 4).bfloat16()
    assert BernoulliLikelihood((1, 4, 4))(raw).mean.dtype == torch.float32
    assert DiagonalGaussianPosterior()(torch.zeros(2, 6).bfloat16()).mean.dtype == torch.float32


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (
            lambda: GaussianLikelihood((1,), scale=0),
            "scale must be above 0, got 0",
        ),
        (lambda: PixelGaussianLikelihood((1,), min_scale=2), "min_scale must be in (0, 1), got 2"),
        (lambda: CategoricalPosterior(classes=1), "classes .* at least 2, got 1"),
        (lambda: ExponentialPrior((1,), (1,), rate=-1), "rate must be above 0, got -1"),
        (lambda: VampPrior((1,), (1,), components=0), "components .* at least 1, got 0"),
    ],
)
def test_impossible_values_are_refused(build, said):
    with pytest.raises(UserError, match=said.replace("(0, 1)", r"\(0, 1\)")):
        build()


def test_temperature_follows_the_epochs():
    posterior = CategoricalPosterior(3, lambda: Exponential(1.0, 0.25, epochs=2))
    assert posterior.temperature == 1
    posterior.anneal(1.0)
    assert posterior.temperature == pytest.approx(0.5)
