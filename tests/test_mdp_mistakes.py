"""Wrong environments and options of ``task mdp``: one line each, exit code 2, nothing left."""

import json
from pathlib import Path

import pytest
from test_game_mistakes import refused

OWN = """
import gymnasium
from gymnasium.spaces import Box, Discrete

class Env(gymnasium.Env):
    observation_space, action_space = Discrete(2), Discrete(2)
    def __init__(self, P=None, **others):
        if P is not None:
            self.P = P
        self.__dict__.update(others)
    def reset(self, *, seed=None, options=None):
        return 0, {}
    def step(self, action):
        return 1, float("nan"), True, False, {}

STAY = [(1.0, 0, 1.0, False)]
TABLES = {
    "differ": {0: {0: STAY, 1: STAY}, 1: {0: STAY}},
    "empty": {},
    "actionless": {0: {}, 1: {}},
    "gaps": {0: {0: STAY}, 2: {0: STAY}},
    "names": {"a": {0: STAY}},
    "number": 3,
    "text": "P",
    "flat": {0: [1.0, 0, 1.0, False]},
    "short": {0: {0: [(1.0, 0, 1.0)]}},
    "words": {0: {0: [("one", 0, 1.0, False)]}},
    "far": {0: {0: [(1.0, 5, 1.0, False)]}},
    "negative": {0: {0: [(-0.5, 0, 1.0, False), (1.5, 0, 1.0, False)]}},
    "nan": {0: {0: [(float("nan"), 0, 1.0, False)]}},
    "half": {0: {0: [(0.5, 0, 1.0, False)]}},
    "endless": {0: {0: [(1.0, 0, float("inf"), False)]}},
}
GOOD = {0: {0: STAY}}
for name, P in TABLES.items():
    gymnasium.register(f"{name}-v0", "own_envs:Env", kwargs={"P": P})
register = lambda name, **others: gymnasium.register(name, "own_envs:Env", kwargs=others)
register("names2-v0", P=GOOD, state_names=("a", "b"))
register("start-v0", P=GOOD, initial_state_distrib=[0.5, 0.5])
register("badstart-v0", P=GOOD, initial_state_distrib=["a"])
register("bare-v0")
register("box-v0", observation_space=Box(0, 1))
register("motor-v0", action_space=Box(0, 1))
"""
ENVIRONMENTS = {
    "differ": "P[1] has 1 actions and P[0] has 2: all states need the same",
    "empty": "P of the environment must be a list, or a dictionary with keys 0, 1, 2",
    "actionless": "P[0] of the environment must be a list, or a dictionary",
    "gaps": "P of the environment must be a list, or a dictionary with keys 0, 1, 2",
    "names": "P of the environment must be a list, or a dictionary with keys 0, 1, 2",
    "number": "P of the environment must be a list, or a dictionary with keys 0, 1, 2, …, got 3",
    "text": "P of the environment must be a list, or a dictionary with keys 0, 1, 2, …, got P",
    "flat": "an outcome is (probability, next state, reward, terminated)",
    "short": "an outcome is (probability, next state, reward, terminated), got (1.0, 0, 1.0)",
    "words": "an outcome is (probability, next state, reward, terminated)",
    "far": "a probability must not be negative and a next state lie in 0 … 0",
    "negative": "a probability must not be negative",
    "nan": "a probability must not be negative and a next state lie in 0 … 0, got (nan,",
    "half": "sum to 1, got 0.5",
    "endless": "rewards must be finite",
    "names2": "states must name 1, got 2",
    "start": "start must be 1 weights",
    "badstart": "initial_state_distrib must be real numbers",
    "bare": "environment own_envs:bare-v0 has no P",
}
LEARN = ["--learner", "Reinforce", "--learner.updates", "2", "--learner.seeds", "2"]


@pytest.fixture
def own_environments(run_task, monkeypatch, tmp_path):
    Path("own_envs.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    yield
    monkeypatch.delitem("sys.modules", "own_envs", raising=False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_wrong_environments_are_refused(own_environments, name, capsys):
    line = refused(["--model", f"own_envs:{name}-v0"], capsys, "mdp")
    assert ENVIRONMENTS[name].replace("own_envs:", "") in line.replace("own_envs:", "")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bare", "the environment gave the reward nan: it must be finite"),
        ("box", "observations must be discrete, got Box"),
        ("motor", "actions must be discrete, got Box"),
    ],
)
def test_environments_that_cannot_be_learned_are_refused(own_environments, name, message, capsys):
    assert message in refused(["--model", f"own_envs:{name}-v0", *LEARN], capsys, "mdp")


