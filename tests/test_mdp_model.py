"""What a process is made of: arrays, sparse matrices, files, environments."""

import json

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scipy import sparse

from elbolab.errors import UserError
from tasks.mdp.environment import SpaceExploration, mdp_of, space_exploration
from tasks.mdp.files import read_mdp
from tasks.mdp.model import MDP
from tasks.mdp.options import Garnet
from tasks.mdp.solution import solve
from tasks.mdp.sources import random_mdp

P = np.array([[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.25, 0.75]]])
R = np.array([[1.0, 2.0], [3.0, 4.0]])
NEXT = np.arange(8.0).reshape(2, 2, 2)


def same(one, two):
    return np.allclose(one.csr.toarray(), two.csr.toarray(), atol=0) and np.allclose(one.R, two.R)


@pytest.mark.parametrize("rewards", [R, NEXT], ids=["expected", "by next state"])
def test_dense_and_both_sparse_layouts_are_one_process(rewards):
    by_action = [sparse.csr_array(P[:, a]) for a in range(2)]
    stacked = sparse.coo_array(P.reshape(4, 2))
    lists = [sparse.csr_array(rewards[:, a]) for a in range(2)] if rewards.ndim == 3 else rewards
    flat = sparse.csr_array(rewards.reshape(4, 2)) if rewards.ndim == 3 else rewards
    dense = MDP(P, rewards, 0.9)
    assert same(dense, MDP(by_action, lists, 0.9))
    assert same(dense, MDP(stacked, flat, 0.9))


def test_rewards_by_next_state_are_averaged():
    expected = [[sum(P[s, a, t] * NEXT[s, a, t] for t in (0, 1)) for a in (0, 1)] for s in (0, 1)]
    np.testing.assert_allclose(MDP(P, NEXT, 0.9).R, expected)


def test_terminal_states_are_worth_nothing_and_input_is_left_alone():
    given = sparse.csr_array(P.reshape(4, 2))
    mdp = MDP(given, R, 0.9, terminal=[1])
    assert not mdp.csr.toarray()[2:].any()
    assert not mdp.R[1].any()
    np.testing.assert_array_equal(given.toarray(), P.reshape(4, 2))
    np.testing.assert_array_equal(mdp.start, [1, 0])


def test_another_discount_changes_nothing_else():
    for transitions in (P, sparse.csr_array(P.reshape(4, 2))):
        mdp = MDP(transitions, R, 0.9, terminal=[1], states=("a", "b"), start=[0.2, 0.8])
        other = mdp.with_gamma(0.5)
        assert same(mdp, other)
        assert (other.gamma, other.state(1)) == (0.5, "b")
        np.testing.assert_array_equal(mdp.start, other.start)


def broken(**changes):
    given = {"transitions": P, "rewards": R, "gamma": 0.9, **changes}
    return MDP(**given)


SHORT, NEGATIVE, NOT_A_NUMBER = P.copy(), P.copy(), P.copy()
SHORT[1, 0] = [0.5, 0.4]
NEGATIVE[0, 1] = [-0.5, 1.5]
NOT_A_NUMBER[0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transitions": SHORT}, "state '1', action '0' must have probabilities that sum to 1"),
        ({"transitions": sparse.csr_array(SHORT.reshape(4, 2))}, "sum to 1, got 0.9"),
        ({"transitions": NEGATIVE}, "state '0', action '1' has a negative probability, got -0.5"),
        ({"transitions": sparse.csr_array(NEGATIVE.reshape(4, 2))}, "negative probability"),
        ({"transitions": NOT_A_NUMBER}, "must be finite"),
        ({"transitions": P[0]}, r"must be \(S, A, S\)"),
        ({"transitions": sparse.csr_array(np.eye(3)[:2])}, "need S·A rows"),
        ({"transitions": [sparse.eye_array(2), sparse.eye_array(3)]}, "one shape"),
        ({"gamma": 1.5}, r"gamma must be in \[0, 1\], got 1.5"),
        ({"gamma": -0.1}, "gamma must be in"),
        ({"gamma": float("nan")}, "gamma must be in"),
        ({"rewards": R[:1]}, r"rewards must be \(S, A\)"),
        ({"rewards": R * np.inf}, "rewards must be finite"),
        ({"rewards": np.zeros((2, 1, 2))}, "laid out like"),
        ({"terminal": [2]}, "terminal state 2 must lie in 0 … 1"),
        ({"states": ["only"]}, "states must name 2, got 1"),
        ({"start": [0, 0]}, "start must be 2 weights"),
    ],
)
def test_wrong_processes_are_refused_in_one_line(changes, message):
    with pytest.raises(UserError, match=message) as caught:
        broken(**changes)
    assert "\n" not in str(caught.value)


SPACE = {
    "gamma": 0.7,
    "terminal": ["Depleted"],
    "start": {"FullEnergy": 1},
    "transitions": {
        "FullEnergy": {
            "Conserve": [[1, "FullEnergy", 1]],
            "Explore": [[0.5, "LowEnergy", 2], [0.5, "FullEnergy", 2]],
        },
        "LowEnergy": {
            "Conserve": [[0.5, "FullEnergy", 1], [0.5, "LowEnergy", 1]],
            "Explore": [[1, "Depleted", -10]],
        },
    },
}


def as_json(path):
    path.write_text(json.dumps(SPACE))


