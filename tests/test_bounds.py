"""Bounds on the evidence against the linear-Gaussian model's closed forms."""

import copy
import itertools

import pytest
import torch
from linear_gaussian import LinearGaussian

from callbacks.monitors.elbo import EvidenceMetric
from elbolab.errors import UserError
from lightning_modules.functional.annealing import Constant, Exponential, Linear
from lightning_modules.functional.bounds import Elbo, ImportanceWeighted
from lightning_modules.functional.elbo import log_evidence

F64 = torch.float64


def estimates(model, raw, bound, repeats=4000):
    """Many independent values of the bound for each example, ``(repeats, B)``."""
    many = copy.copy(model)
    many.x = model.x.repeat(repeats, 1)
    values = many.problem(raw.repeat(repeats, 1), bound).evaluated().bound
    return values.unflatten(0, (repeats, -1))


def mean_and_error(values):
    return values.mean(0), values.std(0) / len(values) ** 0.5


@pytest.mark.parametrize("samples", [1, 3])
def test_elbo_equals_its_closed_form(samples):
    torch.manual_seed(0)
    model = LinearGaussian()
    raw = model.wrong_raw()
    mean, error = mean_and_error(estimates(model, raw, Elbo(samples)))
    assert ((mean - model.exact_elbo(raw)).abs() < 3 * error).all()


def test_importance_weighted_bound_of_two_draws_equals_quadrature():
    torch.manual_seed(1)
    model = LinearGaussian(latents=1)
    raw = model.wrong_raw()
    mean, error = mean_and_error(estimates(model, raw, ImportanceWeighted(2)))
    assert ((mean - model.exact_iwae(raw)).abs() < 3 * error).all()


def test_importance_weighted_bound_grows_with_k_and_stays_below_the_evidence():
    torch.manual_seed(2)
    model = LinearGaussian()
    raw, exact = model.wrong_raw(), model.log_evidence()
    bounds = [mean_and_error(estimates(model, raw, ImportanceWeighted(k))) for k in (1, 2, 5, 20)]
    assert ((bounds[0][0] - model.exact_elbo(raw)).abs() < 3 * bounds[0][1]).all()
    for (low, low_error), (high, high_error) in itertools.pairwise(bounds):
        assert (high - low > 3 * (low_error**2 + high_error**2).sqrt()).all()
    assert all((mean < exact + 3 * error).all() for mean, error in bounds)


@pytest.mark.parametrize("samples", [1, 2, 50])
def test_every_draw_gives_the_evidence_where_q_is_the_posterior(samples):
    torch.manual_seed(3)
    model = LinearGaussian()
    values = estimates(model, model.exact_raw(), ImportanceWeighted(samples), 20)
    torch.testing.assert_close(values, model.log_evidence().expand(20, -1), atol=1e-10, rtol=0)


def test_log_evidence_does_not_depend_on_how_much_is_decoded_at_once():
    model = LinearGaussian(examples=7)
    evidences = []
    problem = model.problem(model.wrong_raw(), Elbo())
    for memory in (1e-6, 0.1, 0.3, 1000):
        torch.manual_seed(4)
        evidences.append(log_evidence(problem, 1234, memory))
    for other in evidences[1:]:
        torch.testing.assert_close(other, evidences[0], atol=1e-10, rtol=0)
    assert ((evidences[0] - model.log_evidence()).abs() < 0.1).all()


def test_bounds_of_given_weights():
    log_w = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    torch.testing.assert_close(ImportanceWeighted(6)(log_w), log_w.exp().mean(0).log())
    torch.testing.assert_close(Elbo(6)(log_w), log_w.mean(0))


@pytest.mark.parametrize("bound", [Elbo(5), ImportanceWeighted(5)], ids=["elbo", "iwae"])
def test_leave_one_out_baseline_ignores_its_own_draw(bound):
    log_w = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=F64)
    for k in range(5):
        changed = log_w.clone()
        changed[k] += 10
        before, after = bound.leave_one_out(log_w), bound.leave_one_out(changed)
        torch.testing.assert_close(before[k], after[k])
        assert not torch.allclose(before[k - 1], after[k - 1])


def test_vimco_baseline_is_the_bound_with_the_geometric_mean_of_the_others():
    log_w = torch.randn(4, 1, generator=torch.Generator().manual_seed(2), dtype=F64)
    w = log_w[:, 0].exp()
    others = (w[0] * w[1] * w[3]) ** (1 / 3)
    expected = ((w[0] + w[1] + others + w[3]) / 4).log()
    torch.testing.assert_close(ImportanceWeighted(4).leave_one_out(log_w)[2, 0], expected)


@pytest.mark.parametrize("bound", [Elbo, ImportanceWeighted])
def test_a_bound_needs_a_draw(bound):
    with pytest.raises(UserError, match="(samples|draws) must be at least 1, got 0"):
        bound(0)


def test_annealing_goes_from_start_to_end_and_stays():
    line, curve = Linear(0.0, 2.0, epochs=4), Exponential(1.0, 0.25, epochs=2)
    assert [line(e) for e in (0, 1, 4, 9)] == pytest.approx([0, 0.5, 2, 2])
    assert [curve(e) for e in (0, 1, 2, 9)] == pytest.approx([1, 0.5, 0.25, 0.25])
    assert Constant(0.3)(17) == 0.3
    for build in (lambda: Linear(epochs=0), lambda: Exponential(epochs=-1)):
        with pytest.raises(UserError, match="epochs must be above 0"):
            build()
    with pytest.raises(UserError, match="end must be above 0"):
        Exponential(end=0)


def random_terms(n=101, d=3):
    generator = torch.Generator().manual_seed(5)
    return {
        "reconstruction": -100 * torch.rand(n, generator=generator),
        "kl": torch.rand(n, d, generator=generator),
        "nll": 100 * torch.rand(n, generator=generator),
        "posterior_mean": torch.randn(n, d, 2, generator=generator),
    }


def test_metric_is_exact_whatever_the_batches_and_processes():
    terms = random_terms()
    double = {name: value.double() for name, value in terms.items()}
    elbo = (double["reconstruction"] - double["kl"].sum(1)).numpy()
    for size in (1, 10, 64, 101):
        metric = EvidenceMetric({name: v.shape[1:] for name, v in terms.items()}).set_dtype(F64)
        for part in zip(*(t.split(size) for t in terms.values()), strict=True):
            metric.update(**dict(zip(terms, part, strict=True)))
        figures = metric.compute()
        assert float(figures["elbo"]) == pytest.approx(elbo.mean(), rel=1e-12)
        standard_error = elbo.std() / len(elbo) ** 0.5
        assert float(figures["elbo_standard_error"]) == pytest.approx(standard_error, rel=1e-9)
        assert float(figures["nll"]) == pytest.approx(float(double["nll"].mean()), rel=1e-12)
        torch.testing.assert_close(torch.stack(figures["kl_per_dimension"]), double["kl"].mean(0))
        spread = double["posterior_mean"].var(0, unbiased=False).sum(1)
        torch.testing.assert_close(torch.stack(figures["posterior_mean_variance"]), spread)
    assert float(figures["elbo"]) == pytest.approx(float(figures["reconstruction"] - figures["kl"]))
