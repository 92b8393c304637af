# ruff: noqa: N806  capitals are the symbols of the formulas
"""Solvers against published numbers, linear programmes, another library and exact fractions."""

from fractions import Fraction
from itertools import islice

import gymnasium
import numpy as np
import pytest
from quantecon.markov import DiscreteDP
from scipy import sparse
from scipy.optimize import linprog

from elbolab.errors import UserError
from tasks.mdp.certificate import certified_bound, first_endless_state, horizon
from tasks.mdp.environment import mdp_of, space_exploration
from tasks.mdp.model import MDP
from tasks.mdp.solution import CompiledOperators, solve
from tasks.mdp.solvers import (
    GaussSeidel,
    LinearProgramming,
    ModifiedPolicyIteration,
    PolicyIteration,
    Prioritised,
    ValueIteration,
)

SOLVERS = {
    "policy iteration": PolicyIteration(),
    "one sweep": PolicyIteration(sweeps=1),
    "five sweeps": PolicyIteration(sweeps=5),
    "warm start": PolicyIteration(warm_up=5),
    "value iteration": ValueIteration(),
    "Gauss-Seidel": GaussSeidel(),
    "prioritised": Prioritised(),
    "modified": ModifiedPolicyIteration(),
    "linear programming": LinearProgramming(),
}
each_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


def random_process(seed, dense, gamma=None, ends=None):
    generator = np.random.default_rng(seed)
    S, A = generator.integers(2, 15), generator.integers(1, 5)
    P = generator.dirichlet(np.full(S, 0.5), (S, A))
    if not dense:
        P = P * (generator.random((S, A, S)) < 0.4) + 1e-3 * np.eye(S)[:, None]
        P /= P.sum(axis=2, keepdims=True)
    R = generator.normal(size=(S, A)) * 10 ** generator.uniform(-1, 2)
    gamma = generator.uniform(0.3, 0.97) if gamma is None else gamma
    terminal = range(generator.integers(0, min(2, S - 1) + 1)) if ends is None else ends
    given = P if dense else [sparse.csr_array(P[:, a]) for a in range(A)]
    return MDP(given, R, gamma, terminal=list(terminal))


def by_linear_programme(mdp):
    """Built from P and R alone, one constraint after the other."""
    P = mdp.csr.toarray().reshape(mdp.S, mdp.A, mdp.S)
    rows = [mdp.gamma * P[s, a] - np.eye(mdp.S)[s] for s in range(mdp.S) for a in range(mdp.A)]
    found = linprog(np.ones(mdp.S), np.array(rows), -mdp.R.ravel(), bounds=(None, None))
    return found.x


def by_quantecon(mdp):
    """Terminal states stay where they are and earn nothing."""
    P = mdp.csr.toarray().reshape(mdp.S, mdp.A, mdp.S)
    for s in np.flatnonzero(mdp.terminal):
        P[s, :, s] = 1
    return DiscreteDP(mdp.R, P, mdp.gamma).solve("policy_iteration").v


def exact_optimum(mdp, policy):
    """v_π in fractions, and whether no action of any state is better: then it is v_*."""
    P = [[Fraction(x) for x in row] for row in mdp.csr.toarray().tolist()]
    R, gamma, S = mdp.R, Fraction(mdp.gamma), mdp.S
    rows = [s * mdp.A + int(policy[s]) for s in range(S)]
    M = [
        [(s == t) - gamma * P[rows[s]][t] for t in range(S)] + [Fraction(R[s, policy[s]])]
        for s in range(S)
    ]
    for i in range(S):  # Gauss–Jordan
        pivot = next(j for j in range(i, S) if M[j][i])
        M[i], M[pivot] = M[pivot], M[i]
        M[i] = [x / M[i][i] for x in M[i]]
        for j in range(S):
            if j != i and M[j][i]:
                M[j] = [x - M[j][i] * y for x, y in zip(M[j], M[i], strict=True)]
    v = [row[-1] for row in M]
    best = all(
        Fraction(R[s, a]) + gamma * sum(p * x for p, x in zip(P[s * mdp.A + a], v, strict=True))
        <= v[s]
        for s in range(S)
        for a in range(mdp.A)
    )
    return v, best


def operators():
    return CompiledOperators(space_exploration())


def test_policy_iteration_with_one_sweep_gives_the_published_sequence():
    _, first, second = islice(PolicyIteration(sweeps=1).iterates(operators()), 3)
    assert first.v.tolist() == [1, 1, 0]
    assert second.v.tolist() == [2.5, 1.5, 0]
    assert first.policy[:2].tolist() == second.policy[:2].tolist() == [1, 0]


def test_value_iteration_gives_the_published_sequence():
    _, first, second = islice(ValueIteration().iterates(operators()), 3)
    assert first.v.tolist() == [2, 1, 0]
    assert second.v.tolist() == [2.75, 1.75, 0]
    assert second.residual > 0.1


@each_solver
def test_every_solver_finds_the_fixed_point(solver):
    found = solve(space_exploration(), solver, keep=True)
    np.testing.assert_allclose(found.v, [3.5, 2.5, 0], rtol=0, atol=1e-10)
    assert found.policy[:2].tolist() == [1, 0]
    assert found.bound <= 1.001e-10
    assert found.converged
    assert len(found.iterates) == len(found.residuals) == found.iterations + 1
    assert found.residuals[0] == np.inf


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "sparse"])
def test_solvers_agree_on_100_random_processes(dense):
    """Seeds 0 to 99; the linear programme and quantecon are built without our solvers."""
    for seed in range(100):
        mdp = random_process(seed, dense)
        theirs, scale = by_quantecon(mdp), np.abs(mdp.R).max() / (1 - mdp.gamma)
        np.testing.assert_allclose(by_linear_programme(mdp), theirs, rtol=0, atol=1e-8 * scale)
        for name, solver in SOLVERS.items():
            found = solve(mdp, solver)
            np.testing.assert_allclose(found.v, theirs, rtol=0, atol=1e-8, err_msg=f"{seed} {name}")
            assert found.bound < 1e-8


