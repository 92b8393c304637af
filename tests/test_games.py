# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""Matrix games against closed forms, enumeration of supports, and theory of their dynamics."""

import csv
import json
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import cli
from elbolab.errors import UserError
from tasks.command import main
from tasks.mdp.dynamics import (
    DescentAscent,
    Extragradient,
    FictitiousPlay,
    MultiplicativeWeights,
)
from tasks.mdp.game_experiment import played
from tasks.mdp.games import ROCK_PAPER_SCISSORS, exploitability, optimal_range, solve_game
from tasks.mdp.simplex import project, to_plane

THIRD = np.full(3, 1 / 3)
START = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.2, 0.6])
EVERY = [FictitiousPlay, MultiplicativeWeights, DescentAscent, Extragradient]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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


def test_payoffs_of_rock_paper_scissors_are_those_of_the_formula():
    """Points for B, as the sum of products over who beats whom."""
    a, b = START
    points = a[0] * b[1] + a[1] * b[2] + a[2] * b[0] - a[0] * b[2] - a[1] * b[0] - a[2] * b[1]
    assert -a @ ROCK_PAPER_SCISSORS @ b == pytest.approx(points)


def test_rock_paper_scissors_is_uniform_unique_and_worth_nothing():
    found = solve_game(ROCK_PAPER_SCISSORS)
    np.testing.assert_allclose(found.x, THIRD, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.y, THIRD, rtol=0, atol=1e-9)
    assert abs(found.value) < 1e-9
    assert found.gap < 1e-9
    for matrix in (ROCK_PAPER_SCISSORS, -ROCK_PAPER_SCISSORS.T):
        low, high = optimal_range(matrix, 0.0)
        np.testing.assert_allclose(low, THIRD, rtol=0, atol=1e-9)
        np.testing.assert_allclose(high, THIRD, rtol=0, atol=1e-9)


def test_every_reply_to_uniform_earns_nothing_and_to_anything_else_some_wins():
    np.testing.assert_allclose(ROCK_PAPER_SCISSORS @ THIRD, 0, atol=1e-15)
    others = np.random.default_rng(0).dirichlet(np.ones(3), 1000)
    assert ((others @ ROCK_PAPER_SCISSORS.T).max(axis=1) > 0).all()


def test_rectangular_games_have_the_value_that_enumeration_finds():
    """100 games, seed 0, of one to five rows and columns, some with equal payoffs."""
    generator = np.random.default_rng(0)
    for k in range(100):
        shape = tuple(generator.integers(1, 6, 2))
        M = generator.normal(size=shape) * 10.0 ** generator.integers(-3, 4)
        M = np.round(M) if k % 2 else M
        found = solve_game(M)
        scale = max(1.0, np.ptp(M))
        assert found.value == pytest.approx(by_supports(M), abs=1e-8 * scale)
        assert 0 <= found.gap + 1e-15 * scale < 1e-8 * scale
        assert found.x.sum() == pytest.approx(1)
        assert found.y.min() >= 0


def test_a_face_of_optimal_strategies_is_measured():
    """Two equal rows: any mixture of them is optimal, the third is never played."""
    M = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    low, high = optimal_range(M, 1.0)
    np.testing.assert_allclose(low, [0, 0, 0], atol=1e-8)
    np.testing.assert_allclose(high, [1, 1, 0], atol=1e-8)


