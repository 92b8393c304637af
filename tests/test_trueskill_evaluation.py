"""Diagnostics of chains, scores of predictions, the order study, and estimated parameters."""

import math

import numpy as np
import pytest

from tasks.trueskill.closed_form import Chances
from tasks.trueskill.diagnostics import autocorrelation, bulk_ess, ess, mcse, r_hat
from tasks.trueskill.evaluation import Forecast, calibration
from tasks.trueskill.filtering import RunningRatings, one_step_ahead, ranks, shuffled_seasons
from tasks.trueskill.matches import Rules, Season
from tasks.trueskill.model import RatedMatch, SkillModel
from tasks.trueskill.options import League
from tasks.trueskill.preparation import best_home_advantage, season_log_evidence
from tasks.trueskill.simulation import simulate_league


def simulated(seed, league, model):
    matches, _ = simulate_league(league, model, np.random.default_rng(seed))
    return Season.of("simulated", matches, Rules())


def autoregressive(phi, chains=4, n=20_000, seed=5):
    noise = np.random.default_rng(seed).standard_normal((chains, n))
    x = noise / math.sqrt(1 - phi**2)
    for k in range(1, n):
        x[:, k] = phi * x[:, k - 1] + noise[:, k]
    return x


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.9])
def test_diagnostics_of_chains_whose_answers_are_known(phi):
    """AR(1): correlation φ^lag, effective size n(1 − φ)/(1 + φ); seed 5, to one part in ten."""
    x = autoregressive(phi)
    np.testing.assert_allclose(autocorrelation(x).mean(0)[:8], phi ** np.arange(8), atol=0.03)
    size = x.size * (1 - phi) / (1 + phi)
    assert ess(x) == pytest.approx(size, rel=0.1)
    assert bulk_ess(x) == pytest.approx(size, rel=0.1)
    assert mcse(x) == pytest.approx(x.std() / math.sqrt(size), rel=0.06)
    assert r_hat(x) < 1.01


def test_r_hat_sees_chains_of_other_means_or_widths_and_trends():
    x = autoregressive(0.0, n=1000)
    assert r_hat(x + np.arange(4)[:, None]) > 1.1
    assert r_hat(x * np.array([1, 1, 1, 4])[:, None]) > 1.1
    assert r_hat(x + np.linspace(0, 3, 1000)) > 1.1
    assert ess(np.ones((2, 10))) == 20


def test_evidence_is_the_sum_of_what_was_predicted_and_finds_the_home_advantage():
    """1,520 matches with an advantage of 4 points, seed 7; its standard error is about 0.35."""
    model = SkillModel(home_advantage=4.0)
    season = simulated(7, League(rounds=8), model)
    priors = [model.prior] * 20
    predicted = one_step_ahead(RunningRatings(model, priors), season.rated)
    total = sum(math.log(p[1 - g.y]) for p, g in zip(predicted, season.rated, strict=True))
    assert season_log_evidence(model, priors, season.rated) == pytest.approx(total)
    assert best_home_advantage(SkillModel(), priors, season.rated) == pytest.approx(4, abs=1.4)


def test_order_study_shuffles_the_matches_and_nothing_else():
    model = SkillModel()
    season = simulated(8, League(teams=4), model)
    study = shuffled_seasons(
        model, [model.prior] * 4, season.rated, range(30), np.random.default_rng(0)
    )
    assert study.means.shape == study.ranks.shape == (30, 4)
    assert (np.sort(study.ranks, 1) == [1, 2, 3, 4]).all()
    assert len(np.unique(study.means[:, 0])) > 20
    assert ranks([3.0, 9.0, 5.0]).tolist() == [3, 1, 2]
    once = shuffled_seasons(
        model, [model.prior] * 4, [RatedMatch(0, 1, 1)], range(5), np.random.default_rng(0)
    )
    assert once.spread.max() == 0


def test_scores_by_hand():
    games = [RatedMatch(0, 1, 1), RatedMatch(0, 1, -1), RatedMatch(0, 1, 1)]
    binary = Forecast.of(
        [Chances(0.8, 0, 0.2), Chances(0.6, 0, 0.4), Chances(0.5, 0, 0.5)], games, False
    )
    assert binary.correct.tolist() == [1, 0, 0.5]
    assert binary.brier == pytest.approx([0.04, 0.36, 0.25])
    assert binary.log_loss == pytest.approx([-math.log(0.8), -math.log(0.4), math.log(2)])
    assert binary.baselines() == {"always_home_rate": pytest.approx(2 / 3), "random_rate": 0.5}
    assert set(binary.scores()) == {"prediction_rate", "log_loss", "brier"}
    three = Forecast.of([Chances(0.5, 0.3, 0.2)], [RatedMatch(0, 1, 0)], True)
    assert three.correct.tolist() == [0]
    assert three.brier == pytest.approx([0.25 + 0.49 + 0.04])
    assert three.random_rate == pytest.approx(1 / 3)


def test_calibration_counts_what_happened_in_each_bin():
    games = [RatedMatch(0, 1, 1)] * 3 + [RatedMatch(0, 1, -1)]
    predicted = [Chances(0.71, 0, 0.29), Chances(0.75, 0, 0.25), Chances(1.0, 0, 0.0)]
    bins = calibration(Forecast.of([*predicted, Chances(0.72, 0, 0.28)], games, False))
    assert bins.count.tolist() == [3, 1]
    assert bins.predicted == pytest.approx([0.7266666, 1.0])
    assert bins.observed == pytest.approx([2 / 3, 1])
    assert bins.high[1] == 1
    assert bins.low[1] == pytest.approx(0.025)  # (α/2)^(1/n) for n of n
    assert (bins.low < bins.observed).all()
