# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""A finite Markov decision process, checked and laid out for fast backups.

p(s', r | s, a) enters through its marginals: P[s, a, s'] and the expected reward
r(s, a) = E[R_{t+1} | s, a].
"""

from collections.abc import Iterable, Sequence
from copy import copy
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from elbolab.checks import check_in
from elbolab.errors import UserError
from elbolab.files import shown
from tasks.arrays import Bools, Floats, Ints
from tasks.mdp.transitions import compact, negative_rows, real_numbers, stacked, without_rows

__all__ = ["MDP"]

ROW_TOLERANCE = 1e-9
"""How far a row's sum may be from 1: more than rounding, less than a digit forgotten in a file."""

LARGEST_REWARD = 1e100
"""Beyond it sums of squares of values leave the range of doubles."""


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
        terminal: Flags ``(S,)``.
        largest_reward: The largest |r(s, a)|.

    Raises:
        UserError: If shapes do not fit, a number is not finite, a probability is negative, a row
            does not sum to 1, a name stands twice, or γ lies outside [0, 1].
    """

    def __init__(
        self,
        transitions: Any,
        rewards: Any,
        gamma: float,
        *,
        terminal: Iterable[int] = (),
        states: Sequence[str] | None = None,
        actions: Sequence[str] | None = None,
        start: ArrayLike | None = None,
        shape: tuple[int, int] | None = None,
    ) -> None:
        check_in("[0, 1]", gamma=gamma)
        self.gamma, self.shape = float(gamma), shape
        P = stacked(transitions)
        rows, self.S = P.shape
        if not self.S or not rows or rows % self.S:
            raise UserError(f"transitions of {self.S} states need S·A rows, got {rows}.")
        self.A = rows // self.S
        self.state_names = _names("states", states, self.S)
        self.action_names = _names("actions", actions, self.A)
        self.terminal = _flags(terminal, self.S)
        self._check_rows(P)
        self.P = without_rows(P, np.repeat(self.terminal, self.A))
        self.R = self._expected(rewards, P)
        self.largest_reward = float(np.abs(self.R).max())
        self.start = self._start(start)

    def with_gamma(self, gamma: float) -> Self:
        """The same process under another discount."""
        check_in("[0, 1]", gamma=gamma)
        other = copy(self)
        other.gamma = float(gamma)
        return other

    def counting_steps(self) -> Self:
        """The same process, undiscounted and with a reward of 1 each step: values count steps."""
        other = self.with_gamma(1.0)
        other.R = np.where(self.terminal[:, None], 0.0, np.ones((self.S, self.A)))
        other.largest_reward = 1.0
        return other

    def state(self, s: int) -> str:
        """The name of a state."""
        return str(s) if self.state_names is None else self.state_names[s]

    def action(self, a: int) -> str:
        """The name of an action."""
        return str(a) if self.action_names is None else self.action_names[a]

    @cached_property
    def csr(self) -> sparse.csr_array:
        """The stacked transitions as CSR, whatever they were given as; kept."""
        return self.P if sparse.issparse(self.P) else compact(sparse.csr_array(self.P))

    @property
    def mass(self) -> Floats:
        """Sum of each row ``(S, A)``: 1, or 0 for terminal states."""
        return self._by_pair(self.P.sum(axis=1))

    @cached_property
    def width(self) -> int:
        """Most successors that a state and an action have: terms in one inner product."""
        return int(np.diff(self.P.indptr).max()) if sparse.issparse(self.P) else self.S

    def rows(self, policy: Ints) -> Ints:
        """Rows of the stacked matrix that a deterministic policy takes."""
        return np.arange(self.S) * self.A + policy

    def under(self, pi: Floats) -> tuple[Any, Floats]:
        """P_π ``(S, S)`` and r_π ``(S,)`` of a stochastic policy π(a | s), ``(S, A)``."""
        pairs = self.S * self.A
        weights = sparse.csr_array(
            (pi.ravel(), np.arange(pairs), np.arange(0, pairs + 1, self.A)), shape=(self.S, pairs)
        )
        return weights @ self.P, np.einsum("sa,sa->s", pi, self.R)

    def _by_pair(self, rows: Any) -> Floats:
        """One number for each row of the stacked matrix as ``(S, A)``."""
        return np.asarray(rows).reshape(self.S, self.A)

    def _check_rows(self, P: Any) -> None:
        values = np.asarray(P.data if sparse.issparse(P) else P)
        if not np.isfinite(values).all():
            raise UserError("transitions must be finite numbers, found NaN or infinity.")
        low = values.min(initial=0.0)
        if low < 0:
            self._complain("has a negative probability", negative_rows(P), low)
        mass = self._by_pair(P.sum(axis=1))
        off = (np.abs(mass - 1) > ROW_TOLERANCE) & ~self.terminal[:, None]
        if off.any():
            self._complain("must have probabilities that sum to 1", off, mass[off][0])

    def _complain(self, what: str, where: Bools, value: float) -> None:
        s, a = divmod(int(np.flatnonzero(where)[0]), self.A)
        place = f"state '{shown(self.state(s))}', action '{shown(self.action(a))}'"
        raise UserError(f"{place} {what}, got {value}.")

    def _expected(self, rewards: Any, P: Any) -> Floats:
        if _is_expected(rewards):
            R = real_numbers("rewards", rewards)
        else:
            by_next = stacked(rewards, "rewards")
            if by_next.shape != P.shape:
                raise UserError(f"rewards {by_next.shape} must be laid out like {P.shape}.")
            product = self.P.multiply(by_next) if sparse.issparse(self.P) else self.P * by_next
            R = self._by_pair(product.sum(axis=1))
        if R.shape != (self.S, self.A):
            raise UserError(f"rewards must be (S, A) = {(self.S, self.A)}, got {R.shape}.")
        if not np.isfinite(R).all():
            raise UserError("rewards must be finite numbers, found NaN or infinity.")
        check_in(f"[-{LARGEST_REWARD:g}, {LARGEST_REWARD:g}]", rewards=(R.min(), R.max()))
        R[self.terminal] = 0
        return R

    def _start(self, start: ArrayLike | None) -> Floats:
        if start is None and self.terminal.all():
            raise UserError("every state is terminal: there is nothing to decide.")
        d = real_numbers("start", ~self.terminal if start is None else start)
        if d.shape != (self.S,) or not (d >= 0).all() or not 0 < d.sum() < np.inf:
            raise UserError(f"start must be {self.S} weights, not negative and not all 0.")
        return d / d.sum()


def _is_expected(rewards: Any) -> bool:
    """Whether rewards are r(s, a) and not r(s, a, s')."""
    if sparse.issparse(rewards) or any(sparse.issparse(matrix) for matrix in rewards):
        return False
    return real_numbers("rewards", rewards).ndim == 2


def _names(kind: str, names: Sequence[str] | None, count: int) -> list[str] | None:
    if names is None:
        return None
    if len(names) != count:
        raise UserError(f"{kind} must name {count}, got {len(names)} names.")
    listed = list(map(str, names))
    for name in listed:
        if not name.isprintable() or not name.strip():
            raise UserError(f"{kind} must have names of letters, got '{shown(name)}'.")
    if len(set(listed)) < count:
        twice = next(name for i, name in enumerate(listed) if name in listed[:i])
        raise UserError(f"{kind} must have names that differ, '{shown(twice)}' stands twice.")
    return listed


def _flags(indices: Iterable[int], size: int) -> Bools:
    flags = np.zeros(size, dtype=bool)
    for index in indices:
        if not 0 <= index < size:
            raise UserError(f"terminal state {index} must lie in 0 … {size - 1}.")
        if flags[index]:
            raise UserError(f"terminal state {index} stands twice.")
        flags[index] = True
    return flags
