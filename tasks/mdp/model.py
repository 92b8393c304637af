# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""A finite Markov decision process, checked and laid out for fast backups.

p(s', r | s, a) enters through its marginals: P[s, a, s'] and the expected reward
r(s, a) = E[R_{t+1} | s, a]. Row s·A + a of one stacked matrix is p(· | s, a), so that all of q is
one product of a matrix and a vector, and the rows of a state lie beside each other in memory.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from elbolab.errors import UserError

__all__ = ["MDP", "Array", "Policy"]

Array = NDArray[np.float64]
Policy = NDArray[np.int64]
"""One action for each state, ``(S,)``."""

ROW_TOLERANCE = 1e-9
"""How far a row's sum may be from 1: more than rounding, less than a digit forgotten in a file."""


class MDP:
    """States, actions, transitions, rewards and a discount.

    A terminal state is worth 0: its rows and rewards are set to zero, whatever was given.

    Args:
        transitions: p(s' | s, a): an array ``(S, A, S)``; a list of A sparse ``(S, S)``; or one
            sparse ``(S·A, S)`` whose row s·A + a belongs to state s and action a.
        rewards: r(s, a) as ``(S, A)``, or r(s, a, s') laid out as the transitions are.
        gamma: γ in [0, 1]. With 1, every policy must end in a terminal state.
        terminal: Indices of the states that end an episode.
        states: Names; default: numbers.
        actions: Names; default: numbers.
        start: Distribution of the first state ``(S,)``; default: uniform over what is not terminal.
        shape: Rows and columns, where the first states lie on a grid.

    Attributes:
        P: Stacked transitions ``(S·A, S)``, an array or CSR.
        R: r(s, a), ``(S, A)``.

    Raises:
        UserError: If shapes do not fit, a number is not finite, a probability is negative, a row
            does not sum to 1, or γ lies outside [0, 1].
    """

    def __init__(
        self,
        transitions: Any,
        rewards: Any,
        gamma: float,
        terminal: Sequence[int] = (),
        states: Sequence[str] | None = None,
        actions: Sequence[str] | None = None,
        start: ArrayLike | None = None,
        shape: tuple[int, int] | None = None,
    ) -> None:
        if not 0 <= gamma <= 1:
            raise UserError(f"gamma must lie in [0, 1], got {gamma}.")
        self.gamma, self.state_names, self.action_names = float(gamma), states, actions
        self.shape = shape
        self.P = _stack(transitions)
        rows, self.S = self.P.shape
        if not self.S or not rows or rows % self.S:
            raise UserError(f"transitions of {self.S} states need S·A rows, got {rows}.")
        self.A = rows // self.S
        self.terminal = _mask(terminal, self.S)
        self._check_names()
        self._check_rows()
        self.P = _without_rows(self.P, np.repeat(self.terminal, self.A))
        self.R = self._expected(rewards)
        self.start = self._start(start)

    @classmethod
    def from_gymnasium(cls, env: Any, gamma: float) -> "MDP":
        """The process in ``env.unwrapped.P``; see `environment.mdp_of`."""
        from tasks.mdp.environment import mdp_of  # imports this module and Gymnasium

        return mdp_of(env, gamma)

    def with_gamma(self, gamma: float) -> "MDP":
        """The same process under another discount."""
        ends = np.flatnonzero(self.terminal)
        P = _fill(self.P, np.repeat(self.terminal, self.A), np.repeat(np.arange(self.S), self.A))
        P = P if sparse.issparse(P) else P.reshape(self.S, self.A, self.S)
        return MDP(
            *(P, self.R, gamma, ends.tolist(), self.state_names, self.action_names),
            *(self.start, self.shape),
        )

    def state(self, s: int) -> str:
        """The name of a state."""
        return str(s) if self.state_names is None else self.state_names[s]

    def action(self, a: int) -> str:
        """The name of an action."""
        return str(a) if self.action_names is None else self.action_names[a]

    @cached_property
    def csr(self) -> sparse.csr_array:
        """The stacked transitions as CSR, whatever they were given as; kept."""
        return self.P if sparse.issparse(self.P) else _compact(sparse.csr_array(self.P))

    @property
    def mass(self) -> Array:
        """Sum of each row ``(S, A)``: 1, or 0 for terminal states."""
        return np.asarray(self.P.sum(axis=1)).reshape(self.S, self.A)

    @cached_property
    def largest_reward(self) -> float:
        """The largest |r(s, a)|."""
        return float(np.abs(self.R).max())

    @cached_property
    def width(self) -> int:
        """Most successors that a state and an action have: terms in one inner product."""
        return int(np.diff(self.P.indptr).max()) if sparse.issparse(self.P) else self.S

    def rows(self, policy: Policy) -> NDArray[np.int64]:
        """Rows of the stacked matrix that a deterministic policy takes."""
        return np.arange(self.S) * self.A + policy

    def under(self, pi: Array) -> tuple[Any, Array]:
        """P_π ``(S, S)`` and r_π ``(S,)`` of a stochastic policy π(a | s), ``(S, A)``."""
        pairs = self.S * self.A
        weights = sparse.csr_array(
            (pi.ravel(), np.arange(pairs), np.arange(0, pairs + 1, self.A)), shape=(self.S, pairs)
        )
        return weights @ self.P, np.einsum("sa,sa->s", pi, self.R)

    def _check_names(self) -> None:
        for kind, names, count in (
            ("states", self.state_names, self.S),
            ("actions", self.action_names, self.A),
        ):
            if names is not None and len(names) != count:
                raise UserError(f"{kind} must name {count}, got {len(names)} names.")

    def _check_rows(self) -> None:
        values = self.P.data if sparse.issparse(self.P) else self.P
        if not np.isfinite(np.asarray(values)).all():
            raise UserError("transitions must be finite numbers, found NaN or infinity.")
        low = np.asarray(values).min(initial=0.0)
        if low < 0:
            self._complain("has a negative probability", _row_minima(self.P) < 0, low)
        off = (np.abs(self.mass - 1) > ROW_TOLERANCE) & ~self.terminal[:, None]
        if off.any():
            self._complain("must have probabilities that sum to 1", off, self.mass[off][0])

    def _complain(self, what: str, where: NDArray[np.bool_], value: float) -> None:
        s, a = divmod(int(np.flatnonzero(where)[0]), self.A)
        raise UserError(f"state '{self.state(s)}', action '{self.action(a)}' {what}, got {value}.")

    def _expected(self, rewards: Any) -> Array:
        if _is_expected(rewards):
            R = np.array(rewards, dtype=float)
        else:
            stacked = _stack(rewards)
            if stacked.shape != self.P.shape:
                raise UserError(f"rewards {stacked.shape} must be laid out like {self.P.shape}.")
            product = self.P.multiply(stacked) if sparse.issparse(self.P) else self.P * stacked
            R = np.asarray(product.sum(axis=1)).reshape(self.S, self.A)
        if R.shape != (self.S, self.A):
            raise UserError(f"rewards must be (S, A) = {(self.S, self.A)}, got {R.shape}.")
        if not np.isfinite(R).all():
            raise UserError("rewards must be finite numbers, found NaN or infinity.")
        R[self.terminal] = 0
        return R

    def _start(self, start: ArrayLike | None) -> Array:
        given = ~self.terminal if start is None else np.asarray(start)
        d = np.array(given, dtype=float)
        if d.shape != (self.S,) or not (d >= 0).all() or not 0 < d.sum() < np.inf:
            raise UserError(f"start must be {self.S} weights, not negative and not all 0.")
        return d / d.sum()


