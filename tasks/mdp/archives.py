# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""Decision processes in NPZ files, for many states.

``rewards`` (S, A), ``gamma``, ``terminal`` (indices), and either ``transitions`` (S, A, S) or the
stacked CSR of `MDP` as ``data``, ``indices``, ``indptr``; ``start``, ``states`` and ``actions``
where they are known.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from elbolab.errors import UserError, did_you_mean
from elbolab.files import one_line, shown
from tasks.arrays import Floats, Ints
from tasks.mdp.model import MDP

__all__ = ["read_npz"]

CSR_KEYS = ("data", "indices", "indptr")

KEYS = ("transitions", *CSR_KEYS, "rewards", "gamma", "terminal", "start", "states", "actions")

Arrays = Mapping[str, np.ndarray]


def read_npz(path: Path, gamma: float | None) -> MDP:
    """Reads a ``.npz``; `files.read_mdp` puts its name in front of what is wrong.

    Args:
        path: The file.
        gamma: γ in place of the file's.

    Raises:
        UserError: If it cannot be read, or what it holds is no process.
    """
    arrays = _arrays(path)
    _check_keys(arrays)
    rewards = _numbers("rewards", arrays["rewards"])
    if rewards.ndim < 2:
        raise UserError(f"rewards must be (S, A), got an array of shape {rewards.shape}.")
    S, A = rewards.shape[:2]
    whole = "transitions" in arrays
    return MDP(
        _numbers("transitions", arrays["transitions"]) if whole else _csr(arrays, S, A),
        rewards,
        _gamma(arrays) if gamma is None else gamma,
        terminal=_indices("terminal", arrays.get("terminal", np.zeros(0, int))).tolist(),
        states=_texts("states", arrays),
        actions=_texts("actions", arrays),
        start=_numbers("start", arrays["start"]) if "start" in arrays else None,
    )


def _arrays(path: Path) -> Arrays:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UserError("is no NPZ archive: it holds one array, without a name.")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
            twice = len(set(archive.files)) < len(archive.files)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {one_line(path)}: {error.strerror or error}.") from error
    except Exception as error:  # whatever zipfile, zlib and NumPy's header make of wrong bytes
        raise UserError("is no NPZ archive of numbers and text.") from error
    if twice or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise UserError("is no NPZ archive of arrays, each with a name of its own.")
    return arrays


def _check_keys(arrays: Arrays) -> None:
    for name in arrays:
        if name not in KEYS:
            raise UserError(f"has no place for '{shown(name)}'.{did_you_mean(name, KEYS)}")
    stacked = [name for name in CSR_KEYS if name in arrays]
    if "transitions" in arrays and stacked:
        raise UserError(f"has transitions twice: leave out {' and '.join(stacked)}.")
    needed = () if "transitions" in arrays else CSR_KEYS
    if missing := [name for name in (*needed, "rewards") if name not in arrays]:
        raise UserError(f"lacks {', '.join(missing)}; it has {', '.join(arrays) or 'nothing'}.")


def _numbers(name: str, array: np.ndarray) -> Floats:
    if array.dtype.kind not in "iuf":
        raise UserError(f"{name} must be real numbers, got an array of type {array.dtype}.")
    return array.astype(float)


def _indices(name: str, array: np.ndarray) -> Ints:
    if array.size and array.dtype.kind not in "iu":
        raise UserError(f"{name} must be whole numbers, got an array of type {array.dtype}.")
    if array.ndim != 1:
        raise UserError(f"{name} must be a list of numbers, got an array of shape {array.shape}.")
    return array.astype(np.int64)


def _texts(name: str, arrays: Arrays) -> list[str] | None:
    if name not in arrays:
        return None
    array = arrays[name]
    if array.ndim != 1 or array.dtype.kind not in "Uiu":
        kind = f"type {array.dtype} and shape {array.shape}"
        raise UserError(f"{name} must be a list of names, got an array of {kind}.")
    return [str(text) for text in array.tolist()]


def _gamma(arrays: Arrays) -> float:
    if "gamma" not in arrays:
        raise UserError("has no gamma: add it, or give --gamma.")
    gamma = _numbers("gamma", arrays["gamma"])
    if gamma.size != 1:
        raise UserError(f"gamma must be one number, got {gamma.size}.")
    return gamma.item()


def _csr(arrays: Arrays, S: int, A: int) -> Any:
    """The stacked matrix, checked: SciPy's compiled loops trust what they are given."""
    data = _numbers("data", arrays["data"])
    indices, indptr = (_indices(name, arrays[name]) for name in ("indices", "indptr"))
    if len(indptr) != S * A + 1:
        raise _no_csr(f"indptr must have S·A + 1 = {S * A + 1} entries, got {len(indptr)}")
    if indptr[0] != 0 or (np.diff(indptr) < 0).any():
        raise _no_csr("indptr must begin with 0 and never fall")
    if not data.shape == indices.shape == (indptr[-1],):
        raise _no_csr(f"data and indices must have {indptr[-1]} entries, the last of indptr")
    if indices.size and not (indices.min() >= 0 and indices.max() < S):
        raise _no_csr(f"indices must lie in 0 … {S - 1}")
    return sparse.csr_array((data, indices, indptr), shape=(S * A, S))


def _no_csr(reason: str) -> UserError:
    return UserError(f"data, indices and indptr are no CSR matrix: {reason}.")
