# ruff: noqa: N806  capitals are the symbols of the formulas
"""Space exploration as a Gymnasium environment, and any environment's ``P`` as a process."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from scipy import sparse

from elbolab.errors import UserError
from tasks.mdp.model import MDP

__all__ = ["OutcomeTable", "SpaceExploration", "mdp_of", "space_exploration"]

OutcomeTable = dict[int, dict[int, list[tuple[float, int, float, bool]]]]
"""Gymnasium's ``P``: state → action → (probability, next state, reward, terminated)."""

STATES, ACTIONS = ("FullEnergy", "LowEnergy", "Depleted"), ("Conserve", "Explore")
FULL, LOW, DEPLETED = range(3)
CONSERVE, EXPLORE = range(2)

SPACE: OutcomeTable = {
    FULL: {
        CONSERVE: [(1.0, FULL, 1.0, False)],
        EXPLORE: [(0.5, LOW, 2.0, False), (0.5, FULL, 2.0, False)],
    },
    LOW: {
        CONSERVE: [(0.5, FULL, 1.0, False), (0.5, LOW, 1.0, False)],
        EXPLORE: [(1.0, DEPLETED, -10.0, True)],
    },
    DEPLETED: {action: [(1.0, DEPLETED, 0.0, True)] for action in (CONSERVE, EXPLORE)},
}


class SpaceExploration(gymnasium.Env[int, int]):
    """A probe that explores for more reward at the risk of running out of energy.

    States: FullEnergy, LowEnergy, Depleted (the end); actions: Conserve, Explore. Starts full.

    Attributes:
        P: The model, as in Gymnasium's toy-text environments.
    """

    metadata = {"render_modes": ["ansi"]}
    state_names, action_names = STATES, ACTIONS

    def __init__(self, render_mode: str | None = None) -> None:
        self.P, self.render_mode = SPACE, render_mode
        self.observation_space: Any = Discrete(len(STATES))
        self.action_space: Any = Discrete(len(ACTIONS))
        self.initial_state_distrib = np.eye(len(STATES))[FULL]
        self.s = FULL

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.s = FULL
        return self.s, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        outcomes = self.P[self.s][int(action)]
        k = self.np_random.choice(len(outcomes), p=[outcome[0] for outcome in outcomes])
        _, self.s, reward, terminated = outcomes[k]
        return self.s, reward, terminated, False, {}

    def render(self) -> str | None:  # pyright: ignore  Gymnasium's type is wider
        return STATES[self.s] if self.render_mode == "ansi" else None


def space_exploration(gamma: float = 0.5) -> MDP:
    """The process of `SpaceExploration`."""
    return mdp_of(SpaceExploration(), gamma)


def mdp_of(env: Any, gamma: float) -> MDP:
    """Reads ``env.unwrapped.P``.

    What comes after a transition that terminates is worth 0. Gymnasium's dead ends (every action
    stays, terminates and earns nothing) become terminal states; where a transition terminates in
    a state that is none, as in Taxi, it leads to a further state 'end'.

    Args:
        env: A Gymnasium environment.
        gamma: γ in [0, 1].

    Raises:
        UserError: If the environment has no ``P``, or γ is impossible.
    """
    base = env.unwrapped
    if not hasattr(base, "P"):
        name = base.spec.id if base.spec else type(base).__name__
        raise UserError(
            f"environment {name} has no P, the table of its transitions, and cannot be solved: "
            "take a toy-text one such as FrozenLake-v1, or learn with --learner Reinforce."
        )
    P, S, A = base.P, len(base.P), len(base.P[0])
    dead = {s for s in P if all(_is_dead(s, outcomes) for outcomes in P[s].values())}
    rows, columns, p, r = [], [], [], np.zeros((S + 1, A))
    every = ((s, a, *outcome) for s in P for a in P[s] for outcome in P[s][a])
    for s, a, probability, following, reward, terminated in every:
        rows.append(s * A + a)
        columns.append(S if terminated and following not in dead else int(following))
        p.append(probability)
        r[s, a] += probability * reward
    size = S + int(S in columns)
    stacked = sparse.csr_array((p, (rows, columns)), shape=(size * A, size))
    names = getattr(base, "state_names", tuple(map(str, range(S)))) + ("end",) * (size - S)
    start = np.pad(base.initial_state_distrib, (0, size - S)) if _has_start(base) else None
    return MDP(
        stacked,
        r[:size],
        gamma,
        terminal=sorted(dead | set(range(S, size))),
        states=names,
        actions=getattr(base, "action_names", None),
        start=start,
        shape=_grid(base),
    )


def _has_start(base: Any) -> bool:
    return getattr(base, "initial_state_distrib", None) is not None


def _is_dead(s: int, outcomes: list[tuple[float, int, float, bool]]) -> bool:
    return all(end and int(t) == s and r == 0 for _, t, r, end in outcomes)


def _grid(base: Any) -> tuple[int, int] | None:
    """Rows and columns of an environment whose states are the cells of a grid."""
    shape = getattr(base, "shape", None) or (getattr(base, "nrow", 0), getattr(base, "ncol", 0))
    return (int(shape[0]), int(shape[1])) if np.prod(shape) == len(base.P) else None
