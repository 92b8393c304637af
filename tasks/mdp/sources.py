# ruff: noqa: N806  capitals are the symbols of the formulas
"""Where a decision process comes from by name."""

import os
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.random import Generator
from scipy import sparse

import tasks.environments  # noqa: F401  makes SpaceExploration-v0 known
from elbolab.errors import UserError, did_you_mean
from elbolab.files import one_line, shown
from tasks.mdp.environment import mdp_of
from tasks.mdp.files import read_mdp
from tasks.mdp.model import MDP
from tasks.mdp.options import Garnet

__all__ = ["GAMMA", "find_environment", "find_mdp", "is_environment", "random_mdp"]

SPACE, GARNET = "space-exploration", "garnet"

GAMMA = 0.99
"""Where neither an option nor a file says otherwise; 0.5 for space exploration."""


def is_environment(name: str) -> bool:
    """Whether ``name`` is neither built in nor a file."""
    return name not in (SPACE, GARNET) and not _is_file(name)


def _is_file(name: str) -> bool:
    if Path(name).suffix.lower() in (".json", ".npz") or os.sep in name:
        return True
    try:
        return Path(name).exists()
    except OSError:  # too long for a file
        return False


def find_environment(name: str) -> Any:
    """Makes a Gymnasium environment.

    Raises:
        UserError: If there is none of that name, or it cannot be made.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions that are out of date
            return gymnasium.make(name)
    except (gymnasium.error.Error, ImportError, TypeError, ValueError) as error:
        hint = did_you_mean(name, [SPACE, GARNET, *gymnasium.registry])
        reason = one_line(str(error).strip().partition("\n")[0].rstrip("."))
        raise UserError(
            f"no model '{shown(name)}' ({reason}).{hint} Give {SPACE}, {GARNET}, a .json or .npz "
            "file, or an environment of Gymnasium."
        ) from error


def find_mdp(name: str, gamma: float | None, size: Garnet, generator: Generator) -> MDP:
    """Reads or builds a process.

    Args:
        name: space-exploration, garnet, a file, or an environment of Gymnasium.
        gamma: γ; default: the model's own.
        size: Of a garnet.
        generator: Source of a garnet's noise.

    Raises:
        UserError: If there is none, or it is wrong.
    """
    if name == GARNET:
        return random_mdp(size, GAMMA if gamma is None else gamma, generator)
    if _is_file(name):
        return read_mdp(Path(name), gamma)
    if name == SPACE:
        return mdp_of(find_environment("SpaceExploration-v0"), 0.5 if gamma is None else gamma)
    return mdp_of(find_environment(name), GAMMA if gamma is None else gamma)


def random_mdp(size: Garnet, gamma: float, generator: Generator) -> MDP:
    """Successors uniform, probabilities exponential and normalised, rewards standard normal.

    Raises:
        UserError: If memory does not suffice.
    """
    try:
        return _random_mdp(size, gamma, generator)
    except MemoryError as error:
        raise UserError(f"no memory for {size}: take a smaller one.") from error


def _random_mdp(size: Garnet, gamma: float, generator: Generator) -> MDP:
    pairs, b = size.states * size.actions, size.branching
    p = generator.standard_exponential((pairs, b))
    p /= p.sum(axis=1, keepdims=True)
    indices = generator.integers(0, size.states, pairs * b, dtype=np.int32)
    indptr = np.arange(0, pairs * b + 1, b, dtype=np.int32)
    P = sparse.csr_array((p.ravel(), indices, indptr), shape=(pairs, size.states))
    P.sum_duplicates()
    return MDP(P, generator.standard_normal((size.states, size.actions)), gamma)
