"""Predictive densities, starts, samples and matching."""

import numpy as np
import pytest
from scipy import stats

from tasks.cavi.events import Events, InMemory
from tasks.cavi.fitting import fit_in_memory
from tasks.cavi.model import DirichletWeights, EpicentreModel
from tasks.cavi.options import Constants, Simulation
from tasks.cavi.posterior import Dirichlet, Gamma, Gaussian, VariationalPosterior
from tasks.cavi.predictive import assign, log_predictive
from tasks.cavi.simulation import Truth, accuracy, match, simulate_events
from tasks.cavi.starts import features, kmeans_plus_plus
from tasks.cavi.stochastic import minibatches
from tasks.cavi.summary import summarise

MODEL = EpicentreModel(Constants(0.5, 0.1, 2.0, 0.1), np.zeros(1), DirichletWeights())
Q = VariationalPosterior(
    Gaussian(np.array([[[-2.0], [3.0]]]), np.array([[4.0, 0.8]])),
    Gamma(np.array([[30.0, 4.0]]), np.array([[3.0, 2.0]])),
    Dirichlet(np.array([[3.0, 5.0]])),
)


@pytest.mark.parametrize("log", [False, True])
def test_predictive_density_sums_to_one(log):
    """Over counts, and over positions x or distances R = e^x by the trapezoid rule."""
    x = np.linspace(-22, 22, 2201)
    total = 0.0
    for s in range(80):
        events = Events(x[:, None], np.full(len(x), float(s)))
        density = np.exp(log_predictive(MODEL, Q, events, log))
        total += np.trapezoid(density, np.exp(x)) if log else np.trapezoid(density, x)
    assert total == pytest.approx(1, abs=1e-3 if log else 1e-9)


def test_predictive_density_is_the_likelihood_averaged_over_the_posterior():
    """200,000 draws of μ, λ and π, seed 0; four standard errors."""
    generator = np.random.default_rng(0)
    n = 200_000
    pi = generator.dirichlet(Q.pi.concentration[0], n)
    mu = Q.mu.mean[0, :, 0] + generator.standard_normal((n, 2)) / np.sqrt(Q.mu.precision[0])
    lam = generator.gamma(Q.lam.shape[0], 1 / Q.lam.rate[0], (n, 2))
    for x, s in ((-1.0, 12.0), (3.0, 0.0), (0.5, 4.0)):
        parts = pi * stats.norm(mu, 0.5**-0.5).pdf(x) * stats.poisson(lam).pmf(s)
        draws = parts.sum(1)
        event = Events(np.array([[x]]), np.array([s]))
        error = draws.std() / np.sqrt(n)
        assert abs(np.exp(log_predictive(MODEL, Q, event)[0]) - draws.mean()) < 4 * error
        share = parts[:, 0].mean() / draws.mean()
        assert assign(MODEL, Q, event)[0, 0] == pytest.approx(share, abs=0.02)


def test_recovers_simulated_parameters_up_to_relabelling():
    """Ten simulations of 2,000 events, seeds 0 to 9: within five posterior standard deviations.

    Rates and epicentres are far apart under this prior; where two of them are not, the best of ten
    restarts may rightly differ from the truth, so that only separated ones are looked at.
    """
    seen = 0
    for seed in range(10):
        model = EpicentreModel(Constants(1.0, 0.001, 10.0, 0.5), np.zeros(2))
        events, truth = simulate_events(Simulation(2000, 3, 2), model, np.random.default_rng(seed))
        apart = min(np.linalg.norm(truth.mu[i] - truth.mu[j]) for i in range(3) for j in range(i))
        if apart < 8:
            continue
        fit = fit_in_memory(model, events.x, events.strengths, 3, seed=seed)
        fitted, true = match(model, fit.best, truth)
        q = fit.best
        error = (q.mu.mean[0][fitted] - truth.mu[true]) * np.sqrt(q.mu.precision[0][fitted])[
            :, None
        ]
        rate = (q.lam.mean[0][fitted] - truth.lam[true]) / np.sqrt(q.lam.shape[0][fitted])
        assert np.abs(error).max() < 5
        assert np.abs(rate * q.lam.rate[0][fitted]).max() < 5
        label = assign(model, q, events).argmax(-1)
        assert accuracy((fitted, true), label, truth.z) > 0.999
        seen += 1
    assert seen >= 7


def test_matching_undoes_a_permutation():
    generator = np.random.default_rng(0)
    order = np.array([2, 0, 3, 1])
    truth = Truth(generator.normal(0, 9, (4, 1)), generator.gamma(5, 4, 4), np.arange(4))
    q = VariationalPosterior(
        Gaussian(truth.mu[None, order], np.ones((1, 4))),
        Gamma(truth.lam[None, order], np.ones((1, 4))),
        Dirichlet(np.ones((1, 4))),
    )
    fitted, true = match(MODEL, q, truth)
    assert (order[fitted] == true).all()
    assert accuracy((fitted, true), np.argsort(order), truth.z) == 1


def test_kmeans_plus_plus_draws_in_proportion_to_squared_distance():
    """Seed 0, 4,000 draws: four standard errors."""
    points, generator = np.array([[0.0], [1.0], [3.0]]), np.random.default_rng(0)
    pairs = np.array([kmeans_plus_plus(points, 2, generator) for _ in range(4000)])
    after_first = pairs[pairs[:, 0] == 0, 1]
    share, expected = (after_first == 2).mean(), 9 / 10
    assert abs(share - expected) < 4 * np.sqrt(expected * 0.1 / len(after_first))
    alike = kmeans_plus_plus(np.zeros((5, 1)), 3, generator)
    assert len(alike) == 3


def test_features_of_a_component_vary_by_about_one():
    generator = np.random.default_rng(0)
    events = Events(generator.normal(0, 2, (20_000, 1)), generator.poisson(40, 20_000) * 1.0)
    model = EpicentreModel(Constants(tau=0.25), np.zeros(1))
    assert features(model, events).std(0) == pytest.approx([1, 1], abs=0.02)


def test_summary_counts_and_samples_evenly(monkeypatch):
    monkeypatch.setattr("tasks.cavi.summary.CHUNK", 64)
    monkeypatch.setattr("tasks.cavi.summary.SAMPLE", 100)
    x = np.arange(1000.0)[:, None]
    summary = summarise(InMemory(Events(x, np.ones(1000)), log=True), np.random.default_rng(0))
    assert summary.count == 1000
    assert summary.mean == pytest.approx([499.5])
    assert summary.log_base == -x.sum()
    sample = summary.sample.x[:, 0]
    assert len(set(sample)) == len(sample) == 100
    assert abs(sample.mean() - 499.5) < 4 * x.std() / 10


def test_minibatches_are_all_events_once_an_epoch():
    source = InMemory(Events(np.arange(103.0)[:, None], np.arange(103.0)))
    batches = list(minibatches(source, 10, 40, np.random.default_rng(0)))
    assert max(map(len, batches)) == 10
    assert sorted(np.concatenate([b.strengths for b in batches])) == list(range(103))