def test_projection_is_the_closest_point_of_the_simplex():
    """The variational inequality ⟨z − p, q − p⟩ ≤ 0 for all corners q; seed 0."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        z = generator.normal(size=generator.integers(1, 7)) * 3
        p = project(z)
        assert p.sum() == pytest.approx(1)
        assert p.min() >= 0
        assert (((np.eye(len(z)) - p) @ (z - p)) <= 1e-12).all()


@pytest.mark.parametrize("kind", EVERY)
def test_averages_become_unexploitable(kind):
    """Where regret vanishes, the average is an equilibrium; on a rectangular game, seed 0."""
    M = np.random.default_rng(0).normal(size=(4, 3))
    start = np.full(4, 0.25), THIRD
    play = played(M, kind(), start, 20_000)
    assert play.average_gap[-1] < 0.08 * np.ptp(M)
    assert (play.average_gap >= -1e-12).all()
    assert np.allclose(play.strategies[0].sum(axis=1), 1)


def test_descent_ascent_circles_and_extragradient_settles():
    circle = played(ROCK_PAPER_SCISSORS, DescentAscent(0.1), START, 3000)
    settle = played(ROCK_PAPER_SCISSORS, Extragradient(0.1), START, 3000)
    assert circle.last_gap[-500:].min() > 0.5
    assert circle.average_gap[-1] < 0.05
    assert settle.last_gap[-1] < 1e-3


def test_multiplicative_weights_keep_regret_within_its_bound():
    """Payoffs in [0, 1]: the gap of the averages is at most (log m + log n)/(ηT) + η/4."""
    M = np.random.default_rng(1).random((5, 4))
    M = (M - M.min()) / np.ptp(M)
    for rate in (0.01, 0.1, 0.5):
        play = played(M, MultiplicativeWeights(rate), (np.full(5, 0.2), np.full(4, 0.25)), 4999)
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


def run(*options):
    assert main(["game", *map(str, options), "--run_dir", "out"]) == 0
    found = json.loads(Path("out/metrics.json").read_text())
    return {key.removeprefix("game/"): value for key, value in found.items()}


CONFIGS = sorted((ROOT / "configs/tasks").glob("game*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs(config):
    metrics = run("--config", config)
    assert (metrics["unique"], metrics["value"]) == (1, pytest.approx(0, abs=1e-9))
    pictures = sorted(Path("out/images").glob("*.png"))
    assert [p.stem for p in pictures] == ["exploitability", "simplex_column", "simplex_row"]
    for picture in pictures:
        with Image.open(picture) as image:
            assert min(image.size) > 300
    with Path("out/solution.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            assert float(row["probability"]) == pytest.approx(1 / 3, abs=1e-9)


def test_files_of_payoffs_are_solved():
    """Matching pennies with a bonus: x = (2/5, 3/5) and value 1/5."""
    Path("m.csv").write_text("2,-1\n-1,1\n")
    assert run("--payoffs", "m.csv", "--steps", 5)["value"] == pytest.approx(0.2)


def test_names_of_actions_come_from_json():
    Path("m.json").write_text(json.dumps({"payoffs": [[1, 2, 3]], "rows": ["only"]}))
    metrics = run("--payoffs", "m.json", "--dynamics", "[Extragradient]", "--steps", 3)
    assert (metrics["value"], metrics["unique"]) == (pytest.approx(1), 1)
    assert "row,only,1.0" in Path("out/solution.csv").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--payoffs", "rock-paper"], "Did you mean 'rock-paper-scissors'?"),
        (["--payoffs", "none.csv"], "cannot read none.csv"),
        (["--payoffs", "word.csv"], "word.csv: payoffs must be numbers"),
        (["--payoffs", "ragged.csv"], "as many in every row"),
        (["--payoffs", "empty.csv"], "matrix of at least one number"),
        (["--payoffs", "nan.csv"], "payoff in row 1, column 2 is nan"),
        (["--payoffs", "broken.json"], "broken.json is no JSON"),
        (["--payoffs", "key.json"], "Did you mean 'payoffs'?"),
        (["--payoffs", "names.json"], "rows must name 1 actions, got 2"),
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--start", "[[1, 0], [1, 0, 0]]"], "start of the row player must be 3 probabilities"),
        (["--start", "[[1, 0, 0], [1, 1, 0]]"], "start of the column player"),
        (["--dynamics", "[{class_path: DescentAscent, init_args: {rate: 0}}]"], "rate must be pos"),
        (["--dynamics", "[FictitousPlay]"], "FictitousPlay"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(options, message, capsys):
    Path("word.csv").write_text("1,two\n")
    Path("ragged.csv").write_text("1,2\n3\n")
    Path("empty.csv").write_text("")
    Path("nan.csv").write_text("1,nan\n")
    Path("broken.json").write_text("[")
    Path("key.json").write_text('{"payoff": [[1]]}')
    Path("names.json").write_text('{"payoffs": [[1]], "rows": ["a", "b"]}')
    assert cli.main(["task", "game", *options, "--run_dir", "out"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(error) == 1
    assert message in error[0]
    assert not Path("out").exists()


def test_used_as_a_library_a_wrong_rate_is_a_value_error():
    with pytest.raises(UserError, match="rate must be positive"):
        MultiplicativeWeights(-1)
