# ruff: noqa: N806  capitals are the symbols of the formulas
"""Episodes of softmax policies, many at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete, Tuple
from numpy.random import Generator

from elbolab.errors import UserError
from tasks.arrays import Floats, Ints
from tasks.mdp.learners import Roll
from tasks.mdp.model import MDP
from tasks.mdp.policy_gradient import Episodes

__all__ = ["longest", "roll_environment", "roll_model", "state_encoder"]

FORGOTTEN = 1e-12
"""Steps end where γ^t is below: what comes later changes no digit that counts."""

MOST_STEPS = 100_000


def longest(gamma: float) -> int:
    """Steps after which what follows is forgotten, or so many that every episode ends."""
    if gamma in (0, 1):
        return MOST_STEPS if gamma else 1
    return min(MOST_STEPS, int(np.ceil(np.log(FORGOTTEN) / np.log(gamma))))


def _draw(cumulative: Floats, generator: Generator) -> Ints:
    """One index for each row of cumulative weights ``(N, C)``."""
    x = generator.random(len(cumulative)) * cumulative[:, -1]
    return np.minimum((x[:, None] >= cumulative).sum(axis=1), cumulative.shape[1] - 1)


def roll_model(mdp: MDP) -> Roll:
    """Episodes of a process, all side by side; a reward is r(s, a), its mean over what follows.

    The next state is found by bisection in the running sum of all of P's entries.
    """
    indptr, indices, running = mdp.csr.indptr, mdp.csr.indices, np.cumsum(mdp.csr.data)
    starts = np.concatenate([[0.0], running])[indptr]
    first, most = np.cumsum(mdp.start), longest(mdp.gamma)

    def follow(row: Ints, generator: Generator) -> Ints:
        x = starts[row] + generator.random(len(row)) * (starts[row + 1] - starts[row])
        entry = np.searchsorted(running, x, side="right")
        return indices[np.clip(entry, indptr[row], indptr[row + 1] - 1)].astype(np.int64)

    def roll(pi: Floats, count: int, generator: Generator) -> Episodes:
        K = len(pi)
        chances, policy = np.cumsum(pi, axis=-1), np.repeat(np.arange(K), count)
        s = np.searchsorted(first, generator.random(K * count) * first[-1], side="right")
        steps = []
        while not steps or (len(steps) < most and not mdp.terminal[s].all()):
            ended = mdp.terminal[s]
            a = _draw(chances[policy, s], generator)
            steps.append((s, a, mdp.R[s, a], ~ended))
            on = np.flatnonzero(~ended)
            s = s.copy()
            s[on] = follow(s[on] * mdp.A + a[on], generator)
        columns = [np.array(column).reshape(-1, K, count) for column in zip(*steps, strict=True)]
        return Episodes(*columns)

    return roll


def state_encoder(space: Any) -> tuple[int, Callable[[Any], int]]:
    """The number of states, and the number of an observation, of a discrete space.

    Raises:
        UserError: If the space is neither Discrete nor made of such.
    """
    parts = list(space) if isinstance(space, Tuple) else [space]
    if isinstance(space, MultiDiscrete):
        parts = [Discrete(int(n)) for n in space.nvec.ravel()]
    if not all(isinstance(part, Discrete) for part in parts):
        raise UserError(f"observations must be discrete, got {space}: take another environment.")
    sizes, offsets = [int(p.n) for p in parts], [int(p.start) for p in parts]

    def encode(observation: Any) -> int:
        index = np.ravel(np.asarray(observation)) - offsets
        return int(np.ravel_multi_index(tuple(index.astype(int)), sizes))

    return int(np.prod(sizes)), encode


def roll_environment(env: Any, gamma: float) -> Roll:
    """Episodes of any discrete Gymnasium environment, one after the other.

    An episode that is truncated counts as ended there.
    """
    _, encode = state_encoder(env.observation_space)
    most, first_action = longest(gamma), int(env.action_space.start)

    def episode(pi: Floats, generator: Generator) -> list[tuple[int, int, float]]:
        chances, steps, done = np.cumsum(pi, axis=-1), [], False
        seen, _ = env.reset(seed=int(generator.integers(2**31)))
        while not done and len(steps) < most:
            s = encode(seen)
            a = int(_draw(chances[s : s + 1], generator)[0])
            seen, reward, terminated, truncated, _ = env.step(a + first_action)
            if not np.isfinite(reward):
                raise UserError(f"the environment gave the reward {reward}: it must be finite.")
            steps.append((s, a, float(reward)))
            done = terminated or truncated
        return steps

    def roll(pi: Floats, count: int, generator: Generator) -> Episodes:
        episodes = [episode(policy, generator) for policy in pi for _ in range(count)]
        T = max(map(len, episodes))
        table = np.zeros((3, T, len(episodes)))
        alive = np.zeros((T, len(episodes)), dtype=bool)
        for i, steps in enumerate(episodes):
            table[:, : len(steps), i], alive[: len(steps), i] = np.transpose(steps), True
        shape = (T, len(pi), count)
        s, a, r = (column.reshape(shape) for column in table)
        return Episodes(s.astype(np.int64), a.astype(np.int64), r, alive.reshape(shape))

    return roll
