# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""Matrix games against closed forms, enumeration of supports, and theory of their dynamics."""

from fractions import Fraction
from itertools import combinations, islice

import numpy as np
import pytest

from elbolab.errors import UserError
from tasks.game.dynamics import (
    DescentAscent,
    Extragradient,
    FictitiousPlay,
    MultiplicativeWeights,
    play_game,
    project,
)
from tasks.game.equilibrium import optimal_range, solve_game, solve_programmes
from tasks.game.exact import optimal_strategies
from tasks.game.model import ROCK_PAPER_SCISSORS, exploitability
from tasks.game.pictures import to_plane

THIRD = np.full(3, 1 / 3)
START = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.2, 0.6])
EVERY = [FictitiousPlay, MultiplicativeWeights, DescentAscent, Extragradient]


def by_supports(M):
    """The value of the game, from all pairs of supports of one size (Shapley and Snow, 1950)."""
    m, n = M.shape
    for size in range(1, min(m, n) + 1):
        for rows in combinations(range(m), size):
            for columns in combinations(range(n), size):
                block = np.block(
                    [
                        [M[np.ix_(rows, columns)], -np.ones((size, 1))],
                        [np.ones((1, size)), np.zeros((1, 1))],
                    ]
                )
                if abs(np.linalg.det(block)) < 1e-9:
                    continue
                right = np.append(np.zeros(size), 1)
                y, x = np.zeros(n), np.zeros(m)
                y[list(columns)] = np.linalg.solve(block, right)[:-1]
                side = block.T.copy()
                side[-1, :-1], side[:-1, -1] = 1, -1
                x[list(rows)] = np.linalg.solve(side, right)[:-1]
                if min(x.min(), y.min()) > -1e-9 and exploitability(M, x, y) < 1e-9:
                    return (M @ y).max()
    raise AssertionError("no equilibrium found")


def random_games():
    generator = np.random.default_rng(0)
    for k in range(100):
        M = generator.normal(size=tuple(generator.integers(1, 6, 2)))
        M *= 10.0 ** generator.integers(-3, 4)
        yield np.round(M) if k % 2 else M


def vertices(M):
    """Extreme optimal strategies of the row player of a game of whole numbers, in fractions.

    Each solves, with the value, a square system of equations: sum to 1, and as many of x_i = 0 and
    (xᵀM)_j = v as are missing. Written without the simplex method.
    """
    m = len(M)
    zero = [[Fraction(i == k) for k in range(m)] + [Fraction(0), Fraction(0)] for i in range(m)]
    tight = [[Fraction(x) for x in column] + [Fraction(-1), Fraction(0)] for column in M.T.tolist()]
    total = [Fraction(1)] * m + [Fraction(0), Fraction(1)]
    points = set()
    for chosen in combinations(zero + tight, m):
        point = by_elimination([list(total), *map(list, chosen)])
        if point is None:
            continue
        *x, v = point
        earned = [sum(p * Fraction(q) for p, q in zip(x, col, strict=True)) for col in M.T.tolist()]
        if min(x) >= 0 and min(earned) >= v:
            points.add((v, *x))
    value = max(v for v, *_ in points)
    return value, [x for v, *x in points if v == value]


def by_elimination(rows):
    """Solves a square system with its right-hand side as last column, or None if it is singular."""
    n = len(rows)
    for i in range(n):
        pivot = next((j for j in range(i, n) if rows[j][i]), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(n):
            if j != i and rows[j][i]:
                rows[j] = [x - rows[j][i] * y for x, y in zip(rows[j], rows[i], strict=True)]
    return [row[-1] for row in rows]


def test_all_optimal_strategies_are_those_of_exact_enumeration():
    """150 games of small whole numbers, seed 0: many have several solutions, and many ties."""
    generator, several = np.random.default_rng(0), 0
    for _ in range(150):
        M = generator.integers(-2, 3, size=tuple(generator.integers(1, 5, 2))).astype(float)
        for payoffs in (M, -M.T):
            value, points = vertices(payoffs)
            player = optimal_strategies(-payoffs.T)
            assert player.value == -value
            assert player.strategy in points
            assert player.lowest == [min(x) for x in zip(*points, strict=True)]
            assert player.highest == [max(x) for x in zip(*points, strict=True)]
            assert (player.width == 0) == (len(points) == 1)
            several += len(points) > 1
    assert 50 < several < 250


@pytest.mark.parametrize("loss", [1e-4, 1e-9, 1e-15, 1e-300])
def test_a_third_action_that_is_hardly_worse_is_never_played(loss):
    solution = solve_game(np.array([[1.0, -1.0], [-1.0, 1.0], [-loss, -loss]]))
    assert solution.unique
    assert solution.x.tolist() == [0.5, 0.5, 0]
    assert (solution.value, solution.gap) == (0, 0)


@pytest.mark.parametrize("worth", [0.0, 0.1, 1e-5])
def test_a_third_action_that_is_as_good_makes_several_solutions(worth):
    M = np.array([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]]) + worth
    solution = solve_game(M)
    assert not solution.unique
    assert [p.tolist() for p in solution.x_range] == [[0, 0, 0], [0.5, 0.5, 1]]


def test_payoffs_are_the_decimal_numbers_that_were_typed():
    """The second row is the mean of the others, in decimal numbers and not in binary ones."""
    solution = solve_game(np.array([[0.1, 0.3], [0.2, 0.2], [0.3, 0.1]]))
    assert (solution.value, solution.unique) == (0.2, False)


