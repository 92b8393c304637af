# ruff: noqa: N806  capitals are the symbols of the formulas
"""Learners of a softmax policy, each a class with its options and its ascent."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from elbolab.checks import check_at_least_one, check_in
from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.mdp.baselines import LearnedValue, ReturnBaseline
from tasks.mdp.policy_gradient import (
    Episodes,
    empirical_visits,
    estimates,
    natural_direction,
    policy_of,
    returns,
)

__all__ = [
    "ExactGradient",
    "ExactObjective",
    "Learner",
    "LearningCurves",
    "LearningProblem",
    "NoLearner",
    "Reinforce",
    "Roll",
]

Roll = Callable[[Floats, int, Generator], Episodes]
"""Policies π ``(K, S, A)``, episodes n for each, generator → episodes."""


@dataclass(frozen=True)
class ExactObjective:
    """What a model of the process makes exact.

    Attributes:
        of: Preferences θ ``(S, A)`` → J(θ).
        gradient: Policy π ``(S, A)`` → ∇J ``(S, A)`` and the visits η ``(S,)``.
    """

    of: Callable[[Floats], float]
    gradient: Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class LearningProblem:
    """What a learner may look at.

    Attributes:
        shape: S and A.
        gamma: γ.
        roll: Makes episodes.
        generator: Source of all noise.
        exact: The objective, or None where the environment has no ``P``.
        watch: Wraps a range of updates with a progress bar.
    """

    shape: tuple[int, int]
    gamma: float
    roll: Roll
    generator: Generator
    exact: ExactObjective | None = None
    watch: Callable[[range], Iterable[int]] = lambda steps: steps


@dataclass(frozen=True)
class LearningCurves:
    """What was learned, one row for each update and one column for each seed.

    Attributes:
        theta: Preferences at the end ``(K, S, A)``.
        objective: J(θ) before each update and after the last ``(updates + 1, K)``: exact with a
            model; else the mean return of the update's episodes ``(updates, K)``.
        norm: ‖∇J‖ as used ``(updates, K)``.
    """

    theta: Floats
    objective: Floats
    norm: Floats


class Learner(ABC):
    """A way to learn a softmax policy."""

    learns = True

    @abstractmethod
    def learn(self, problem: LearningProblem) -> LearningCurves:
        """Does all updates, for all seeds at once."""


@dataclass(frozen=True)
class NoLearner(Learner):
    """Nothing is learned."""

    learns = False

    def learn(self, problem: LearningProblem) -> LearningCurves:
        raise UserError("nothing to learn with: take --learner Reinforce or ExactGradient.")


@dataclass(frozen=True, kw_only=True)
class GradientAscent(Learner):
    """Gradient ascent on J(θ) from the uniform policy.

    Attributes:
        updates: Steps of ascent.
        rate: Their length.
        natural: Step along F⁻¹∇J, with F the Fisher information weighted by visits.
        damping: Added to F's diagonal.
    """

    updates: int = 200
    rate: float = 0.2
    natural: bool = False
    damping: float = 1e-3

    def __post_init__(self) -> None:
        check_at_least_one(**{"learner.updates": self.updates})
        check_in("(0, 1e6]", **{"learner.rate": self.rate})
        check_in("[1e-12, 1e6]", **{"learner.damping": self.damping})  # below, F + damping is F

    def policies(self) -> int:
        """How many are learned side by side."""
        return 1

    @abstractmethod
    def gradient(self, problem: LearningProblem, pi: Floats) -> tuple[Floats, Floats, Floats]:
        """∇J ``(K, S, A)``, η ``(K, S)`` and mean returns ``(K,)`` of policies ``(K, S, A)``."""

    def learn(self, problem: LearningProblem) -> LearningCurves:
        exact, theta = problem.exact, np.zeros((self.policies(), *problem.shape))
        objectives, norms = [], []
        for _ in problem.watch(range(self.updates)):
            pi = policy_of(theta)
            g, eta, mean = self.gradient(problem, pi)
            objectives.append(_objectives(exact, theta) if exact else mean)
            norms.append(np.sqrt((g * g).sum(axis=(1, 2))))
            step = natural_direction(g, pi, eta, self.damping) if self.natural else g
            theta = theta + self.rate * step
            if not np.isfinite(theta).all():
                raise UserError(
                    f"learning diverged with learner.rate {self.rate} and learner.damping "
                    f"{self.damping}: take a smaller rate or more damping."
                )
        if exact:
            objectives.append(_objectives(exact, theta))
        return LearningCurves(theta, np.array(objectives), np.array(norms))


def _objectives(exact: ExactObjective, theta: Floats) -> Floats:
    return np.array([exact.of(one) for one in theta])


class ExactGradient(GradientAscent):
    """The gradient by the policy-gradient theorem, without noise; needs a model."""

    def gradient(self, problem: LearningProblem, pi: Floats) -> tuple[Floats, Floats, Floats]:
        if problem.exact is None:
            raise UserError("ExactGradient needs an environment with P: take --learner Reinforce.")
        g, eta = problem.exact.gradient(pi[0])
        return g[None], eta[None], np.zeros(1)


@dataclass(frozen=True, kw_only=True)
class Reinforce(GradientAscent):
    """Estimates from episodes, for many seeds at once.

    Attributes:
        episodes: Of each update and seed.
        seeds: Learners side by side.
        baseline: NoReturnBaseline, MeanReturn, LearnedValue or LeaveOneOutReturn.
    """

    episodes: int = 10
    seeds: int = 10
    baseline: ReturnBaseline = field(default_factory=LearnedValue)

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = {"learner.episodes": self.episodes, "learner.seeds": self.seeds}
        check_at_least_one(**sizes)
        check_in("[1, 1e7]", **{" · ".join(sizes): self.episodes * self.seeds})
        if self.episodes < self.baseline.least_episodes:
            name, least = type(self.baseline).__name__, self.baseline.least_episodes
            raise UserError(
                f"{name} needs learner.episodes of at least {least}, got {self.episodes}."
            )

    def policies(self) -> int:
        return self.seeds

    def learn(self, problem: LearningProblem) -> LearningCurves:
        self.baseline.reset(self.seeds, problem.shape[0])
        return super().learn(problem)

    def gradient(self, problem: LearningProblem, pi: Floats) -> tuple[Floats, Floats, Floats]:
        episodes = problem.roll(pi, self.episodes, problem.generator)
        G = returns(episodes, problem.gamma)
        advantage = self.baseline.advantage(episodes, G)
        g = estimates(episodes, problem.gamma, pi, advantage)
        eta = empirical_visits(episodes, problem.gamma, problem.shape[0])
        return g, eta, G[0].mean(axis=1)
