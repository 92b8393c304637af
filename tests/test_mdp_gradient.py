# ruff: noqa: N806  capitals are the symbols of the formulas
"""Policy gradients against autograd through the exact solve, and against each other."""

import gymnasium
import numpy as np
import pytest
import torch
from test_mdp_solvers import random_process

from elbolab.errors import UserError
from tasks.mdp.baselines import LearnedValue, LeaveOneOutReturn, MeanReturn, NoReturnBaseline
from tasks.mdp.environment import space_exploration
from tasks.mdp.exact import complex_step, objective, theorem_gradient, visits
from tasks.mdp.learners import ExactGradient, LearningProblem, Reinforce
from tasks.mdp.learning import exact_objective
from tasks.mdp.model import MDP
from tasks.mdp.policy_gradient import (
    empirical_visits,
    estimates,
    fisher,
    natural_direction,
    policy_of,
    returns,
)
from tasks.mdp.rollouts import roll_environment, roll_model, state_encoder
from tasks.mdp.solution import solve

BASELINES = [NoReturnBaseline(), MeanReturn(), LearnedValue(), LeaveOneOutReturn()]
THETA = np.array([[0.3, -0.2], [0.4, -0.6], [0.0, 0.0]])


def by_autograd(mdp, theta):
    """J(θ) and its gradient: softmax, then a linear solve, differentiated by torch."""
    P = torch.tensor(mdp.csr.toarray().reshape(mdp.S, mdp.A, mdp.S))
    x = torch.tensor(theta, requires_grad=True)
    pi = torch.softmax(x, dim=1)
    r = (pi * torch.tensor(mdp.R)).sum(1)
    v = torch.linalg.solve(torch.eye(mdp.S) - mdp.gamma * torch.einsum("sa,sat->st", pi, P), r)
    J = torch.tensor(mdp.start) @ v
    J.backward()
    return J.item(), x.grad.numpy()


def problem_of(mdp, seed=0):
    generator = np.random.default_rng(seed)
    return LearningProblem(
        (mdp.S, mdp.A), mdp.gamma, roll_model(mdp), generator, exact_objective(mdp)
    )


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "sparse"])
def test_theorem_equals_autograd_and_the_complex_step(dense):
    for seed in range(50):
        mdp, generator = random_process(seed, dense), np.random.default_rng(seed)
        theta, u = generator.normal(size=(2, mdp.S, mdp.A))
        J, gradient = by_autograd(mdp, theta)
        found = theorem_gradient(mdp, policy_of(theta))
        scale = max(1.0, np.abs(gradient).max())
        assert objective(mdp, theta) == pytest.approx(J, rel=1e-12)
        np.testing.assert_allclose(found, gradient, rtol=0, atol=1e-10 * scale)
        along = complex_step(mdp, theta, u)
        assert along == pytest.approx((gradient * u).sum(), rel=1e-10, abs=1e-10 * scale)


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda b: type(b).__name__)
def test_reinforce_has_the_gradient_as_its_mean_under_every_baseline(baseline):
    """Seed 0, 400 estimates of 50 episodes; three standard errors in each of six entries.

    The baselines that learn do so from the first half of the episodes.
    """
    mdp, K = space_exploration(0.8), 400
    pi = np.broadcast_to(policy_of(THETA), (K, 3, 2))
    exact, generator = by_autograd(mdp, THETA)[1], np.random.default_rng(0)
    baseline.reset(K, mdp.S)
    for _ in range(2):
        episodes = roll_model(mdp)(pi, 50, generator)
        advantage = baseline.advantage(episodes, returns(episodes, mdp.gamma))
        found = estimates(episodes, mdp.gamma, pi, advantage)
    error = found.std(axis=0, ddof=1) / np.sqrt(K)
    assert (np.abs(found.mean(axis=0) - exact) <= 3 * error + 1e-9).all()


def test_every_baseline_takes_out_what_all_actions_earn():
    """Rewards around 20: without a baseline their common part is noise. Seed 0, 200 estimates."""
    mdp, K, spread = random_process(5, True, gamma=0.8, ends=[]), 200, {}
    mdp.R += 20 - mdp.R.mean()
    pi = np.full((K, mdp.S, mdp.A), 1 / mdp.A)
    for baseline in BASELINES:
        generator = np.random.default_rng(0)
        baseline.reset(K, mdp.S)
        for _ in range(10):
            episodes = roll_model(mdp)(pi, 5, generator)
            advantage = baseline.advantage(episodes, returns(episodes, mdp.gamma))
        found = estimates(episodes, mdp.gamma, pi, advantage)
        spread[type(baseline).__name__] = np.sqrt(found.var(axis=0).sum())
    for name in ("MeanReturn", "LearnedValue", "LeaveOneOutReturn"):
        assert spread[name] < spread["NoReturnBaseline"] / 2


def test_returns_are_discounted_sums():
    mdp = space_exploration(0.8)
    episodes = roll_model(mdp)(policy_of(THETA)[None], 20, np.random.default_rng(0))
    G, r = returns(episodes, 0.8), episodes.rewards
    for i in range(20):
        direct = [sum(0.8**k * r[t + k, 0, i] for k in range(len(r) - t)) for t in range(len(r))]
        np.testing.assert_allclose(G[:, 0, i], direct, atol=1e-12)
    assert not r[~episodes.alive].any()


