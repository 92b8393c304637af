"""Gradient estimators against the exact gradient of the linear-Gaussian model's bounds."""

import copy

import pytest
import torch
from linear_gaussian import LinearGaussian

from elbolab.errors import UserError
from lightning_modules.functional.baselines import LeaveOneOut, RunningMean
from lightning_modules.functional.bounds import Elbo, ImportanceWeighted
from lightning_modules.functional.estimators import (
    DoublyReparameterized,
    Reparameterized,
    ScoreFunction,
    StickingTheLanding,
)
from lightning_modules.functional.gradient_noise import gradient_noise

COPIES, CALLS = 6_000, 3


def LOO():  # noqa: N802
    return ScoreFunction(LeaveOneOut)


SCORE = [LOO, lambda: ScoreFunction(RunningMean), ScoreFunction]
ELBO = [Reparameterized, StickingTheLanding, *SCORE]
IWAE = [Reparameterized, DoublyReparameterized, *SCORE]


def gradients(model, raw, bound, estimator, kl_weight=1.0):
    """Independent estimates for φ = raw and θ = W of the first example, one row each."""
    many = copy.copy(model)
    many.x = model.x[:1].expand(COPIES, -1)
    rows = []
    for _ in range(CALLS):  # a running mean has something to subtract from the second call on
        phi = raw[:1].expand(COPIES, -1).clone().requires_grad_()
        many.W = model.W.expand(COPIES, -1, -1).clone().requires_grad_()
        objective = estimator(many.problem(phi, bound, kl_weight)).objective
        rows.append(torch.autograd.grad(objective.sum(), (phi, many.W)))
    return [torch.cat(part).flatten(1) for part in zip(*rows, strict=True)]


def assert_unbiased(model, exact, bound, estimator, kl_weight):
    raw = model.wrong_raw().requires_grad_()
    model.W = model.W.clone().requires_grad_()
    expected = torch.autograd.grad(exact(raw, kl_weight)[0], (raw, model.W))
    model.W = model.W.detach()
    both = gradients(model, raw.detach(), bound, estimator, kl_weight)
    for truth, estimates in zip((expected[0][0], expected[1]), both, strict=True):
        error = estimates.std(0) / len(estimates) ** 0.5
        assert ((estimates.mean(0) - truth.flatten()).abs() <= 3 * error + 1e-12).all()


@pytest.mark.parametrize("kl_weight", [1.0, 0.4])
@pytest.mark.parametrize(
    ("samples", "build"),
    [(3, build) for build in ELBO] + [(1, build) for build in ELBO if build != LOO],
    ids=lambda value: value().label if callable(value) else str(value),
)
def test_estimators_of_the_elbo_are_unbiased(build, samples, kl_weight):
    torch.manual_seed(0)
    model = LinearGaussian()
    assert_unbiased(model, model.exact_elbo, Elbo(samples), build(), kl_weight)


@pytest.mark.parametrize("kl_weight", [1.0, 0.4])
@pytest.mark.parametrize("build", IWAE, ids=lambda b: b().label)
def test_estimators_of_the_importance_weighted_bound_are_unbiased(build, kl_weight):
    torch.manual_seed(1)
    model = LinearGaussian(latents=1)
    assert_unbiased(model, model.exact_iwae, ImportanceWeighted(2), build(), kl_weight)


def test_sticking_the_landing_has_no_variance_where_q_is_the_posterior():
    torch.manual_seed(2)
    model = LinearGaussian()
    raw = model.exact_raw()
    stuck, _ = gradients(model, raw, Elbo(), StickingTheLanding())
    plain, _ = gradients(model, raw, Elbo(), Reparameterized())
    assert float(stuck.abs().max()) < 1e-12
    assert float(plain.var(0).min()) > 1e-3


def test_score_term_has_mean_zero():
    torch.manual_seed(3)
    model = LinearGaussian()
    raw = model.wrong_raw()[:1].expand(100_000, -1).clone().requires_grad_()
    q = model.posterior(raw)
    (score,) = torch.autograd.grad(q.log_prob(q.sample()).sum(), raw)
    assert (score.mean(0).abs() < 3 * score.std(0) / len(score) ** 0.5).all()


def test_baselines_lower_the_variance():
    torch.manual_seed(4)
    model, bound = LinearGaussian(), Elbo(4)
    model.b = model.b + 20  # a signal far from 0, as images have it
    model.x = model.x + 20
    total = {
        build().label: float(gradients(model, model.wrong_raw(), bound, build())[0].var(0).sum())
        for build in SCORE
    }
    assert total["ScoreFunction-LeaveOneOut"] < total["ScoreFunction-NoBaseline"]
    assert total["ScoreFunction-RunningMean"] < total["ScoreFunction-NoBaseline"]


def test_running_mean_is_that_of_the_batches_before():
    baseline, bound = RunningMean(decay=0.5), Elbo(1)
    seen = [float(baseline(torch.full((1, 4), value), bound)) for value in (8.0, 2.0, -1.0)]
    assert seen == pytest.approx([0, 8, (0.5 * 8 + 2) / 1.5])


@pytest.mark.parametrize(
    ("estimator", "bound", "said"),
    [
        (StickingTheLanding(), ImportanceWeighted(5), "take DoublyReparameterized"),
        (DoublyReparameterized(), Elbo(), "take StickingTheLanding"),
        (ScoreFunction(LeaveOneOut), Elbo(1), "at least 2 draws, not 1"),
    ],
    ids=lambda value: getattr(value, "label", ""),
)
def test_what_would_be_biased_is_refused(estimator, bound, said):
    with pytest.raises(UserError, match=said):
        estimator.check(bound, reparameterized=True, closed_form=True)


def test_gradient_noise_of_a_gaussian_gradient():
    """∇_a (a + ε) · 3 has mean 3 and variance 0; ∇_b ½(b + ε)² has mean b and variance 1."""
    torch.manual_seed(5)
    a, b = (torch.nn.Parameter(torch.full((500,), 2.0)) for _ in range(2))

    def loss():
        return (3 * a).sum() + 0.5 * (b + torch.randn(500)).square().sum()

    noise = gradient_noise(loss, {"a": [a], "b": [b]}, 200)
    assert noise["a"].variance == 0
    # The sum of 500 sample variances of 200 normal draws each has standard error √(2·500/199).
    assert noise["b"].variance == pytest.approx(500, abs=4 * (2 * 500 / 199) ** 0.5)
    assert noise["b"].snr == pytest.approx((500 * 4 / 500) ** 0.5, rel=0.05)