def _is_expected(rewards: Any) -> bool:
    """Whether rewards are r(s, a) and not r(s, a, s')."""
    lists = sparse.issparse(rewards) or any(sparse.issparse(matrix) for matrix in rewards)
    return not lists and np.ndim(rewards) == 2


def _stack(given: Any) -> Any:
    """Anything that `MDP` takes as ``(S·A, S)``: an array, or CSR with sorted indices."""
    if sparse.issparse(given):
        return _compact(sparse.csr_array(given, dtype=float))
    if any(sparse.issparse(matrix) for matrix in given):
        if len({matrix.shape for matrix in given}) > 1:
            raise UserError("transitions of all actions must have one shape (S, S).")
        tall: Any = sparse.csr_array(sparse.vstack(given, format="csr"), dtype=float)
        return _compact(tall[np.arange(tall.shape[0]).reshape(len(given), -1).T.ravel()])
    dense = np.asarray(given, dtype=float)
    if dense.ndim != 3 or dense.shape[0] != dense.shape[2]:
        raise UserError(f"transitions must be (S, A, S), got {dense.shape}.")
    return np.ascontiguousarray(dense).reshape(-1, dense.shape[2])


def _compact(matrix: Any) -> Any:
    """The same with indices of 32 bits where they are enough: backups wait for memory."""
    kind = np.int32 if max(matrix.nnz, *matrix.shape) < 2**31 else np.int64
    parts = matrix.data, matrix.indices.astype(kind), matrix.indptr.astype(kind)
    return sparse.csr_array(parts, shape=matrix.shape)


def _mask(indices: Sequence[int], size: int) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=bool)
    for index in indices:
        if not 0 <= index < size:
            raise UserError(f"terminal state {index} must lie in 0 … {size - 1}.")
    mask[list(indices)] = True
    return mask


def _row_minima(P: Any) -> Array:
    minima = P.min(axis=1)
    return minima.toarray().ravel() if sparse.issparse(minima) else np.asarray(minima)


def _without_rows(P: Any, rows: NDArray[np.bool_]) -> Any:
    """A copy with these rows zero, each entry stored once, in order."""
    if not sparse.issparse(P):
        return np.where(rows[:, None], 0.0, P) if rows.any() else P
    P = P.copy()  # the caller's matrix stays as it is
    P.data[np.repeat(rows, np.diff(P.indptr))] = 0
    P.sum_duplicates()
    P.eliminate_zeros()
    return P


def _fill(P: Any, rows: NDArray[np.bool_], columns: NDArray[np.int64]) -> Any:
    """``P`` with a 1 in the named column of each of these rows."""
    at = np.flatnonzero(rows)
    ones = sparse.csr_array((np.ones(len(at)), (at, columns[at])), shape=P.shape)
    return P + ones if sparse.issparse(P) else P + ones.toarray()
