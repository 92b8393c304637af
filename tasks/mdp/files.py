# ruff: noqa: N806  capitals are the symbols of the formulas
"""Decision processes in JSON files, for people.

::

    {"gamma": 0.5, "terminal": ["Depleted"], "start": {"Full": 1},
     "transitions": {"Full": {"Conserve": [[1.0, "Full", 1.0]], "Explore": […]}, "Low": {…}}}

with [probability, next state, reward] for each outcome. `archives` reads what many states need.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from elbolab.errors import UserError, did_you_mean
from elbolab.files import one_line, read_json, shown
from tasks.mdp.archives import read_npz
from tasks.mdp.model import MDP

__all__ = ["read_mdp"]

JSON_KEYS = ("gamma", "transitions", "terminal", "start")

DENSE = 10_000_000
"""Entries of an array of transitions up to which it is not sparse."""


@dataclass(frozen=True)
class ListedOutcome:
    """What may come of an action, and where it says so."""

    state: str
    action: str
    p: float
    following: str
    reward: float


def read_mdp(path: Path, gamma: float | None = None) -> MDP:
    """Reads a ``.json`` or ``.npz``.

    Args:
        path: The file.
        gamma: γ in place of the file's.

    Raises:
        UserError: If it cannot be read, or what it holds is no process.
    """
    readers = {".json": read_json_process, ".npz": read_npz}
    kind = path.suffix.lower()
    if kind not in readers:
        raise UserError(
            f"{one_line(path)}: a process is read from .json or .npz, not '{one_line(kind)}'."
        )
    try:
        return readers[kind](path, gamma)
    except UserError as error:
        told = str(error)
        named = told.startswith(("cannot read", one_line(path)))
        raise UserError(told if named else f"{one_line(path)}: {told}") from error


def read_json_process(path: Path, gamma: float | None) -> MDP:
    """Reads a ``.json``; `read_mdp` puts the file's name in front of what is wrong."""
    content = read_json(path)
    if not isinstance(content, dict) or "transitions" not in content:
        raise UserError("is no object with 'transitions' of states, actions and outcomes.")
    for key in content:
        if key not in JSON_KEYS:
            raise UserError(f"has no place for '{shown(key)}'.{did_you_mean(key, JSON_KEYS)}")
    gamma = _number("gamma", content["gamma"]) if gamma is None and "gamma" in content else gamma
    if gamma is None:
        raise UserError("has no gamma: add it, or give --gamma.")
    table, ends = content["transitions"], _terminal(content.get("terminal", []))
    outcomes = list(_outcomes(table))
    if not outcomes:
        raise UserError("transitions must hold a state and an action at least.")
    states = list(dict.fromkeys([*table, *ends]))
    _check_known("terminal", ends, {*table, *(outcome.following for outcome in outcomes)})
    _check_known("next state", (outcome.following for outcome in outcomes), states)
    actions = list(dict.fromkeys(outcome.action for outcome in outcomes))
    for state in table.keys() - set(ends):
        _check_actions(state, table[state], actions)
    P, R = _tables(outcomes, states, actions)
    return MDP(
        P,
        R,
        gamma,
        terminal=np.flatnonzero(np.isin(states, ends)).tolist(),
        states=states,
        actions=actions,
        start=_start(content["start"], states) if "start" in content else None,
    )


def _number(name: str, value: Any) -> float:
    if type(value) not in (int, float):
        raise UserError(f"{name} must be a number, got {shown(value)}.")
    return float(value)


def _terminal(names: Any) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"terminal must be a list of names of states, got {shown(names)}.")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UserError(f"terminal names '{shown(name)}' twice.")
    return names


def _outcomes(table: Any) -> Iterator[ListedOutcome]:
    """All outcomes of the nested table, each checked."""
    if not isinstance(table, dict) or not table:
        raise UserError("transitions must be an object with a state at least.")
    for state, row in table.items():
        if not isinstance(row, dict):
            raise UserError(f"state '{shown(state)}' must be an object of actions.")
        for action, outcomes in row.items():
            where = f"state '{shown(state)}', action '{shown(action)}'"
            if not isinstance(outcomes, list) or not outcomes:
                raise UserError(f"{where} must be a list of outcomes, got {shown(outcomes)}.")
            for outcome in outcomes:
                yield _outcome(where, state, action, outcome)


def _outcome(where: str, state: str, action: str, outcome: Any) -> ListedOutcome:
    if not (isinstance(outcome, list) and len(outcome) == 3 and isinstance(outcome[1], str)):
        raise UserError(
            f"{where}: an outcome is [probability, next state, reward], got {shown(outcome)}."
        )
    p = _number(f"{where}: a probability", outcome[0])
    if not 0 <= p <= 1:
        what = "a negative probability" if p < 0 else "a probability above 1"
        raise UserError(f"{where} has {what}, got {p}.")
    return ListedOutcome(state, action, p, outcome[1], _number(f"{where}: a reward", outcome[2]))


def _check_known(kind: str, names: Any, known: Any) -> None:
    known = set(known)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, sorted(known))
            raise UserError(f"{kind} names an unknown state '{shown(name)}'.{hint}")


def _check_actions(state: str, row: dict[str, Any], actions: list[str]) -> None:
    for action in actions:
        if action not in row:
            raise UserError(
                f"state '{shown(state)}' has no action '{shown(action)}': a state that is not "
                "terminal needs all actions."
            )


def _tables(
    outcomes: list[ListedOutcome], states: list[str], actions: list[str]
) -> tuple[Any, np.ndarray]:
    """Transitions ``(S, A, S)``, or as CSR where there are many, and rewards r(s, a)."""
    S, A = len(states), len(actions)
    place, number = ({name: i for i, name in enumerate(names)} for names in (states, actions))
    rows = np.array([place[o.state] * A + number[o.action] for o in outcomes])
    columns = np.array([place[o.following] for o in outcomes])
    p, R = np.array([o.p for o in outcomes]), np.zeros(S * A)
    np.add.at(R, rows, p * [o.reward for o in outcomes])
    if S * A * S > DENSE:
        return sparse.csr_array((p, (rows, columns)), shape=(S * A, S)), R.reshape(S, A)
    P = np.zeros((S * A, S))
    np.add.at(P, (rows, columns), p)
    return P.reshape(S, A, S), R.reshape(S, A)


def _start(weights: Any, states: list[str]) -> list[float]:
    if not isinstance(weights, dict):
        raise UserError(f"start must be an object of states and weights, got {shown(weights)}.")
    _check_known("start", weights, states)
    return [_number(f"start of '{shown(name)}'", weights.get(name, 0)) for name in states]