def test_visits_are_what_episodes_count():
    """Seed 0, 500 counts of 20 episodes; four standard errors."""
    mdp = space_exploration(0.8)
    pi = policy_of(THETA)
    episodes = roll_model(mdp)(np.broadcast_to(pi, (500, 3, 2)), 20, np.random.default_rng(0))
    counted = empirical_visits(episodes, mdp.gamma, 3)[:, :2]
    error = counted.std(axis=0, ddof=1) / np.sqrt(500)
    assert (np.abs(counted.mean(axis=0) - visits(mdp, pi)[:2]) < 4 * error).all()


def test_fisher_information_is_the_covariance_of_scores():
    pi, eta = np.array([[0.2, 0.5, 0.3]]), np.array([2.0])
    scores = np.eye(3) - pi[0]
    direct = 2.0 * sum(p * np.outer(g, g) for p, g in zip(pi[0], scores, strict=True))
    np.testing.assert_allclose(fisher(pi, eta)[0], direct)


def test_natural_gradient_is_the_advantage_up_to_a_constant():
    """F⁺ ∇J of a tabular softmax policy is q_π(s, a) − v_π(s), centred (Kakade, 2001)."""
    mdp = random_process(5, True, ends=[])
    pi = policy_of(np.random.default_rng(5).normal(size=(mdp.S, mdp.A)))
    eta, g = visits(mdp, pi), theorem_gradient(mdp, pi)
    found = natural_direction(g, pi, eta, 1e-9)
    for s in range(mdp.S):
        exact = np.linalg.pinv(fisher(pi[s], eta[s]), rcond=1e-10) @ g[s]
        np.testing.assert_allclose(found[s], exact, rtol=0, atol=1e-5 * np.abs(exact).max())


@pytest.mark.parametrize("natural", [False, True], ids=["plain", "natural"])
def test_exact_ascent_climbs_to_the_optimum(natural):
    mdp = space_exploration()
    learner = ExactGradient(updates=400, rate=1.0, natural=natural, damping=1e-8)
    J = learner.learn(problem_of(mdp)).objective[:, 0]
    assert (np.diff(J) >= -1e-12).all()
    assert 3.5 - J[-1] < (1e-6 if natural else 0.02)


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda b: type(b).__name__)
def test_reinforce_learns_with_every_baseline(baseline):
    """Seed 0; every one of five seeds ends closer to the optimum than it began."""
    mdp = space_exploration()
    learner = Reinforce(updates=100, episodes=10, seeds=5, baseline=baseline)
    curves = learner.learn(problem_of(mdp))
    best = mdp.start @ solve(mdp).v
    assert curves.objective.shape == (101, 5)
    assert curves.norm.shape == (100, 5)
    gap = best - curves.objective
    assert (gap > 0).all()
    assert (gap[-1] < gap[0] / 2).all()


def test_learning_is_seeded():
    one, two, three = (
        Reinforce(updates=5, seeds=2).learn(problem_of(space_exploration(), seed)).objective
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != three).any()


def test_an_environment_without_a_table_is_rolled_step_by_step():
    """The same process by its table and by its environment, seed 0; four standard errors."""
    mdp = space_exploration(0.8)
    env = gymnasium.make("tasks.environments:SpaceExploration-v0")
    pi, generator = policy_of(THETA)[None], np.random.default_rng(0)
    means = []
    for roll, count in ((roll_model(mdp), 4000), (roll_environment(env, 0.8), 1000)):
        G = returns(roll(pi, count, generator), 0.8)[0, 0]
        means.append((G.mean(), G.std() / np.sqrt(count)))
    (one, e1), (two, e2) = means
    assert abs(one - two) < 4 * np.hypot(e1, e2)
    assert abs(one - by_autograd(mdp, THETA)[0]) < 4 * e1


def test_episodes_may_all_end_before_they_begin():
    """One start in a million is alive: an update in which none is changes nothing."""
    P = np.array([[[0.5, 0.5]], [[0.0, 1.0]]])
    mdp = MDP(P, [[1.0], [0.0]], 0.5, terminal=[1], start=[1e-6, 1])
    episodes = roll_model(mdp)(np.ones((1, 2, 1)), 5, np.random.default_rng(0))
    assert not episodes.alive.any()
    assert not episodes.rewards.any()
    for baseline in BASELINES:
        curves = Reinforce(updates=3, seeds=2, baseline=baseline).learn(problem_of(mdp))
        assert not curves.theta.any()


@pytest.mark.parametrize("options", [{"natural": True, "damping": 1e-12}, {"rate": 1e6}])
def test_extreme_options_stay_finite(options):
    learner = ExactGradient(updates=50, **options)
    assert np.isfinite(learner.learn(problem_of(space_exploration())).theta).all()


def test_observations_made_of_discrete_parts_are_numbered():
    spaces = gymnasium.spaces
    count, encode = state_encoder(spaces.Tuple([spaces.Discrete(3, start=1), spaces.Discrete(2)]))
    assert (count, {encode((i, j)) for i in (1, 2, 3) for j in (0, 1)}) == (6, set(range(6)))
    count, encode = state_encoder(spaces.MultiDiscrete([2, 5]))
    assert (count, encode(np.array([1, 4]))) == (10, 9)
    with pytest.raises(UserError, match="must be discrete"):
        state_encoder(spaces.Box(0, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reinforce(rate=0), "learner.rate must be in"),
        (lambda: Reinforce(damping=-1), "learner.damping must be in"),
        (lambda: Reinforce(episodes=0), "learner.episodes must be at least 1"),
        (lambda: ExactGradient(updates=0), "learner.updates must be at least 1"),
        (lambda: LearnedValue(rate=2), "learner.baseline.rate must be in"),
        (lambda: Reinforce(episodes=1, baseline=LeaveOneOutReturn()), "LeaveOneOutReturn needs"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
