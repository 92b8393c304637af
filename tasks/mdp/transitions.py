# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""Transitions in the one layout that all algorithms use, from whatever a person has.

Row s·A + a of the stacked matrix ``(S·A, S)``, an array or CSR, is p(· | s, a), so that all of q is
one product of a matrix and a vector, and the rows of a state lie beside each other in memory.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from elbolab.errors import UserError
from tasks.arrays import Bools, Floats

__all__ = ["compact", "negative_rows", "real_numbers", "stacked", "without_rows"]


def real_numbers(name: str, given: ArrayLike) -> Floats:
    """An array of floats.

    Raises:
        UserError: If it holds text, complex numbers or objects, or its rows differ in length.
    """
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise UserError(f"{name} must have as many numbers in every row.") from error
    _check_type(name, array.dtype)
    return array.astype(float)


def _check_type(name: str, kind: np.dtype) -> None:
    if kind.kind not in "biuf":
        raise UserError(f"{name} must be real numbers, got an array of type {kind}.")


def stacked(given: Any, name: str = "transitions") -> Any:
    """The stacked matrix, an array or CSR with sorted indices.

    Args:
        given: An array ``(S, A, S)``; a list of A sparse ``(S, S)``; or one sparse ``(S·A, S)``.
        name: What it is called in messages.

    Raises:
        UserError: If it is none of these, or not of real numbers.
    """
    if sparse.issparse(given):
        return compact(_csr(given, name))
    if _is_list_of_sparse(given):
        return compact(_interleaved([_csr(matrix, name) for matrix in given], name))
    dense = real_numbers(name, given)
    if dense.ndim != 3 or dense.shape[0] != dense.shape[2]:
        raise UserError(f"{name} must be (S, A, S), got {dense.shape}.")
    if not dense.size:
        raise UserError(f"{name} must hold a state and an action at least, got {dense.shape}.")
    return np.ascontiguousarray(dense).reshape(-1, dense.shape[2])


def _is_list_of_sparse(given: Any) -> bool:
    return np.iterable(given) and any(sparse.issparse(matrix) for matrix in given)


def _csr(matrix: Any, name: str) -> sparse.csr_array:
    if not sparse.issparse(matrix):
        raise UserError(f"{name} must be sparse for all actions, or for none.")
    _check_type(name, matrix.dtype)
    return sparse.csr_array(matrix, dtype=float)


def _interleaved(matrices: list[sparse.csr_array], name: str) -> sparse.csr_array:
    """Row s·A + a of the result is row s of matrix a."""
    if len({matrix.shape for matrix in matrices}) > 1:
        raise UserError(f"{name} of all actions must have one shape (S, S).")
    tall: Any = sparse.csr_array(sparse.vstack(matrices, format="csr"), dtype=float)
    return tall[np.arange(tall.shape[0]).reshape(len(matrices), -1).T.ravel()]


def compact(matrix: Any) -> Any:
    """The same with indices of 32 bits where they are enough: backups wait for memory."""
    kind = np.int32 if max(matrix.nnz, *matrix.shape) < 2**31 else np.int64
    parts = matrix.data, matrix.indices.astype(kind), matrix.indptr.astype(kind)
    return sparse.csr_array(parts, shape=matrix.shape)


def negative_rows(P: Any) -> Bools:
    """Flags of the rows in which an entry is below 0, one that another one makes up for too."""
    if not sparse.issparse(P):
        return (P < 0).any(axis=1)
    flags = np.zeros(P.shape[0], dtype=bool)
    flags[np.repeat(np.arange(P.shape[0]), np.diff(P.indptr))[P.data < 0]] = True
    return flags


def without_rows(P: Any, rows: Bools) -> Any:
    """A copy with these rows zero, each entry stored once, in order."""
    if not sparse.issparse(P):
        return np.where(rows[:, None], 0.0, P) if rows.any() else P
    P = P.copy()  # the caller's matrix stays as it is
    P.data[np.repeat(rows, np.diff(P.indptr))] = 0
    P.sum_duplicates()
    P.eliminate_zeros()
    return P
