"""The methods of inference, one interface.

They are options of the command, whose help waits for this module: the algorithms are imported where
they are used.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from elbolab.errors import UserError
from tasks.trueskill.model import Game, Model, Rating

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from tasks.trueskill.closed_form import Update

__all__ = [
    "Filter",
    "Gibbs",
    "GibbsFilter",
    "History",
    "Inference",
    "JointSmoothing",
    "MessageFilter",
    "Posterior",
    "Smoothing",
]


@dataclass(frozen=True)
class History:
    """Everything that a method may look at.

    Attributes:
        model: The hyper-parameters.
        priors: One belief for each team, before the first match.
        games: The matches, in the order in which they were played.
        filtered: Beliefs after the last match, by filtering with `Inference.update`.
        generator: Source of all noise.
        watch: Wraps a range of steps with a progress bar.
    """

    model: Model
    priors: list[Rating]
    games: list[Game]
    filtered: list[Rating]
    generator: "Generator"
    watch: Callable[[range], Sequence[int] | range] = lambda steps: steps


@dataclass(frozen=True)
class Posterior:
    """What a method found.

    Attributes:
        ratings: One belief for each team, after its last match.
        skills: Samples ``(chains, samples, teams)`` in points, of methods that draw some.
        covariance: Of all skills ``(teams, teams)``, in points², of methods that know it.
        metrics: Further numbers, by name.
    """

    ratings: list[Rating]
    skills: "NDArray | None" = None
    covariance: "NDArray | None" = None
    metrics: dict[str, float] = field(default_factory=dict)

    def pair(self, one: int, two: int) -> tuple[Rating, Rating]:
        """Beliefs about two teams for a match between them, without what both share.

        Their variances add up to that of the skills' difference.
        """
        first, second = self.ratings[one], self.ratings[two]
        if self.covariance is None:
            return first, second
        shared = float(self.covariance[one, two])
        return (
            Rating(first.mean, first.variance - shared),
            Rating(second.mean, second.variance - shared),
        )


class Inference(ABC):
    """A method: how one match changes beliefs, and what is believed after all of them."""

    def update(self, generator: "Generator") -> "Update":
        """How one match changes beliefs when each is predicted before it is seen."""
        from tasks.trueskill.closed_form import moment_match

        return moment_match

    @abstractmethod
    def infer(self, history: History) -> Posterior:
        """The beliefs after all matches."""


class Filter(Inference):
    """Assumed-density filtering: each match's posterior is the next one's prior; order matters."""

    def infer(self, history: History) -> Posterior:
        return Posterior(history.filtered)


class MessageFilter(Filter):
    """Filtering by messages on each match's factor graph: the same numbers by another way."""

    def update(self, generator: "Generator") -> "Update":
        from tasks.trueskill.messages import match_posteriors

        return match_posteriors


class GibbsFilter(Filter):
    """Filtering with the moments of Gibbs samples of each match.

    Args:
        chains: Chains at once, of each match.
        samples: Sweeps kept of each chain.
        burn_in: Sweeps before them, forgotten.
    """

    def __init__(self, chains: int = 100, samples: int = 100, burn_in: int = 20) -> None:
        _at_least(1, chains=chains, samples=samples)
        _at_least(0, burn_in=burn_in)
        self.chains, self.samples, self.burn_in = chains, samples, burn_in

    def update(self, generator: "Generator") -> "Update":
        from tasks.trueskill.gibbs import gibbs_update

        return gibbs_update(generator, self.chains, self.samples, self.burn_in)


class Smoothing(Inference):
    """Messages over the whole history, as in TrueSkill Through Time; drift allowed.

    Every match is seen in the light of all others. The means are right; the standard deviations
    leave out how skills hang together, and are too small. `JointSmoothing` is not.

    Args:
        tolerance: Sweeps end when no mean and no standard deviation moves by more, in points.
        max_sweeps: Sweeps after which it is a mistake not to have converged.
    """

    def __init__(self, tolerance: float = 1e-6, max_sweeps: int = 1000) -> None:
        if not tolerance > 0:
            raise UserError(f"inference.tolerance must be positive, got {tolerance}.")
        _at_least(2, max_sweeps=max_sweeps)
        self.tolerance, self.max_sweeps = tolerance, max_sweeps

    def infer(self, history: History) -> Posterior:
        from tasks.trueskill.messages import Smoother

        smoother = Smoother(
            history.model, history.priors, history.games, self.tolerance, self.max_sweeps
        )
        return Posterior(smoother.run(), metrics={"sweeps": smoother.sweeps})


class JointSmoothing(Smoothing):
    """Expectation propagation with one Gaussian over all skills, for skills that do not drift.

    Memory and time for each match grow with the square of the teams.

    Args:
        tolerance: Sweeps end when no mean and no standard deviation moves by more, in points.
        max_sweeps: Sweeps after which it is a mistake not to have converged.
    """

    def infer(self, history: History) -> Posterior:
        from tasks.trueskill.joint import JointSmoother

        smoother = JointSmoother(
            history.model, history.priors, history.games, self.tolerance, self.max_sweeps
        )
        ratings = smoother.run()
        return Posterior(
            ratings, covariance=smoother.covariance, metrics={"sweeps": smoother.sweeps}
        )


class Gibbs(Inference):
    """Gibbs sampling of the whole history, with diagnostics.

    Args:
        chains: Chains at once.
        samples: Sweeps kept of each chain.
        burn_in: Sweeps before them, forgotten.
        in_turn: Draw one skill after the other instead of all together; mixes more slowly.
    """

    def __init__(
        self, chains: int = 4, samples: int = 4000, burn_in: int = 200, in_turn: bool = False
    ) -> None:
        _at_least(1, chains=chains)
        _at_least(8, samples=samples)
        _at_least(0, burn_in=burn_in)
        self.chains, self.samples = chains, samples
        self.burn_in, self.in_turn = burn_in, in_turn

    def infer(self, history: History) -> Posterior:
        import numpy as np

        from tasks.trueskill.gibbs import GibbsSampler

        sampler = GibbsSampler(history.model, history.priors, history.games, self.in_turn)
        skills = sampler.run(
            history.generator, self.samples, self.burn_in, self.chains, history.watch
        )
        pooled = skills.reshape(-1, skills.shape[-1])
        pairs = zip(pooled.mean(0).tolist(), pooled.var(0, ddof=1).tolist(), strict=True)
        covariance = np.atleast_2d(np.cov(pooled.T))
        return Posterior([Rating(*pair) for pair in pairs], skills, covariance)


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise UserError(f"inference.{name} must be at least {least}, got {value}.")
