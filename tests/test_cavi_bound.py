"""The ELBO and its updates against enumeration, quadrature, closed forms and SciPy."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln, logsumexp

from tasks.cavi.ascent import ascend, coordinate_updates
from tasks.cavi.events import Events, InMemory
from tasks.cavi.fitting import fit_in_memory
from tasks.cavi.kernel import exponentials
from tasks.cavi.methods import Streaming
from tasks.cavi.model import DirichletWeights, EpicentreModel, FixedWeights
from tasks.cavi.options import Constants
from tasks.cavi.posterior import Dirichlet, Gamma, Gaussian, PointMass, VariationalPosterior
from tasks.cavi.predictive import responsibilities
from tasks.cavi.problem import FitProblem
from tasks.cavi.starts import start
from tasks.cavi.statistics import gather
from tasks.cavi.summary import summarise
from tasks.cavi.updates import evidence_terms, update_globals

LEGENDRE = np.polynomial.legendre.leggauss(300)

TIGHT = 1e-10
"""Relative rounding of sums over a thousand events."""


def problem(generator, most=8, learned=False):
    """Random constants, events and K."""
    n, d = int(generator.integers(1, most + 1)), int(generator.integers(1, 4))
    k = int(generator.integers(1, min(n, 3) + 1))
    constants = Constants(*generator.lognormal(0, 1, 4).tolist())
    pi = generator.dirichlet(np.full(k, 2.0))
    weights = DirichletWeights(generator.lognormal()) if learned else FixedWeights(tuple(pi))
    model = EpicentreModel(constants, generator.normal(0, 2, d), weights)
    return model, Events(generator.normal(0, 3, (n, d)), generator.poisson(4, n).astype(float)), k


def base(events):
    return -float(gammaln(events.strengths + 1).sum())


def random_posterior(generator, model, k):
    d = len(model.nu)
    q = VariationalPosterior(
        Gaussian(generator.normal(0, 3, (1, k, d)), generator.lognormal(0, 1, (1, k))),
        Gamma(generator.lognormal(1, 1, (1, k)), generator.lognormal(0, 1, (1, k))),
        model.weights.posterior(np.zeros((1, k))),
    )
    return VariationalPosterior(q.mu, q.lam, q.pi)


def log_marginal(model, x, s):
    """Log density of events that share one epicentre, μ and λ integrated out."""
    tau, rho, alpha, beta = vars(model.constants).values()
    n, total = len(s), s.sum()
    log_p = alpha * np.log(beta) - gammaln(alpha) + gammaln(alpha + total)
    log_p -= (alpha + total) * np.log(beta + n) + gammaln(s + 1).sum()
    covariance = np.eye(n) / tau + 1 / rho
    for column, nu in zip(x.T, model.nu, strict=True):
        log_p += stats.multivariate_normal(np.full(n, nu), covariance).logpdf(column)
    return log_p


def log_prior(model, z, k):
    """log p(Z), π integrated out where it is learned."""
    if isinstance(model.weights, FixedWeights):
        return np.log(np.array(model.weights.probabilities or [1.0]))[z].sum() if k > 1 else 0.0
    c, counts = model.weights.concentration, np.bincount(z, minlength=k)
    return gammaln(k * c) - gammaln(k * c + len(z)) + (gammaln(c + counts) - gammaln(c)).sum()


def log_evidence(model, events, k):
    """log p(x, S) by enumeration of Z; events that go together are integrated once."""
    together = {}
    for mask in product((False, True), repeat=len(events)):
        rows = np.array(mask)
        if rows.any():
            together[mask] = log_marginal(model, events.x[rows], events.strengths[rows])
    logs = []
    for z in product(range(k), repeat=len(events)):
        groups = [tuple(value == j for value in z) for j in set(z)]
        logs.append(log_prior(model, np.array(z), k) + sum(together[g] for g in groups))
    return logsumexp(logs)


def quadrature(density, low, high):
    """Nodes and weights for expectations over a positive variable, on a logarithmic grid."""
    nodes, weights = LEGENDRE
    half = np.log(high / low) / 2
    grid = np.exp(half * nodes + np.log(low * high) / 2)
    return grid, weights * half * grid * density(grid)


def brute_force_elbo(model, events, q, r):
    """Σ_Z q(Z) E[log p − log q], the expectations over μ and λ by numerical integration."""
    tau, rho, alpha, beta = vars(model.constants).values()
    nodes, mass = np.polynomial.hermite_e.hermegauss(8)
    mass = mass / mass.sum()
    total, event = 0.0, np.zeros(r.shape)
    for j in range(r.shape[1]):
        own = stats.gamma(q.lam.shape[0, j], scale=1 / q.lam.rate[0, j])
        lam, weight = quadrature(own.pdf, own.ppf(1e-15), own.isf(1e-15))
        total += weight @ (stats.gamma(alpha, scale=1 / beta).logpdf(lam) - own.logpdf(lam))
        event[:, j] = stats.poisson(lam).logpmf(events.strengths[:, None]) @ weight
        for i, nu in enumerate(model.nu):
            factor = stats.norm(q.mu.mean[0, j, i], q.mu.precision[0, j] ** -0.5)
            mu = factor.mean() + nodes * factor.std()
            total += mass @ (stats.norm(nu, rho**-0.5).logpdf(mu) - factor.logpdf(mu))
            event[:, j] += stats.norm(mu, tau**-0.5).logpdf(events.x[:, i, None]) @ mass
    rows = np.arange(len(events))
    for z in product(range(r.shape[1]), repeat=len(events)):
        log_q = np.log(r[rows, z])
        log_pi = np.log(q.pi.mean[0])[list(z)]
        total += np.exp(log_q.sum()) * (event[rows, z] + log_pi - log_q).sum()
    return total


@pytest.mark.parametrize("seed", range(5))
def test_elbo_is_that_of_brute_force_integration(seed):
    """For any q, not only an optimal one; quadrature leaves about 1e-10."""
    generator = np.random.default_rng(seed)
    model, events, k = problem(generator, most=5)
    q = random_posterior(generator, model, k)
    z = gather(model, q, [events])
    other = random_posterior(generator, model, k)
    r = responsibilities(model, q, events)[0]
    elbo = evidence_terms(model, other, z, base(events)).elbo[0]
    assert elbo == pytest.approx(brute_force_elbo(model, events, other, r), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("learned", [False, True])
def test_elbo_stays_below_the_exact_evidence(learned):
    """30 random problems of up to 8 events, by enumeration."""
    generator = np.random.default_rng(1)
    for _ in range(30):
        model, events, k = problem(generator, learned=learned)
        fit = fit_in_memory(model, events.x, events.strengths, k, restarts=3)
        exact = log_evidence(model, events, k)
        assert fit.elbo.max() <= exact + TIGHT * max(1, abs(exact))


@pytest.mark.parametrize("learned", [False, True])
def test_one_component_is_the_conjugate_posterior_and_its_elbo_the_evidence(learned):
    generator = np.random.default_rng(2)
    model, events, _ = problem(generator, learned=learned)
    fit = fit_in_memory(model, events.x, events.strengths, 1, restarts=1)
    tau, rho, alpha, beta = vars(model.constants).values()
    n = len(events)
    assert fit.elbo[0] == pytest.approx(log_evidence(model, events, 1), rel=1e-12)
    mean = (rho * model.nu + tau * events.x.sum(0)) / (rho + n * tau)
    np.testing.assert_allclose(fit.best.mu.mean[0, 0], mean, rtol=1e-12)
    np.testing.assert_allclose(fit.best.mu.precision, rho + n * tau)
    np.testing.assert_allclose(fit.best.lam.shape, alpha + events.strengths.sum())
    np.testing.assert_allclose(fit.best.lam.rate, beta + n)


def test_elbo_never_falls_in_any_coordinate_update_of_1000_random_problems():
    generator = np.random.default_rng(3)
    for number in range(1000):
        model, events, k = problem(generator, most=40, learned=number % 2 == 1)
        summary = summarise(InMemory(events), generator)
        q, last = start(model, summary, k, [generator]), -np.inf
        for _ in range(5):
            z = gather(model, q, [events])
            for update, after in coordinate_updates(model, q, z):
                terms = evidence_terms(model, after, z, summary.log_base)
                assert terms.elbo[0] >= last - 1e-13 * terms.magnitude[0], (number, update)
                last = terms.elbo[0]
            q = after


def test_updates_are_stationary_points_of_the_bound():
    """Any small move of a factor away from its update lowers the ELBO."""
    generator = np.random.default_rng(4)
    model, events, k = problem(generator, most=30, learned=True)
    z = gather(model, random_posterior(generator, model, k), [events])
    best = update_globals(model, z)
    top = evidence_terms(model, best, z, 0.0).elbo[0]
    for scale in (0.99, 1.01):
        moved = (
            VariationalPosterior(
                Gaussian(best.mu.mean + scale - 1, best.mu.precision), best.lam, best.pi
            ),
            VariationalPosterior(
                Gaussian(best.mu.mean, best.mu.precision * scale), best.lam, best.pi
            ),
            VariationalPosterior(best.mu, Gamma(best.lam.shape * scale, best.lam.rate), best.pi),
            VariationalPosterior(best.mu, Gamma(best.lam.shape, best.lam.rate * scale), best.pi),
            VariationalPosterior(
                best.mu, best.lam, Dirichlet(scale * (model.weights.concentration + z.n))
            ),
        )
        assert all(evidence_terms(model, q, z, 0.0).elbo[0] < top for q in moved)


def test_posterior_objects_agree_with_scipy():
    a, b = np.array([[0.3, 2.0, 50.0]]), np.array([[2.0, 0.1, 7.0]])
    gamma = Gamma(a, b)
    assert gamma.entropy()[0] == pytest.approx(stats.gamma(a, scale=1 / b).entropy().sum())
    assert gamma.mean == pytest.approx(stats.gamma(a, scale=1 / b).mean())
    expected = stats.gamma(2.0, scale=10).expect(np.log)
    assert gamma.expected_log[0, 1] == pytest.approx(expected, rel=1e-6)
    dirichlet = Dirichlet(a)
    assert dirichlet.entropy()[0] == pytest.approx(stats.dirichlet(a[0]).entropy())
    assert dirichlet.mean[0] == pytest.approx(stats.dirichlet(a[0]).mean())
    gaussian = Gaussian(np.zeros((1, 1, 3)), np.array([[4.0]]))
    assert gaussian.entropy()[0] == pytest.approx(3 * stats.norm(0, 0.5).entropy())
    assert PointMass(np.array([[0.5, 0.5]])).entropy() == 0


def test_kernel_agrees_with_responsibilities_written_out():
    """Far from the origin and for uneven block lengths, entropies and all sums."""
    generator = np.random.default_rng(5)
    for n in (1, 31, 512, 1337, 20_000):
        model = EpicentreModel(Constants(0.7, 0.01), np.array([1e4, 0.0]), DirichletWeights(0.5))
        x = generator.normal(0, 3, (n, 2)) + model.nu
        events = Events(x, generator.poisson(9, n).astype(float))
        spread = generator.normal(0, 3, (2, 3, 2))
        q = VariationalPosterior(
            Gaussian(model.nu + spread, np.full((2, 3), 2.0)),
            Gamma(generator.lognormal(2, 1, (2, 3)), np.ones((2, 3))),
            Dirichlet(generator.lognormal(0, 1, (2, 3))),
        )
        z, r = gather(model, q, [events]), responsibilities(model, q, events)
        away = x[None, :, None] - q.mu.mean[:, None]
        np.testing.assert_allclose(z.n, r.sum(1), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(z.strength, np.einsum("rnk,n->rk", r, events.strengths))
        np.testing.assert_allclose(z.square, (r * (away**2).sum(-1)).sum(1), rtol=1e-9)
        np.testing.assert_allclose(z.shift, (r[..., None] * away).sum(1), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(
            z.entropy, stats.entropy(r, axis=2).sum(1), rtol=1e-9, atol=1e-12
        )


def test_exponentials_are_numpys_to_two_units_in_the_last_place():
    values = np.concatenate([np.linspace(-708, 1, 100_001), [0.0, -0.0, -1e-300]])
    powers, room = values.copy(), np.empty_like(values)
    exponentials(powers, room, room.view(np.int64))
    assert np.abs(powers - np.exp(values)).max() <= 2 * np.spacing(np.e)
    assert (np.abs(powers - np.exp(values)) <= 2 * np.spacing(np.exp(values))).all()


def test_a_fall_of_the_elbo_is_a_defect(monkeypatch):
    generator = np.random.default_rng(6)
    model, events, k = problem(generator, most=30)
    summary = summarise(InMemory(events), generator)
    first = start(model, summary, k, [generator])
    monkeypatch.setattr(
        "tasks.cavi.ascent.update_globals", lambda model, z: random_posterior(generator, model, k)
    )
    with pytest.raises(ArithmeticError, match="the ELBO fell"):
        ascend(Streaming(99, 100), FitProblem(model, InMemory(events), summary), first)
