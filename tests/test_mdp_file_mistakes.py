"""Wrong files of ``task mdp``: one line each, exit code 2, nothing left behind."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_game_mistakes import DEEP, refused, write


def process(transitions=None, gamma=0.5, **others):
    """An object as JSON has it; by default a stays or goes to b, which ends."""
    if transitions is None:
        transitions = {"a": {"go": [[0.5, "a", 1], [0.5, "b", 2]]}}
        others = {"terminal": ["b"], **others}
    return {"transitions": transitions, "gamma": gamma, **others}


def outcome(*values):
    return process({"a": {"go": [list(values)]}})


JSON_FILES = {
    # No JSON, or none that Python should read.
    "broken": ("{", ", line 1, column 2, is no JSON"),
    "nothing": ("", ", line 1, column 1, is no JSON"),
    "deep": (DEEP, "lists and objects within each other"),
    "latin": ('{"transitions": "é"}'.encode("latin-1"), ", line 1, is no text in UTF-8"),
    "utf16": ("{}".encode("utf-16"), " is in UTF-16"),
    "zero": (b"{}\x00", "has a zero byte"),
    "twice": ('{"gamma": 0.5, "gamma": 0.6}', "has the key 'gamma' twice"),
    "state_twice": ('{"transitions": {"a": {}, "a": {}}}', "has the key 'a' twice"),
    "action_twice": ('{"transitions": {"a": {"x": [], "x": []}}}', "has the key 'x' twice"),
    # Objects of the wrong kind.
    "list": ([1], ": is no object with 'transitions'"),
    "word": ('"a"', ": is no object with 'transitions'"),
    "null": ("null", ": is no object with 'transitions'"),
    "keyless": ({"gamma": 1}, ": is no object with 'transitions'"),
    "unknown_key": (process(terminals=[]), ": has no place for 'terminals'. Did you mean 'term"),
    "no_states": (process({}), "transitions must be an object with a state at least"),
    "null_states": ({"transitions": None, "gamma": 1}, "transitions must be an object"),
    "listed": (process([["a"]]), "transitions must be an object"),
    "no_actions": (process({"a": {}}), "transitions must hold a state and an action"),
    "listed_actions": (process({"a": []}), "state 'a' must be an object of actions"),
    "no_outcomes": (process({"a": {"go": []}}), "'go' must be a list of outcomes, got []"),
    "no_list": (process({"a": {"go": 1}}), "'go' must be a list of outcomes, got 1"),
    "flat": (process({"a": {"go": [1, "a", 1]}}), "an outcome is [probability, next state, rew"),
    "short": (outcome(1, "a"), "an outcome is [probability, next state, reward], got [1, 'a']"),
    "long": (outcome(1, "a", 1, True), "an outcome is"),
    "numbered": (outcome(1, 0, 1), "an outcome is [probability, next state, reward], got [1, 0,"),
    "listed_state": (outcome(1, ["a"], 1), "an outcome is"),
    "lacking": (process({"a": {"x": [[1, "a", 1]]}, "c": {"y": [[1, "a", 1]]}}), "has no action"),
    # Numbers.
    "text_p": (outcome("1", "a", 1), "a probability must be a number, got 1"),
    "true_p": (outcome(True, "a", 1), "a probability must be a number, got True"),
    "null_p": (outcome(None, "a", 1), "a probability must be a number, got None"),
    "complex_p": (outcome("1+0j", "a", 1), "a probability must be a number, got 1+0j"),
    "text_reward": (outcome(1, "a", "1"), "a reward must be a number"),
    "negative": (outcome(-0.5, "a", 1), "'go' has a negative probability, got -0.5"),
    "cancels": (
        process({"a": {"go": [[-0.5, "a", 1], [1, "a", 1], [0.5, "a", 1]]}}),
        "state 'a', action 'go' has a negative probability, got -0.5",
    ),
    "above": (outcome(1.5, "a", 1), "has a probability above 1, got 1.5"),
    "sum": (outcome(0.5, "a", 1), "'go' must have probabilities that sum to 1, got 0.5"),
    "nan_p": ('{"transitions": {"a": {"go": [[NaN, "a", 1]]}}}', "out of range"),
    "infinite": ('{"transitions": {"a": {"go": [[1, "a", Infinity]]}}}', "out of range"),
    "overflow": ('{"transitions": {"a": {"go": [[1, "a", 1e400]]}}}', "out of range"),
    "digits": ('{"transitions": {"a": {"go": [[1, "a", %s]]}}}' % ("9" * 5000), "out of range"),
    "huge": (outcome(1, "a", 1e300), "rewards must be in [-1e+100, 1e+100], got 1e+300"),
    "sums": (process({"a": {"go": [[0.5, "a", 1e300], [0.5, "a", 0]]}}), "rewards must be in"),
    # Names of states.
    "strange": (outcome(1, "abc", 1), "next state names an unknown state 'abc'"),
    "slip": (process({"ab": {"go": [[1, "abc", 1]]}}), "Did you mean 'ab'?"),
    "strange_end": (process(terminal=["Depletd"]), "terminal names an unknown state 'Depletd'"),
    "end_twice": (process(terminal=["b", "b"]), "terminal names 'b' twice"),
    "end_word": (process(terminal="b"), "terminal must be a list of names of states, got b"),
    "end_number": (process(terminal=[1]), "terminal must be a list of names of states, got [1]"),
    "end_null": (process(terminal=None), "terminal must be a list of names"),
    "all_end": (process(terminal=["a", "b"]), "every state is terminal"),
    "blank": (process({" ": {"go": [[1, " ", 1]]}}, terminal=[]), "must have names of letters"),
    "line": (process({"a\nb": {"go": [[1, "a\nb", 1]]}}, terminal=[]), "names of letters"),
    "surrogate": (
        '{"gamma": 0, "transitions": {"\\ud800": {"x": [[1, "\\ud800", 1]]}}}',
        "names of letters",
    ),
    # Discounts and starts.
    "no_gamma": ({"transitions": {"a": {"x": [[1, "a", 1]]}}}, "has no gamma: add it, or give"),
    "text_gamma": (process(gamma="0.5"), "gamma must be a number, got 0.5"),
    "true_gamma": (process(gamma=True), "gamma must be a number, got True"),
    "list_gamma": (process(gamma=[0.5]), "gamma must be a number"),
    "gamma_above": (process(gamma=1.5), "gamma must be in [0, 1], got 1.5"),
    "gamma_below": (process(gamma=-0.1), "gamma must be in [0, 1], got -0.1"),
    "start_list": (process(start=[1, 0]), "start must be an object of states and weights"),
    "start_word": (process(start="a"), "start must be an object"),
    "start_strange": (process(start={"c": 1}), "start names an unknown state 'c'"),
    "start_text": (process(start={"a": "1"}), "start of 'a' must be a number, got 1"),
    "start_negative": (process(start={"a": -1}), "start must be 2 weights, not negative"),
    "start_zero": (process(start={"a": 0}), "start must be 2 weights, not negative"),
    "start_empty": (process(start={}), "start must be 2 weights, not negative"),
}


@pytest.mark.parametrize("name", JSON_FILES)
def test_wrong_json_is_refused(run_task, name, capsys):
    content, message = JSON_FILES[name]
    write(f"{name}.json", content)
    line = refused(["--model", f"{name}.json"], capsys, "mdp")
    assert f"{name}.json" in line
    assert message in line


WHOLE = {
    "data": [0.5, 0.5, 1.0],
    "indices": [0, 1, 1],
    "indptr": [0, 2, 3],
    "rewards": [[1.0], [2.0]],
    "gamma": 0.5,
}
"""Two states and one action as stacked CSR."""
DENSE = {"transitions": [[[0.5, 0.5]], [[0.0, 1.0]]], "rewards": [[1.0], [2.0]], "gamma": 0.5}


def but(whole=WHOLE, leave_out=(), **others):
    return {key: given for key, given in {**whole, **others}.items() if key not in leave_out}


ARCHIVES = {
    "range": (but(indices=[0, 1, 7]), "no CSR matrix: indices must lie in 0 … 1"),
    "negative_index": (but(indices=[0, -1, 1]), "indices must lie in 0 … 1"),
    "float_indices": (but(indices=[0.0, 1.5, 1.0]), "indices must be whole numbers, got an array"),
    "falling": (but(indptr=[0, 3, 2]), "indptr must begin with 0 and never fall"),
    "late": (but(indptr=[1, 2, 3]), "indptr must begin with 0"),
    "short_indptr": (but(indptr=[0, 3]), "indptr must have S·A + 1 = 3 entries, got 2"),
    "beyond": (but(indptr=[0, 2, 9]), "data and indices must have 9 entries"),
    "short_data": (but(data=[0.5, 0.5]), "data and indices must have 3 entries"),
    "square_data": (but(data=[[0.5, 0.5, 1.0]]), "data and indices must have 3 entries"),
    "square_indices": (but(indices=[[0, 1, 1]]), "indices must be a list of numbers"),
    "hidden": (
        but(data=[-0.5, 1.0, 0.5, 1.0], indices=[0, 0, 1, 1], indptr=[0, 3, 4]),
        "state '0', action '0' has a negative probability",
    ),
    "nan": (but(data=[np.nan, 0.5, 1.0]), "transitions must be finite numbers"),
    "sum": (but(data=[0.5, 0.4, 1.0]), "sum to 1, got 0.9"),
    "complex": (but(data=[0.5 + 0j, 0.5, 1]), "data must be real numbers, got an array of type c"),
    "text": (but(data=["0.5", "0.5", "1"]), "data must be real numbers"),
    "truths": (but(DENSE, transitions=[[[True, False]], [[False, True]]]), "must be real numbers"),
    "complex_dense": (but(DENSE, transitions=np.ones((2, 1, 2)) * 0.5j), "must be real numbers"),
    "flat": (but(DENSE, transitions=np.eye(2)), "transitions must be (S, A, S), got (2, 2)"),
    "skew": (but(DENSE, transitions=np.ones((2, 1, 3)) / 3), "transitions must be (S, A, S)"),
    "empty": (
        but(DENSE, transitions=np.ones((0, 1, 0)), rewards=np.ones((0, 1))),
        "must hold a state and an action",
    ),
    "actionless": (
        but(DENSE, transitions=np.ones((2, 0, 2)), rewards=np.ones((2, 0))),
        "must hold a state and an action",
    ),
    "both": (but({**DENSE, **WHOLE}), "has transitions twice: leave out data and indices and ind"),
    "neither": (but(leave_out=["data", "indptr"]), "lacks data, indptr; it has indices"),
    "no_rewards": (but(leave_out=["rewards"]), "lacks rewards; it has data"),
    "nothing": ({}, "it has nothing"),
    "strange_key": (but(terminals=[1]), "has no place for 'terminals'. Did you mean 'terminal'?"),
    "scalar_rewards": (but(rewards=1.0), "rewards must be (S, A), got an array of shape ()"),
    "flat_rewards": (but(rewards=[1.0, 2.0]), "rewards must be (S, A), got an array of shape (2,)"),
    "wide_rewards": (but(DENSE, rewards=np.ones((2, 3))), "rewards must be (S, A) = (2, 1)"),
    "deep_rewards": (but(DENSE, rewards=np.ones((2, 1, 2, 2))), "rewards must be"),
    "complex_rewards": (but(rewards=[[1j], [2]]), "rewards must be real numbers"),
    "infinite_rewards": (but(rewards=[[np.inf], [2]]), "rewards must be finite"),
    "huge_rewards": (but(rewards=[[1e300], [2]]), "rewards must be in [-1e+100, 1e+100]"),
    "no_gamma": (but(leave_out=["gamma"]), "has no gamma: add it, or give --gamma"),
    "two_gammas": (but(gamma=[0.5, 0.6]), "gamma must be one number, got 2"),
    "text_gamma": (but(gamma="0.5"), "gamma must be real numbers"),
    "nan_gamma": (but(gamma=np.nan), "gamma must be in [0, 1], got nan"),
    "terminal_range": (but(terminal=[2]), "terminal state 2 must lie in 0 … 1"),
    "terminal_negative": (but(terminal=[-1]), "terminal state -1 must lie in 0 … 1"),
    "terminal_float": (but(terminal=[1.5]), "terminal must be whole numbers"),
    "terminal_flags": (but(terminal=[False, True]), "terminal must be whole numbers, got an array"),
    "terminal_twice": (but(terminal=[1, 1]), "terminal state 1 stands twice"),
    "terminal_square": (but(terminal=[[1]]), "terminal must be a list of numbers"),
    "all_terminal": (but(terminal=[0, 1]), "every state is terminal"),
    "same_names": (but(states=["a", "a"]), "states must have names that differ, 'a' stands twice"),
    "few_names": (but(states=["a"]), "states must name 2, got 1"),
    "float_names": (but(states=[0.5, 1.5]), "states must be a list of names, got an array of"),
    "square_names": (but(states=[["a", "b"]]), "states must be a list of names"),
    "byte_names": (but(states=[b"a", b"b"]), "states must be a list of names"),
    "same_actions": (but(actions=["x", "y"]), "actions must name 1, got 2"),
    "start_text": (but(start=["a", "b"]), "start must be real numbers"),
    "start_short": (but(start=[1.0]), "start must be 2 weights"),
    "start_nan": (but(start=[np.nan, 1.0]), "start must be 2 weights"),
    "start_infinite": (but(start=[np.inf, 1.0]), "start must be 2 weights"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_wrong_archives_are_refused(run_task, name, capsys):
    arrays, message = ARCHIVES[name]
    np.savez(f"{name}.npz", **arrays)
    line = refused(["--model", f"{name}.npz"], capsys, "mdp")
    assert line.startswith(f"error: {name}.npz: ")
    assert message in line


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def saved(save, given):
    buffer = io.BytesIO()
    save(buffer, given)
    return buffer.getvalue()


WHOLE_BYTES = saved(lambda file, given: np.savez(file, **given), WHOLE)
NO_ARCHIVES = {
    "text": b"no archive",
    "empty": b"",
    "one_array": saved(np.save, np.eye(2)),
    "objects": saved(lambda file, x: np.savez(file, transitions=np.array(x, object)), [{}, []]),
    "pickled": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00]\x94.",
    "no_arrays": zipped(readme=b"text"),
    "no_headers": zipped(**{"data.npy": b"\x93NUMPY broken"}),
    "no_members": zipped(),
    "cut": WHOLE_BYTES[:300],
    "turned": WHOLE_BYTES[:400] + bytes(255 - byte for byte in WHOLE_BYTES[400:500]),
    "compressed": b"\x1f\x8b\x08\x00" + bytes(100),
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("name", NO_ARCHIVES)
def test_what_is_no_archive_is_refused(run_task, name, capsys):
    Path(f"{name}.npz").write_bytes(NO_ARCHIVES[name])
    line = refused(["--model", f"{name}.npz"], capsys, "mdp")
    assert line.startswith(f"error: {name}.npz: is no NPZ archive") or "nothing" in line