def as_npz(path):
    np.savez(
        path,
        data=[1, 0.5, 0.5, 0.5, 0.5, 1],
        indices=[0, 0, 1, 0, 1, 2],
        indptr=[0, 1, 3, 5, 6, 6, 6],
        rewards=[[1, 2], [1, -10], [0, 0]],
        gamma=0.7,
        terminal=[2],
        start=[1, 0, 0],
        states=["FullEnergy", "LowEnergy", "Depleted"],
        actions=["Conserve", "Explore"],
    )


@pytest.mark.parametrize(("suffix", "write"), [(".npz", as_npz), (".json", as_json)])
def test_files_hold_whole_processes(tmp_path, suffix, write):
    path = tmp_path / f"m{suffix}"
    write(path)
    expected, read = space_exploration(0.7), read_mdp(path)
    assert same(expected, read)
    assert (read.gamma, read.state(0), read.action(1)) == (0.7, "FullEnergy", "Explore")
    np.testing.assert_array_equal(read.terminal, expected.terminal)
    np.testing.assert_array_equal(read.start, expected.start)
    assert read_mdp(path, 0.3).gamma == 0.3


def test_dense_archives_are_read(tmp_path):
    np.savez(tmp_path / "m.npz", transitions=P, rewards=NEXT, gamma=0.9)
    assert same(read_mdp(tmp_path / "m.npz"), MDP(P, NEXT, 0.9))


def test_wrong_archives_are_named(tmp_path):
    path = tmp_path / "m.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match="is no NPZ"):
        read_mdp(path)
    np.savez(path, data=[1.0], rewards=R)
    with pytest.raises(UserError, match="lacks indices, indptr"):
        read_mdp(path)
    np.savez(path, data=[1.0], indices=[7], indptr=[0, 1], rewards=R, gamma=0.5)
    with pytest.raises(UserError, match="no CSR matrix"):
        read_mdp(path)
    with pytest.raises(UserError, match="cannot read"):
        read_mdp(tmp_path / "none.npz")
    with pytest.raises(UserError, match=r"\.json or \.npz, not '\.txt'"):
        read_mdp(tmp_path / "m.txt")


def test_space_exploration_is_a_gymnasium_environment():
    env = gymnasium.make("tasks.environments:SpaceExploration-v0")
    check_env(env.unwrapped, skip_render_check=True)
    assert env.unwrapped.P[1][1] == [(1.0, 2, -10.0, True)]


def test_space_exploration_ends_by_termination_not_by_truncation():
    env = SpaceExploration()
    steps = []
    for _ in range(2):
        seen, _ = env.reset(seed=7)
        steps.append([])
        for action in (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1):
            seen, reward, terminated, truncated, _ = env.step(action)
            steps[-1].append((seen, reward, terminated, truncated))
            if terminated:
                break
    assert steps[0] == steps[1]
    assert steps[0][-1] == (2, -10.0, True, False)


def test_what_terminates_is_worth_nothing_afterwards():
    """Taxi pays 20 for a drop-off and goes on in its table; its value must be 20 and no more."""
    found = mdp_of(gymnasium.make("Taxi-v4"), 0.99)
    assert (found.S, found.state(500)) == (501, "end")
    assert solve(found).v.max() == pytest.approx(20)


def test_a_table_may_be_made_of_lists():
    """Four cells in a row, left and right; numbers of NumPy and tuples among them."""
    row = [
        [[(1.0, max(s - 1, 0), -1.0, False)], [[np.float64(1), np.int64(min(s + 1, 3)), -1, s > 1]]]
        for s in range(4)
    ]
    as_lists, as_keys = gymnasium.Env(), gymnasium.Env()
    as_lists.P, as_keys.P = row, {s: dict(enumerate(cells)) for s, cells in enumerate(row)}
    one, two = mdp_of(as_lists, 0.9), mdp_of(as_keys, 0.9)
    assert same(one, two)
    assert solve(one).v[:3].tolist() == pytest.approx([-2.71, -1.9, -1])


def test_many_states_in_json_become_sparse(tmp_path):
    """States in a ring, a reward where it begins: few as an array, 4,000 as CSR."""
    for count in (40, 4000):
        to = [f"s{(i + 1) % count}" for i in range(count)]
        ring = {f"s{i}": {"on": [[1, to[i], float(i == 0)]]} for i in range(count)}
        path = tmp_path / f"{count}.json"
        path.write_text(json.dumps({"transitions": ring, "gamma": 0.5}))
        mdp = read_mdp(path)
        assert sparse.issparse(mdp.P) == (count == 4000)
        assert solve(mdp).v[:3].tolist() == pytest.approx([1, 0, 0], abs=1e-9)


def test_an_environment_is_solved_by_its_table():
    with pytest.raises(UserError, match="environment Blackjack-v1 has no P"):
        mdp_of(gymnasium.make("Blackjack-v1"), 0.9)
    assert mdp_of(gymnasium.make("FrozenLake-v1"), 0.9).S == 16


def test_garnets_are_valid_and_seeded():
    one, two = (random_mdp(Garnet(50, 3, 4), 0.9, np.random.default_rng(1)) for _ in range(2))
    assert same(one, two)
    assert one.csr.indices.dtype == np.int32
    with pytest.raises(UserError, match=r"garnet\.states must be at least 1"):
        Garnet(states=0)