@each_solver
def test_certified_bounds_hold_in_exact_arithmetic(solver):
    """20 processes; loose tolerances, so that bounds are not met by accident."""
    for seed in range(20):
        mdp = random_process(seed, dense=True)
        exact, optimal = exact_optimum(mdp, solve(mdp).policy)
        assert optimal
        for tolerance in (1.0, 1e-3, 1e-13):
            kind = type(solver)(tolerance=tolerance)
            found = solve(mdp, kind)
            error = max(abs(Fraction(x) - y) for x, y in zip(found.v.tolist(), exact, strict=True))
            assert error <= Fraction(found.bound)


def test_the_bound_holds_for_any_values_at_all():
    generator = np.random.default_rng(0)
    for seed in range(20):
        mdp = random_process(seed, dense=True)
        exact, _ = exact_optimum(mdp, solve(mdp).policy)
        v = generator.normal(size=mdp.S) * ~mdp.terminal
        _, bound = certified_bound(mdp, v, horizon(mdp))
        assert max(abs(Fraction(x) - y) for x, y in zip(v.tolist(), exact, strict=True)) <= bound


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"])
def test_toy_text_environments_are_solved_from_their_own_table(name):
    mdp = mdp_of(gymnasium.make(name), 0.95)
    theirs = by_quantecon(mdp)
    for kind in (PolicyIteration, ValueIteration, GaussSeidel, Prioritised):
        np.testing.assert_allclose(solve(mdp, kind()).v, theirs, rtol=0, atol=1e-8)


def test_cliff_walking_takes_thirteen_steps():
    mdp = mdp_of(gymnasium.make("CliffWalking-v1"), 1 - 1e-6)
    assert solve(mdp).v[36] == pytest.approx(-13, abs=1e-3)


def chain(length, stays=False):
    """Steps forward cost 1, skips of two cost 3; the last state ends it."""
    P = np.zeros((length, 2, length))
    for s in range(length):
        P[s, 0, s if stays and s == 1 else min(s + 1, length - 1)] = 1
        P[s, 1, min(s + 2, length - 1)] = 1
    return MDP(P, np.tile([-1.0, -3.0], (length, 1)), 1.0, terminal=[length - 1])


@each_solver
def test_without_discount_where_every_policy_ends(solver):
    found = solve(chain(6), solver)
    np.testing.assert_allclose(found.v, [-5, -4, -3, -2, -1, 0], atol=1e-10)
    assert found.bound <= 1e-9


def test_steps_to_the_end_bound_the_error_without_discount():
    """The longest way through the chain takes five steps; 1 % for the proof."""
    assert 5 <= horizon(chain(6)) <= 5.1
    v = np.array([-4.0, -4.5, -3, -2, -1, 0])
    _, bound = certified_bound(chain(6), v, horizon(chain(6)))
    assert bound >= 1


@each_solver
def test_a_policy_that_never_ends_is_said_not_looped(solver):
    with pytest.raises(UserError, match="from state '0' one need not|from state '1' one need not"):
        solve(chain(6, stays=True), solver)


def test_endless_states_are_those_with_a_closed_set():
    """Against a check of all 2^S sets of states."""
    for seed in range(60):
        mdp = random_process(seed, dense=False, gamma=1.0)
        if mdp.S > 8:
            continue
        to = mdp.csr.toarray().reshape(mdp.S, mdp.A, mdp.S) > 0
        alive = [s for s in range(mdp.S) if not mdp.terminal[s]]
        sets = [[s for i, s in enumerate(alive) if k >> i & 1] for k in range(1, 2 ** len(alive))]
        closed = any(
            all(any(set(np.flatnonzero(to[s, a])) <= set(one) for a in range(mdp.A)) for s in one)
            for one in sets
        )
        assert (first_endless_state(mdp) is not None) == closed


def test_limits_are_honest():
    found = solve(random_process(1, True, gamma=0.9), ValueIteration(max_iterations=3))
    assert (found.iterations, found.converged) == (3, False)
    assert found.bound > 1e-3


def test_prioritised_order_saves_backups_on_a_chain():
    """Rewards at one end only: the other order waits for news to arrive."""
    P = np.zeros((200, 1, 200))
    P[np.arange(200), 0, np.minimum(np.arange(200) + 1, 199)] = 1
    mdp = MDP(P, np.arange(200.0)[:, None] == 198, 0.99, terminal=[199])
    assert solve(mdp, Prioritised()).backups < solve(mdp, ValueIteration()).backups / 50


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ValueIteration(tolerance=0), "solver.tolerance must be above 0"),
        (lambda: ValueIteration(max_iterations=0), "solver.max_iterations must be at least 1"),
        (lambda: PolicyIteration(warm_up=-1), "solver.warm_up must be at least 0"),
        (lambda: PolicyIteration(sweeps=0), "solver.sweeps must be at least 1"),
        (lambda: ModifiedPolicyIteration(sweeps=-1), "solver.sweeps must be at least 0"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
