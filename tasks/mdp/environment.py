# ruff: noqa: N803, N806  capitals are the symbols of the formulas
"""Space exploration as a Gymnasium environment, and any environment's ``P`` as a process."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from scipy import sparse

from elbolab.errors import UserError
from elbolab.files import shown
from tasks.arrays import Floats
from tasks.mdp.model import MDP
from tasks.mdp.transitions import real_numbers

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
        UserError: If the environment has no ``P``, it is no table of outcomes with the same
            actions in every state, or γ is impossible.
    """
    base = env.unwrapped
    if not hasattr(base, "P"):
        name = base.spec.id if base.spec else type(base).__name__
        raise UserError(
            f"environment {name} has no P, the table of its transitions, and cannot be solved: "
            "take a toy-text one such as FrozenLake-v1, or learn with --learner Reinforce."
        )
    table = _table(base.P)
    S, A = len(table), len(table[0])
    dead = {s for s, row in enumerate(table) if all(_is_dead(s, outcomes) for outcomes in row)}
    rows, columns, p, r = [], [], [], np.zeros((S + 1, A))
    every = ((s, a, o) for s, row in enumerate(table) for a, cell in enumerate(row) for o in cell)
    for s, a, outcome in every:
        rows.append(s * A + a)
        ends = outcome.terminated and outcome.following not in dead
        columns.append(S if ends else outcome.following)
        p.append(outcome.p)
        r[s, a] += outcome.p * outcome.reward
    size = S + int(S in columns)
    return MDP(
        sparse.csr_array((p, (rows, columns)), shape=(size * A, size)),
        r[:size],
        gamma,
        terminal=sorted(dead | set(range(S, size))),
        states=[*getattr(base, "state_names", map(str, range(S))), *["end"] * (size - S)],
        actions=getattr(base, "action_names", None),
        start=_start(base, size - S),
        shape=_grid(base, S),
    )


class _Outcome(NamedTuple):
    p: float
    following: int
    reward: float
    terminated: bool


def _table(P: Any) -> list[list[list[_Outcome]]]:
    """``P`` as lists, whether it is made of dictionaries or of lists, checked."""
    rows = [_numbered(f"P[{s}]", row) for s, row in enumerate(_numbered("P", P))]
    for s, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise UserError(
                f"P[{s}] has {len(row)} actions and P[0] has {len(rows[0])}: all states need the "
                "same; let one that is not possible stay where it is."
            )
    return [
        [
            [_outcome(f"P[{s}][{a}]", outcome, len(rows)) for outcome in cell]
            for a, cell in enumerate(map(_listed, row))
        ]
        for s, row in enumerate(rows)
    ]


def _numbered(name: str, given: Any) -> list[Any]:
    """What is given as a list, or as a dictionary with keys from 0 on."""
    if isinstance(given, Mapping) and set(given) == set(range(len(given))):
        given = [given[i] for i in range(len(given))]
    if not isinstance(given, list | tuple) or not given:
        raise UserError(
            f"{name} of the environment must be a list, or a dictionary with keys 0, 1, 2, …, "
            f"got {shown(given)}."
        )
    return list(given)


def _listed(cell: Any) -> list[Any] | tuple[Any, ...]:
    """The outcomes in a cell; anything else stands for one, which then is none."""
    return cell if isinstance(cell, list | tuple) else [cell]


def _outcome(name: str, given: Any, states: int) -> _Outcome:
    try:
        p, following, reward, terminated = given
        outcome = _Outcome(float(p), int(following), float(reward), bool(terminated))
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{name} of the environment: an outcome is (probability, next state, reward, "
            f"terminated), got {shown(given)}."
        ) from error
    if not outcome.p >= 0 or not 0 <= outcome.following < states:
        raise UserError(
            f"{name} of the environment: a probability must not be negative and a next state lie "
            f"in 0 … {states - 1}, got {shown(given)}."
        )
    return outcome


def _is_dead(s: int, outcomes: list[_Outcome]) -> bool:
    return all(o.terminated and o.following == s and o.reward == 0 for o in outcomes)


def _start(base: Any, further: int) -> Floats | None:
    given = getattr(base, "initial_state_distrib", None)
    if given is None:
        return None
    return np.append(real_numbers("initial_state_distrib", given).ravel(), np.zeros(further))


def _grid(base: Any, states: int) -> tuple[int, int] | None:
    """Rows and columns of an environment whose states are the cells of a grid."""
    shape = getattr(base, "shape", None) or (getattr(base, "nrow", 0), getattr(base, "ncol", 0))
    if np.shape(shape) != (2,) or np.prod(shape) != states:
        return None
    return int(shape[0]), int(shape[1])
