# ruff: noqa: N806  capitals are the symbols of the formulas
"""Decision processes in files.

JSON, for people::

    {"gamma": 0.5, "terminal": ["Depleted"], "start": {"Full": 1},
     "transitions": {"Full": {"Conserve": [[1.0, "Full", 1.0]], "Explore": […]}, "Low": {…}}}

with [probability, next state, reward] for each outcome. NPZ, for many states: ``rewards`` (S, A),
``gamma``, ``terminal`` (indices), and either ``transitions`` (S, A, S) or the stacked CSR of `MDP`
as ``data``, ``indices``, ``indptr``; ``start``, ``states`` and ``actions`` where they are known.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from elbolab.errors import UserError, did_you_mean
from tasks.mdp.model import MDP

__all__ = ["read_mdp", "write_json", "write_npz"]

JSON_KEYS = ("gamma", "transitions", "terminal", "start")


def read_mdp(path: Path, gamma: float | None = None) -> MDP:
    """Reads a ``.json`` or ``.npz``.

    Args:
        path: The file.
        gamma: γ in place of the file's.

    Raises:
        UserError: If it cannot be read, or what it holds is no process.
    """
    readers = {".json": _read_json, ".npz": _read_npz}
    if path.suffix not in readers:
        raise UserError(f"{path}: a process is read from .json or .npz, not '{path.suffix}'.")
    try:
        return readers[path.suffix](path, gamma)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _discount(found: Any, gamma: float | None) -> float:
    if gamma is None and found is None:
        raise UserError("has no gamma: add it, or give --gamma.")
    try:
        return float(found if gamma is None else gamma)
    except (TypeError, ValueError) as error:
        raise UserError(f"gamma must be a number, got {found!r}.") from error


def _read_json(path: Path, gamma: float | None) -> MDP:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        table, terminal = found["transitions"], list(found.get("terminal", ()))
        actions = list(dict.fromkeys(a for row in table.values() for a in row))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = "no JSON" if isinstance(error, ValueError) else "no object with 'transitions'"
        raise UserError(f"is {reason} of states, actions and outcomes.") from error
    for key in found:
        if key not in JSON_KEYS:
            raise UserError(f"has no place for '{key}'.{did_you_mean(key, JSON_KEYS)}")
    states = list(dict.fromkeys([*table, *terminal]))
    S, A = len(states), len(actions)
    place = {state: i for i, state in enumerate(states)}
    P, R = np.zeros((S, A, S)), np.zeros((S, A))
    for state, action, outcome in _outcomes(table):
        p, following, reward = _outcome(state, action, outcome)
        s, a = place[state], actions.index(action)
        P[s, a, _index(following, place)] += p
        R[s, a] += p * reward
    start = [found["start"].get(state, 0) for state in states] if "start" in found else None
    for state in found.get("start", {}):
        _index(state, place)
    ends = [_index(state, place) for state in terminal]
    return MDP(
        P,
        R,
        _discount(found.get("gamma"), gamma),
        terminal=ends,
        states=states,
        actions=actions,
        start=start,
    )


def _outcomes(table: Any) -> Any:
    """All (state, action, outcome) of the nested table."""
    return ((s, a, o) for s, row in table.items() for a, outcomes in row.items() for o in outcomes)


def _outcome(state: str, action: str, outcome: Any) -> tuple[float, str, float]:
    try:
        p, following, reward = outcome
        return float(p), following, float(reward)
    except (TypeError, ValueError) as error:
        where = f"state '{state}', action '{action}'"
        raise UserError(
            f"{where}: an outcome is [probability, next state, reward], got {outcome}."
        ) from error


def _index(state: Any, place: dict[str, int]) -> int:
    if state not in place:
        raise UserError(f"names an unknown state '{state}'.{did_you_mean(str(state), place)}")
    return place[state]


def _read_npz(path: Path, gamma: float | None) -> MDP:
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, AttributeError) as error:
        raise UserError("is no NPZ archive of numbers.") from error
    sparse_keys = ("data", "indices", "indptr")
    missing = [k for k in sparse_keys if k not in found] if "transitions" not in found else []
    missing += [] if "rewards" in found else ["rewards"]
    if missing:
        raise UserError(f"lacks {', '.join(missing)}; it has {', '.join(found) or 'nothing'}.")
    P = found.get("transitions")
    if P is None:
        P = _csr(found, np.shape(found["rewards"]))
    states, actions = (found[k].tolist() if k in found else None for k in ("states", "actions"))
    ends = np.ravel(found.get("terminal", ())).astype(int).tolist()
    value = _discount(found.get("gamma"), gamma)
    return MDP(
        P,
        found["rewards"],
        value,
        terminal=ends,
        states=states,
        actions=actions,
        start=found.get("start"),
    )


def _csr(found: dict[str, Any], shape: tuple[int, ...]) -> sparse.csr_array:
    parts = found["data"], found["indices"], found["indptr"]
    try:
        return sparse.csr_array(parts, shape=(int(np.prod(shape[:2])), shape[0]))
    except (ValueError, IndexError) as error:
        raise UserError(f"data, indices and indptr are no CSR matrix: {error}.") from error


def write_npz(path: Path, mdp: MDP) -> None:
    """Writes a process as `read_mdp` reads it; terminal states keep empty rows."""
    names = {"states": mdp.state_names, "actions": mdp.action_names}
    known: dict[str, Any] = {
        key: np.array(found) for key, found in names.items() if found is not None
    }
    np.savez_compressed(
        path,
        data=mdp.csr.data,
        indices=mdp.csr.indices,
        indptr=mdp.csr.indptr,
        rewards=mdp.R,
        gamma=mdp.gamma,
        terminal=np.flatnonzero(mdp.terminal),
        start=mdp.start,
        **known,
    )


def write_json(path: Path, mdp: MDP) -> None:
    """Writes a process as `read_mdp` reads it, with r(s, a) as each outcome's reward."""
    table: dict[str, dict[str, list[list[Any]]]] = {}
    for s in np.flatnonzero(~mdp.terminal).tolist():
        for a in range(mdp.A):
            row = mdp.csr[[s * mdp.A + a]].tocoo()
            table.setdefault(mdp.state(s), {})[mdp.action(a)] = [
                [float(p), mdp.state(int(t)), float(mdp.R[s, a])]
                for p, t in zip(row.data, row.col, strict=True)
            ]
    found = {
        "gamma": mdp.gamma,
        "terminal": [mdp.state(s) for s in np.flatnonzero(mdp.terminal).tolist()],
        "start": {mdp.state(s): float(mdp.start[s]) for s in np.flatnonzero(mdp.start).tolist()},
        "transitions": table,
    }
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
