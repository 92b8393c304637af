"""Formulas of one match, against mpmath, enumeration and the trueskill package."""

import math

import mpmath
import numpy as np
import pytest
import trueskill
from scipy.integrate import dblquad, quad
from scipy.stats import multivariate_normal, norm

from elbolab.errors import UserError
from tasks.trueskill.closed_form import (
    chances,
    draw_margin,
    log_probability,
    moment_match,
    skill_posterior_density,
)
from tasks.trueskill.gibbs import GibbsSampler
from tasks.trueskill.messages import match_posteriors
from tasks.trueskill.model import SIGMA, RatedMatch, Rating, SkillModel
from tasks.trueskill.truncation import (
    log_draw_probability,
    log_normal_cdf,
    normal_cdf,
    vw_draw,
    vw_win,
)

mpmath.mp.dps = 30

WEAK, STRONG = Rating(20, SIGMA**2), Rating(30, SIGMA**2)
ODD = SkillModel(mu=1, sigma=2, sigma_t=1.7, draw_margin=0.6, home_advantage=0.4)
ONE, TWO = Rating(1.3, 2.1), Rating(0.2, 0.7)
GRID = np.linspace(-40, 40, 401).tolist()
SMALLEST = 2.3e-308
"""Below it a double has fewer digits; φ(u) is there beyond u = 37.5."""


def exact_vw_win(u):
    v = mpmath.npdf(u) / mpmath.ncdf(u)
    return v, v * (v + u)


def exact_vw_draw(t, e):
    t, e = mpmath.mpf(t), mpmath.mpf(e)
    far = abs(t)  # on this side Φ is small, and the difference keeps its digits
    mass = mpmath.ncdf(e - far) - mpmath.ncdf(-e - far)
    lower, upper = mpmath.npdf(-e - t), mpmath.npdf(e - t)
    v = (lower - upper) / mass
    return v, v**2 + ((e - t) * upper + (e + t) * lower) / mass, mass


def test_v_and_w_of_a_win_from_minus_40_to_40():
    for u in GRID:
        for computed, exact in zip(vw_win(u), exact_vw_win(u), strict=True):
            assert math.isfinite(computed)
            assert abs(computed - exact) <= 1e-10 * exact + SMALLEST, u


@pytest.mark.parametrize("e", [1e-3, 0.1, 1.0, 5.0])
def test_v_and_w_of_a_draw_from_minus_40_to_40(e):
    for t in GRID[::10]:
        v, w, mass = exact_vw_draw(t, e)
        assert vw_draw(t, e)[0] == pytest.approx(float(v), rel=1e-10, abs=1e-12)
        assert vw_draw(t, e)[1] == pytest.approx(float(w), rel=1e-10, abs=2e-10)
        assert log_draw_probability(t, e) == pytest.approx(float(mpmath.log(mass)), rel=1e-10)


def test_a_vanishing_margin_is_the_limit_of_equal_performances():
    assert vw_draw(3.0, 1e-9) == (-3.0, 1.0)
    assert vw_draw(3.0, 1.01e-5) == pytest.approx((-3.0, 1.0), rel=1e-9)


def test_normal_distribution_function_and_its_logarithm():
    for u in GRID[::4]:
        assert log_normal_cdf(u) == pytest.approx(float(mpmath.log(mpmath.ncdf(u))), rel=1e-12)
        if u > -37:
            assert normal_cdf(u) == pytest.approx(float(mpmath.ncdf(u)), rel=1e-12)


def test_the_textbook_match():
    winner, loser = moment_match(SkillModel(), WEAK, STRONG, +1)
    assert winner.mean == pytest.approx(26.1826, abs=1e-4)
    assert loser.mean == pytest.approx(23.8174, abs=1e-4)
    assert winner.std == pytest.approx(7.1992, abs=1e-4)
    assert loser.std == pytest.approx(7.1992, abs=1e-4)


