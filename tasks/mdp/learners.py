# ruff: noqa: N806  capitals are the symbols of the formulas
"""Policy gradient: learners and baselines, options of the command.

They are imported by its help, and import the algorithms where they run.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jsonargparse.typing import lazy_instance

from elbolab.errors import UserError

if TYPE_CHECKING:
    from numpy.random import Generator

    from tasks.mdp.model import MDP, Array
    from tasks.mdp.rollouts import Episodes, Roll

__all__ = [
    "Baseline",
    "Curves",
    "ExactGradient",
    "LearnedValue",
    "Learner",
    "LeaveOneOut",
    "NoBaseline",
    "NoLearner",
    "Problem",
    "Reinforce",
    "RunningMean",
]


@dataclass(frozen=True)
class Problem:
    """What a learner may look at.

    Attributes:
        mdp: The process, or None where the environment has no ``P``.
        roll: Makes episodes.
        shape: S and A.
        gamma: γ.
        generator: Source of all noise.
        watch: Wraps a range of updates with a progress bar.
    """

    mdp: "MDP | None"
    roll: "Roll"
    shape: tuple[int, int]
    gamma: float
    generator: "Generator"
    watch: Callable[[range], Iterable[int]] = lambda steps: steps


@dataclass(frozen=True)
class Curves:
    """What was learned, one row for each update and one column for each seed.

    Attributes:
        theta: Preferences at the end ``(K, S, A)``.
        objective: J(θ) before each update and after the last ``(updates + 1, K)``: exact with a
            model; else the mean return of the update's episodes ``(updates, K)``.
        norm: ‖∇J‖ as used ``(updates, K)``.
    """

    theta: "Array"
    objective: "Array"
    norm: "Array"


class Baseline(ABC):
    """b in G_t − b: anything that does not depend on the action leaves the mean as it is."""

    least_episodes = 1

    def reset(self, seeds: int, states: int) -> None:  # noqa: B027  most have nothing to forget
        """Forgets everything, before the first update."""

    @abstractmethod
    def advantage(self, episodes: "Episodes", returns: "Array") -> "Array":
        """G_t − b ``(T, K, n)``; learns from the episodes after it has used what it knew."""


class NoBaseline(Baseline):
    """b = 0."""

    def advantage(self, episodes: "Episodes", returns: "Array") -> "Array":
        return returns


class LeaveOneOut(Baseline):
    """b = mean of G_t over the other episodes of the update."""

    least_episodes = 2

    def advantage(self, episodes: "Episodes", returns: "Array") -> "Array":
        n = returns.shape[2]
        return returns - (returns.sum(axis=2, keepdims=True) - returns) / (n - 1)


class RunningMean(Baseline):
    """b = running mean of G_0 over the updates before.

    Args:
        rate: Share of the newest mean, in (0, 1].
    """

    def __init__(self, rate: float = 0.1) -> None:
        _in_unit_interval("rate", rate)
        self.rate = rate

    def reset(self, seeds: int, states: int) -> None:
        self._mean, self._updates = None, 0

    def advantage(self, episodes: "Episodes", returns: "Array") -> "Array":
        newest = returns[0].mean(axis=1)
        before = 0 * newest if self._mean is None else self._mean
        self._updates += 1
        share = max(self.rate, 1 / self._updates)
        self._mean = before + share * (newest - before)
        return returns - before[:, None]


class LearnedValue(Baseline):
    """b(s) = a value learned for each state from the returns that followed it.

    Args:
        rate: Share of the newest mean of a state, in (0, 1].
    """

    def __init__(self, rate: float = 0.2) -> None:
        _in_unit_interval("rate", rate)
        self.rate = rate

    def reset(self, seeds: int, states: int) -> None:
        import numpy as np

        self._value = np.zeros((seeds, states))

    def advantage(self, episodes: "Episodes", returns: "Array") -> "Array":
        import numpy as np

        k = np.broadcast_to(np.arange(len(self._value))[:, None], episodes.states.shape)
        at = (k, episodes.states)
        found = returns - self._value[at]
        count, total = np.zeros_like(self._value), np.zeros_like(self._value)
        np.add.at(count, at, episodes.alive)
        np.add.at(total, at, np.where(episodes.alive, found, 0.0))
        self._value += self.rate * total / np.maximum(count, 1)
        return found


class Learner(ABC):
    """A way to learn a softmax policy."""

    learns = True

    @abstractmethod
    def learn(self, problem: Problem) -> Curves:
        """Does all updates, for all seeds at once."""


class NoLearner(Learner):
    """Nothing is learned."""

    learns = False

    def learn(self, problem: Problem) -> Curves:
        raise UserError("nothing to learn with: take --learner Reinforce or ExactGradient.")


class _Ascent(Learner):
    """Gradient ascent on J(θ) from the uniform policy.

    Args:
        updates: Steps of ascent.
        rate: Their length.
        natural: Step along F⁻¹∇J, with F the Fisher information weighted by visits.
        damping: Added to F's diagonal.
    """

    def __init__(
        self, updates: int = 200, rate: float = 0.2, natural: bool = False, damping: float = 1e-3
    ) -> None:
        _at_least(1, updates=updates)
        for name, value in (("rate", rate), ("damping", damping)):
            if not value > 0:
                raise UserError(f"learner.{name} must be positive, got {value}.")
        self.updates, self.rate, self.natural, self.damping = updates, rate, natural, damping

    seeds = 1

    @abstractmethod
    def gradient(self, problem: Problem, pi: "Array") -> "tuple[Array, Array, Array]":
        """∇J ``(K, S, A)``, η ``(K, S)`` and mean returns ``(K,)`` of policies ``(K, S, A)``."""

    def learn(self, problem: Problem) -> Curves:
        import numpy as np

        from tasks.mdp.softmax import natural_direction, objective, policy_of

        def exact() -> "list[Array | float]":
            return [] if mdp is None else [np.array([objective(mdp, one) for one in theta])]

        mdp, theta = problem.mdp, np.zeros((self.seeds, *problem.shape))
        objectives, norms = [], []
        for _ in problem.watch(range(self.updates)):
            pi = policy_of(theta)
            g, eta, mean = self.gradient(problem, pi)
            objectives += exact() or [mean]
            norms.append(np.sqrt((g * g).sum(axis=(1, 2))))
            step = natural_direction(g, pi, eta, self.damping) if self.natural else g
            theta = theta + self.rate * step
        return Curves(theta, np.array(objectives + exact()), np.array(norms))


class ExactGradient(_Ascent):
    """The gradient by the policy-gradient theorem, without noise; needs a model.

    Args:
        updates: Steps of ascent.
        rate: Their length.
        natural: Step along F⁻¹∇J, with F the Fisher information weighted by visits.
        damping: Added to F's diagonal.
    """

    def gradient(self, problem: Problem, pi: "Array") -> "tuple[Array, Array, Array]":
        import numpy as np

        from tasks.mdp.softmax import theorem_gradient, visits

        if problem.mdp is None:
            raise UserError("ExactGradient needs an environment with P: take --learner Reinforce.")
        g, eta = theorem_gradient(problem.mdp, pi[0]), visits(problem.mdp, pi[0])
        return g[None], eta[None], np.zeros(1)


class Reinforce(_Ascent):
    """Estimates from episodes, for many seeds at once.

    Args:
        updates: Steps of ascent.
        rate: Their length.
        natural: Step along F⁻¹∇J, with F the Fisher information weighted by counted visits.
        damping: Added to F's diagonal.
        episodes: Of each update and seed.
        seeds: Learners side by side.
        baseline: NoBaseline, RunningMean, LearnedValue or LeaveOneOut.
    """

    def __init__(
        self,
        updates: int = 200,
        rate: float = 0.2,
        natural: bool = False,
        damping: float = 1e-3,
        episodes: int = 10,
        seeds: int = 10,
        baseline: Baseline = lazy_instance(LearnedValue),  # noqa: B008  never changed
    ) -> None:
        super().__init__(updates, rate, natural, damping)
        _at_least(1, episodes=episodes, seeds=seeds)
        if episodes < baseline.least_episodes:
            name, least = type(baseline).__name__, baseline.least_episodes
            raise UserError(f"{name} needs learner.episodes of at least {least}, got {episodes}.")
        self.episodes, self.seeds, self.baseline = episodes, seeds, baseline

    def learn(self, problem: Problem) -> Curves:
        self.baseline.reset(self.seeds, problem.shape[0])
        return super().learn(problem)

    def gradient(self, problem: Problem, pi: "Array") -> "tuple[Array, Array, Array]":
        from tasks.mdp.reinforce import empirical_visits, estimates, returns

        rolled = problem.roll(pi, self.episodes, problem.generator)
        G = returns(rolled, problem.gamma)
        g = estimates(rolled, problem.gamma, pi, self.baseline.advantage(rolled, G))
        eta = empirical_visits(rolled, problem.gamma, problem.shape[0])
        return g, eta, G[0].mean(axis=1)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise UserError(f"learner.{name} must be at least {least}, got {value}.")


def _in_unit_interval(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise UserError(f"learner.baseline.{name} must lie in (0, 1], got {value}.")