ENDED = {
    "transitions": {"a": {"go": [[1, "b", 1]]}},
    "gamma": 0.5,
    "terminal": ["b"],
    "start": {"b": 1},
}
OPTIONS = [
    (["--model", "FrozenLke-v1"], "Did you mean 'FrozenLake-v1'?"),
    (["--model", ""], "a process is read from .json or .npz, not ''"),
    (["--model", "."], "a process is read from .json or .npz, not ''"),
    (["--model", "none.npz"], "cannot read none.npz: No such file"),
    (["--model", "none.json"], "cannot read none.json: No such file"),
    (["--model", "folder.json"], "cannot read folder.json: Is a directory"),
    (["--model", "folder.npz"], "cannot read folder.npz: Is a directory"),
    (["--model", "notes.txt"], "notes.txt: a process is read from .json or .npz, not '.txt'"),
    (["--model", "m" * 300], "no model 'mmm"),
    (["--model", "m" * 300 + ".json"], "File name too long"),
    (["--model", "m" * 300 + ".npz"], "File name too long"),
    (["--model", "a\0b"], "no model"),
    (["--model", "a\0b.json"], "no file can be called that"),
    (["--model", "no_module:Env-v0"], "no model 'no_module:Env-v0' (No module named 'no_module"),
    (["--model", "two words"], "no model 'two words'"),
    (["--model", "a:b:c"], "no model 'a:b:c'"),
    (["--model", "Blackjack-v1"], "environment Blackjack-v1 has no P"),
    (["--model", "Blackjack-v1", "--learner", "ExactGradient"], "take --learner Reinforce"),
    (["--model", "CartPole-v1", *LEARN], "observations must be discrete"),
    (["--model", "ended.json", *LEARN], "every episode starts in a terminal state"),
    (["--model", "ended.json", "--learner", "ExactGradient"], "every episode starts in a termi"),
    (["--gamma", "1"], "with gamma = 1 every policy must end, and from state 'FullEnergy'"),
    (["--gamma", "0.999999999999999"], "the linear programme is beyond its solver"),
    (["--gamma", "0.9999999999999999"], "is too close to 1 for a bound in doubles"),
    (["--gamma", "1.2"], "gamma must be in [0, 1], got 1.2"),
    (["--gamma", "-0.1"], "gamma must be in [0, 1], got -0.1"),
    (["--gamma", ".nan"], "gamma must be"),
    (["--gamma", ".inf"], "gamma must be"),
    (["--gamma", "1e300"], "gamma must be in [0, 1], got 1e+300"),
    (["--gammas", "[0.5, 1]"], "gammas must be in [0, 1), got 1"),
    (["--gammas", "[.nan]"], "gammas must be"),
    (["--gammas", "[-0.5]"], "gammas must be in [0, 1), got -0.5"),
    (["--solver", "PolicyItration"], "PolicyItration"),
    (["--solver", "Solver"], "Solver"),
    (["--solver.tolerance", "0"], "solver.tolerance must be above 0, got 0"),
    (["--solver.tolerance", "-1"], "solver.tolerance must be above 0, got -1"),
    (["--solver.tolerance", ".nan"], "solver.tolerance must be"),
    (["--solver.tolerance", ".inf"], "solver.tolerance must be"),
    (["--solver.max_iterations", "0"], "solver.max_iterations must be at least 1, got 0"),
    (["--solver.sweeps", "0"], "solver.sweeps must be at least 1, got 0"),
    (["--solver.warm_up", "-1"], "solver.warm_up must be at least 0, got -1"),
    (["--solver", "ModifiedPolicyIteration", "--solver.sweeps", "-1"], "must be at least 0"),
    (["--solver", "ValueIteration", "--solver.sweeps", "1"], "sweeps"),
    (["--garnet.states", "0"], "garnet.states must be at least 1, got 0"),
    (["--garnet.actions", "-1"], "garnet.actions must be at least 1, got -1"),
    (["--garnet.branching", "0"], "garnet.branching must be at least 1, got 0"),
    (["--garnet.states", "1000000000000"], "must be in [1, 2e+09], got 20000000000000"),
    ([*LEARN, "--learner.rate", "-1"], "learner.rate must be in (0, 1e+06], got -1"),
    ([*LEARN, "--learner.rate", "1e300"], "learner.rate must be in (0, 1e+06], got 1e+300"),
    ([*LEARN, "--learner.rate", ".nan"], "learner.rate must be"),
    ([*LEARN, "--learner.damping", "0"], "learner.damping must be in [1e-12, 1e+06], got 0"),
    ([*LEARN, "--learner.damping", ".inf"], "learner.damping must be"),
    ([*LEARN, "--learner.updates", "0"], "learner.updates must be at least 1, got 0"),
    ([*LEARN, "--learner.episodes", "0"], "learner.episodes must be at least 1, got 0"),
    ([*LEARN, "--learner.seeds", "-2"], "learner.seeds must be at least 1, got -2"),
    ([*LEARN, "--learner.episodes", "1000000000"], "must be in [1, 1e+07], got 2000000000"),
    (
        [*LEARN, "--learner.baseline", "LeaveOneOutReturn", "--learner.episodes", "1"],
        "LeaveOneOutReturn needs learner.episodes of at least 2, got 1",
    ),
    ([*LEARN, "--learner.baseline.rate", "0"], "learner.baseline.rate must be in (0, 1], got 0"),
    ([*LEARN, "--learner.baseline.rate", "1.5"], "learner.baseline.rate must be in (0, 1]"),
    ([*LEARN, "--learner.baseline.rate", ".nan"], "learner.baseline.rate must be"),
    (["--learner", "GradientAscent"], "GradientAscent"),
    (["--seed", "-1"], "seed must be a whole number from 0"),
    (["--seed", "4294967296"], "seed must be a whole number from 0"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_wrong_options_are_refused(run_task, options, message, capsys):
    for folder in ("folder.json", "folder.npz"):
        Path(folder).mkdir()
    Path("notes.txt").write_text("a note")
    Path("ended.json").write_text(json.dumps(ENDED))
    assert message in refused(options, capsys, "mdp")