def test_scale_and_offset_change_no_solution():
    """Random games of five digits, seed 0, times powers of ten and plus a number."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        digits = generator.integers(-99999, 100000, size=(4, 4))
        one = solve_game(digits.astype(float))
        two = solve_game(np.array([[float(f"{x}e-80") for x in row] for row in digits]))
        np.testing.assert_array_equal(one.x, two.x)
        assert one.unique == two.unique


def test_large_games_say_nothing_of_uniqueness():
    assert solve_game(np.random.default_rng(0).normal(size=(401, 4))).unique is None


def test_payoffs_of_rock_paper_scissors_are_those_of_the_formula():
    """Points for B, as the sum of products over who beats whom."""
    a, b = START
    points = a[0] * b[1] + a[1] * b[2] + a[2] * b[0] - a[0] * b[2] - a[1] * b[0] - a[2] * b[1]
    assert -a @ ROCK_PAPER_SCISSORS @ b == pytest.approx(points)


@pytest.mark.parametrize("solved", [solve_game, solve_programmes])
def test_rock_paper_scissors_is_uniform_unique_and_worth_nothing(solved):
    solution = solved(ROCK_PAPER_SCISSORS)
    for p in (solution.x, solution.y, *solution.x_range, *solution.y_range):
        np.testing.assert_allclose(p, THIRD, rtol=0, atol=1e-9)
    assert abs(solution.value) < 1e-9
    assert solution.gap < 1e-9


def test_every_reply_to_uniform_earns_nothing_and_to_anything_else_some_wins():
    np.testing.assert_allclose(ROCK_PAPER_SCISSORS @ THIRD, 0, atol=1e-15)
    others = np.random.default_rng(0).dirichlet(np.ones(3), 1000)
    assert ((others @ ROCK_PAPER_SCISSORS.T).max(axis=1) > 0).all()


@pytest.mark.parametrize("solved", [solve_game, solve_programmes])
def test_rectangular_games_have_the_value_that_enumeration_finds(solved):
    """100 games, seed 0, of one to five rows and columns, some with equal payoffs."""
    for M in random_games():
        solution, scale = solved(M), max(1.0, np.ptp(M))
        assert solution.value == pytest.approx(by_supports(M), abs=1e-8 * scale)
        assert 0 <= solution.gap + 1e-15 * scale < 1e-8 * scale
        assert solution.x.sum() == pytest.approx(1)
        assert solution.y.min() >= 0


def test_a_face_of_optimal_strategies_is_measured():
    """Two equal rows: any mixture of them is optimal, the third is never played."""
    M = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    low, high = optimal_range(M, 1.0)
    np.testing.assert_allclose(low, [0, 0, 0], atol=1e-8)
    np.testing.assert_allclose(high, [1, 1, 0], atol=1e-8)


def test_projection_is_the_closest_point_of_the_simplex():
    """The variational inequality ⟨z − p, q − p⟩ ≤ 0 for all corners q; seed 0."""
    generator = np.random.default_rng(0)
    for k in range(200):
        z = generator.normal(size=generator.integers(1, 7)) * 3 * (1e18 if k % 4 == 0 else 1)
        p = project(z)
        assert p.sum() == pytest.approx(1)
        assert p.min() >= 0
        assert (((np.eye(len(z)) - p) @ (z - p)) <= 1e-12).all()


@pytest.mark.parametrize("kind", EVERY)
def test_averages_become_unexploitable(kind):
    """Where regret vanishes, the average is an equilibrium; on a rectangular game, seed 0."""
    M = np.random.default_rng(0).normal(size=(4, 3))
    start = np.full(4, 0.25), THIRD
    play = play_game(M, kind(), start, 20_000)
    assert play.average_gap[-1] < 0.08 * np.ptp(M)
    assert (play.average_gap >= -1e-12).all()
    assert np.allclose(play.strategies[0].sum(axis=1), 1)


def test_descent_ascent_circles_and_extragradient_settles():
    circle = play_game(ROCK_PAPER_SCISSORS, DescentAscent(rate=0.1), START, 3000)
    settle = play_game(ROCK_PAPER_SCISSORS, Extragradient(0.1), START, 3000)
    assert circle.last_gap[-500:].min() > 0.5
    assert circle.average_gap[-1] < 0.05
    assert settle.last_gap[-1] < 1e-3


def test_multiplicative_weights_keep_regret_within_its_bound():
    """Payoffs in [0, 1]: the gap of the averages is at most (log m + log n)/(ηT) + η/4."""
    M = np.random.default_rng(1).random((5, 4))
    M = (M - M.min()) / np.ptp(M)
    for rate in (0.01, 0.1, 0.5):
        start = np.full(5, 0.2), np.full(4, 0.25)
        play = play_game(M, MultiplicativeWeights(rate=rate), start, 4999)
        bound = (np.log(5) + np.log(4)) / (rate * 5000) + rate / 4
        assert play.average_gap[-1] <= bound


def test_fictitious_play_replies_to_what_was_played():
    pairs = list(islice(FictitiousPlay().play(ROCK_PAPER_SCISSORS, *START), 50))
    for t in range(1, 50):
        sums = [np.sum([pair[side] for pair in pairs[:t]], axis=0) for side in (0, 1)]
        earned = ROCK_PAPER_SCISSORS @ sums[1]
        assert earned[pairs[t][0].argmax()] == pytest.approx(earned.max())
        paid = sums[0] @ ROCK_PAPER_SCISSORS
        assert paid[pairs[t][1].argmax()] == pytest.approx(paid.min())


def test_the_triangle_has_sides_of_one():
    corners = to_plane(np.eye(3))
    for i, j in combinations(range(3), 2):
        assert np.linalg.norm(corners[i] - corners[j]) == pytest.approx(1)


def test_used_as_a_library_a_wrong_rate_is_a_value_error():
    with pytest.raises(UserError, match="rate must be in"):
        MultiplicativeWeights(rate=-1)
