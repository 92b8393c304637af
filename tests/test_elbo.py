"""The bound against closed forms: integration, a linear-Gaussian model, enumeration."""

import itertools
import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch.distributions import Independent, MultivariateNormal, Normal

from callbacks.elbo import EvidenceMetric
from lightning_modules.functional.elbo import elbo_terms, kl_per_dimension
from lightning_modules.nets.likelihoods import BernoulliLikelihood
from lightning_modules.nets.posteriors import DiagonalGaussianPosterior
from lightning_modules.nets.priors import StandardNormalPrior

F64 = torch.float64


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, -2.0), (-0.3, 1.2)])
def test_gaussian_kl_equals_numerical_integration(mean, log_variance):
    q, p = norm(mean, math.exp(0.5 * log_variance)), norm(0, 1)
    expected, _ = quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -20, 20)
    raw = torch.tensor([[[mean], [log_variance]]], dtype=F64)
    found = kl_per_dimension(DiagonalGaussianPosterior()(raw), StandardNormalPrior(1).double()())
    assert found.shape == (1, 1)
    assert float(found) == pytest.approx(expected, abs=1e-8)


def test_kl_needs_independent_dimensions():
    joint = MultivariateNormal(torch.zeros(2), torch.eye(2))
    with pytest.raises(NotImplementedError, match="Independent"):
        kl_per_dimension(joint, StandardNormalPrior(2)())


class LinearGaussian:
    """p(z) = N(0, I), x|z = N(Wz + b, s² I): log p(x) and p(z|x) in closed form."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        # Orthogonal columns make the posterior's covariance diagonal, so that q can equal it.
        basis, _ = torch.linalg.qr(torch.randn(5, 2, generator=generator, dtype=F64))
        self.W = basis * torch.tensor([1.5, 0.7], dtype=F64)
        self.b = torch.randn(5, generator=generator, dtype=F64)
        self.s = 0.6
        self.x = self.b + torch.randn(3, 5, generator=generator, dtype=F64)

    def decode(self, z):
        return Independent(Normal(z @ self.W.T + self.b, self.s), 1)

    def log_evidence(self):
        covariance = self.W @ self.W.T + self.s**2 * torch.eye(5, dtype=F64)
        return MultivariateNormal(self.b, covariance).log_prob(self.x)

    def posterior(self):
        precision = 1 + (self.W**2).sum(0) / self.s**2
        mean = (self.x - self.b) @ self.W / self.s**2 / precision
        return Independent(Normal(mean, precision.rsqrt().expand_as(mean)), 1)

    def mean_elbo(self, posterior, draws=4000):
        """Mean and standard error of the estimate for each x."""
        terms = [
            elbo_terms(self.x, posterior, StandardNormalPrior(2).double()(), self.decode).elbo
            for _ in range(draws)
        ]
        estimates = torch.stack(terms)
        return estimates.mean(0), estimates.std(0) / len(terms) ** 0.5


def test_bound_equals_the_evidence_at_the_exact_posterior():
    torch.manual_seed(0)
    model = LinearGaussian()
    mean, error = model.mean_elbo(model.posterior())
    assert ((mean - model.log_evidence()).abs() < 4 * error).all()


def test_bound_falls_short_of_the_evidence_by_the_posterior_gap():
    torch.manual_seed(1)
    model = LinearGaussian()
    exact = model.posterior().base_dist
    wrong = Independent(Normal(exact.loc + 0.3, exact.scale * 1.4), 1)
    gap = torch.distributions.kl_divergence(wrong, model.posterior())
    mean, error = model.mean_elbo(wrong)
    assert (gap > 15 * error).all()
    assert ((mean + gap - model.log_evidence()).abs() < 4 * error).all()


def test_gradient_reaches_the_encoder_through_the_draw():
    raw = torch.zeros(2, 2, 3, requires_grad=True)
    posterior = DiagonalGaussianPosterior()(raw)
    terms = elbo_terms(
        torch.ones(2, 3),
        posterior,
        StandardNormalPrior(3)(),
        lambda z: Independent(Normal(z, 1.0), 1),
    )
    terms.reconstruction.sum().backward()
    assert raw.grad is not None
    assert (raw.grad != 0).all()


def test_bernoulli_likelihood_sums_to_one_over_all_binary_images():
    raw = torch.randn(1, 1, 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    likelihood = BernoulliLikelihood()(raw)
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6)), dtype=F64)
    total = likelihood.log_prob(images.view(-1, 1, 2, 3)).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-12)


def test_half_precision_outputs_give_float32_distributions():
    assert BernoulliLikelihood()(torch.zeros(2, 1, 1, 4, 4).bfloat16()).mean.dtype == torch.float32
    assert DiagonalGaussianPosterior()(torch.zeros(2, 2, 3).bfloat16()).mean.dtype == torch.float32


def random_terms(n=101, d=3):
    generator = torch.Generator().manual_seed(5)
    reconstruction = -100 * torch.rand(n, generator=generator)
    return (
        reconstruction,
        torch.rand(n, d, generator=generator),
        torch.randn(n, d, generator=generator),
    )


def test_metric_is_exact_whatever_the_batches_and_processes():
    reconstruction, kl, mean = random_terms()
    elbo = (reconstruction.double() - kl.double().sum(1)).numpy()
    for size in (1, 10, 64, 101):
        metric = EvidenceMetric(3).set_dtype(F64)
        for part in zip(*(t.split(size) for t in (reconstruction, kl, mean)), strict=True):
            metric.update(*part)
        found = metric.compute()
        assert float(found["elbo"]) == pytest.approx(elbo.mean(), rel=1e-12)
        standard_error = elbo.std() / len(elbo) ** 0.5
        assert float(found["elbo_standard_error"]) == pytest.approx(standard_error, rel=1e-9)
        torch.testing.assert_close(found["kl_per_dimension"], kl.double().mean(0))
        spread = mean.double().var(0, unbiased=False)
        torch.testing.assert_close(found["posterior_mean_variance"], spread)
    assert float(found["elbo"]) == float(found["reconstruction"] - found["kl"])