@pytest.mark.parametrize("y", [+1, 0, -1])
@pytest.mark.parametrize(("first", "second"), [(ONE, TWO), (TWO, ONE), (ONE, Rating(60, 0.7))])
def test_messages_around_the_factor_graph_are_the_closed_form(y, first, second):
    by_messages = np.array(match_posteriors(ODD, first, second, y))
    np.testing.assert_allclose(by_messages, moment_match(ODD, first, second, y), rtol=0, atol=1e-8)


def test_messages_of_the_textbook_match():
    by_messages = np.array(match_posteriors(SkillModel(), WEAK, STRONG, +1))
    np.testing.assert_allclose(
        by_messages, moment_match(SkillModel(), WEAK, STRONG, +1), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("y", [+1, 0, -1])
def test_moments_are_those_of_the_posterior_integrated_numerically(y):
    """Bayes' rule on a fine grid of both skills; no formula of this package."""
    s1 = np.linspace(ONE.mean - 9 * ONE.std, ONE.mean + 9 * ONE.std, 601)
    s2 = np.linspace(TWO.mean - 9 * TWO.std, TWO.mean + 9 * TWO.std, 601)
    delta = s1[:, None] - s2 + ODD.home_advantage
    win = norm.sf((ODD.draw_margin - delta) / ODD.sigma_t)
    loss = norm.cdf((-ODD.draw_margin - delta) / ODD.sigma_t)
    weight = {1: win, -1: loss, 0: 1 - win - loss}[y]
    prior = norm.pdf(s1, ONE.mean, ONE.std)[:, None] * norm.pdf(s2, TWO.mean, TWO.std)
    total = (weight * prior).sum()
    step = (s1[1] - s1[0]) * (s2[1] - s2[0])
    matched = moment_match(ODD, ONE, TWO, y)
    for grid, axis, rating in ((s1, 1, matched[0]), (s2, 0, matched[1])):
        density = (weight * prior).sum(axis) / total
        mean = (density * grid).sum()
        assert rating.mean == pytest.approx(mean, abs=1e-9)
        assert rating.variance == pytest.approx((density * (grid - mean) ** 2).sum(), abs=1e-9)
    assert math.exp(log_probability(ODD, ONE, TWO, y)) == pytest.approx(total * step, abs=1e-9)
    assert chances(ODD, ONE, TWO)[1 - y] == pytest.approx(total * step, abs=1e-9)


@pytest.mark.parametrize("y", [+1, 0, -1])
def test_exact_skill_density_integrates_to_one_and_has_the_matched_moments(y):
    after = moment_match(ODD, ONE, TWO, y)
    sides = ((ONE, TWO, +1, after[0]), (TWO, ONE, -1, after[1]))
    for own, other, side, rating in sides:

        def moment(k, own=own, other=other, side=side):
            ends = own.mean - 12 * own.std, own.mean + 12 * own.std
            return quad(
                lambda s: s**k * skill_posterior_density(ODD, own, other, side * y, side, s), *ends
            )[0]

        assert moment(0) == pytest.approx(1, abs=1e-8)
        assert moment(1) == pytest.approx(rating.mean, abs=1e-7)
        assert moment(2) - moment(1) ** 2 == pytest.approx(rating.variance, abs=1e-6)


def test_conditionals_of_gibbs_sampling_are_those_of_the_joint_gaussian():
    """p(s_1, s_2, t) as one Gaussian, conditioned with the general formula; no noise added."""
    load = np.array([[1, 0], [0, 1], [1, -1]])
    covariance = load @ np.diag([ONE.variance, TWO.variance]) @ load.T
    covariance[2, 2] += ODD.sigma_t**2
    mean = np.array([ONE.mean, TWO.mean, ONE.mean - TWO.mean + ODD.home_advantage])
    t, s2 = 2.3, 0.9

    def condition(wanted, on, values):
        gain = covariance[np.ix_(wanted, on)] @ np.linalg.inv(covariance[np.ix_(on, on)])
        centre = mean[wanted] + gain @ (np.array(values) - mean[on])
        return centre, covariance[np.ix_(wanted, wanted)] - gain @ covariance[np.ix_(on, wanted)]

    sampler = GibbsSampler(ODD, [ONE, TWO], [RatedMatch(0, 1, 1)])
    still, eta = np.zeros((1, 2)), sampler._pull(np.array([[t]]))
    centre, spread = condition([0, 1], [2], [t])
    np.testing.assert_allclose(sampler._jointly(eta, still), [centre], atol=1e-12)
    np.testing.assert_allclose(np.linalg.inv(sampler._precision), spread, atol=1e-12)

    [[s1, then]] = sampler._one_by_one(np.array([[-5.0, s2]]), eta, still)
    centre, spread = condition([0], [1, 2], [s2, t])
    assert (s1, 1 / sampler._precision[0, 0]) == pytest.approx((centre[0], spread[0, 0]))
    centre, spread = condition([1], [0, 2], [s1, t])
    assert (then, 1 / sampler._precision[1, 1]) == pytest.approx((centre[0], spread[0, 0]))


def test_win_probability_by_integration():
    joint = multivariate_normal([ONE.mean, TWO.mean], np.diag([ONE.variance, TWO.variance]))
    model = SkillModel(sigma_t=1.7)

    def integrand(b, a):
        return joint.pdf([a, b]) * norm.cdf((a - b) / 1.7)

    expected = dblquad(integrand, -10, 12, -8, 8, epsabs=1e-6)[0]
    assert chances(model, ONE, TWO).first == pytest.approx(expected, abs=1e-5)
    assert sum(chances(ODD, ONE, TWO)) == pytest.approx(1, abs=1e-12)
    assert chances(model, ONE, TWO).draw == 0


@pytest.mark.parametrize("rate", [0.05, 0.28, 0.7])
def test_draw_margin_is_that_of_the_trueskill_package(rate):
    env = trueskill.TrueSkill(beta=SIGMA / math.sqrt(2), backend="scipy")
    expected = trueskill.calc_draw_margin(rate, 2, env)
    assert draw_margin(rate, SIGMA) == pytest.approx(expected, rel=1e-9)
    equal = Rating(25, 0.0)
    model = SkillModel(draw_margin=draw_margin(rate, SIGMA))
    assert chances(model, equal, equal).draw == pytest.approx(rate, abs=1e-12)


def test_outcomes_nobody_expected_stay_finite():
    model = SkillModel(sigma_t=0.1, draw_margin=0.05)
    for y in (+1, 0, -1):
        for rating in moment_match(model, Rating(-1000, 1.0), Rating(1000, 1.0), y):
            assert all(map(math.isfinite, rating))
            assert rating.variance > 0
        assert math.isfinite(log_probability(model, Rating(-1000, 1.0), Rating(1000, 1.0), y))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sigma": 0}, "sigma must be above 0, got 0"),
        ({"sigma": -1}, "sigma must be above 0, got -1"),
        ({"sigma_t": 0}, "sigma_t must be in .1e-06, 1e.06., got 0"),
        ({"draw_margin": -0.1}, "draw_margin must be at least 0, got -0.1"),
        ({"drift": -1}, "drift must be at least 0, got -1"),
        ({"mu": math.nan}, "mu must be a number, got nan"),
        ({"home_advantage": math.inf}, "home_advantage must be finite and a number, got inf"),
    ],
)
def test_impossible_hyper_parameters_are_named(wrong, message):
    with pytest.raises(UserError, match=message):
        SkillModel(**wrong)


@pytest.mark.parametrize(("mean", "std"), [(25, 0), (25, -1), (math.nan, 1), (25, math.inf)])
def test_impossible_priors_are_named(mean, std):
    with pytest.raises(UserError, match="of Ajax's prior must be"):
        SkillModel().stated(mean, std, "Ajax")


def test_a_draw_is_refused_where_there_is_none():
    for function in (moment_match, log_probability):
        with pytest.raises(UserError, match="a draw cannot happen at draw_margin 0"):
            function(SkillModel(), WEAK, STRONG, 0)
    with pytest.raises(UserError, match=r"draw rate must be in \[0, 1\), got 1"):
        draw_margin(1, SIGMA)
