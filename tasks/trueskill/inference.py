"""The methods of inference behind one interface: `update_rule` of one match, `infer` of all.

Both choose by the class of the settings; a method of one's own registers its algorithm with them::

    @infer.register
    def _(method: MyMethod, history: MatchHistory) -> SkillPosterior: ...
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np
from numpy.random import Generator

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.trueskill.closed_form import Update, moment_match
from tasks.trueskill.gibbs import GibbsSampler, gibbs_update
from tasks.trueskill.joint import JointSmoother
from tasks.trueskill.messages import Smoother, match_posteriors
from tasks.trueskill.model import RatedMatch, Rating, SkillModel
from tasks.trueskill.options import (
    Filter,
    Gibbs,
    GibbsFilter,
    Inference,
    JointSmoothing,
    MessageFilter,
    Smoothing,
)

__all__ = ["MatchHistory", "SkillPosterior", "infer", "update_rule"]

SAMPLES_HELD = 2**30
"""Numbers that the samples of a history may be, 8 GiB."""


@dataclass(frozen=True)
class MatchHistory:
    """Everything that a method may look at.

    Attributes:
        model: The hyper-parameters.
        priors: One belief for each team, before the first match.
        matches: The matches, in the order in which they were played.
        filtered: Beliefs after the last match, by filtering with the method's `update_rule`.
        generator: Source of all noise.
        watch: Wraps a range of steps with a progress bar.
    """

    model: SkillModel
    priors: list[Rating]
    matches: list[RatedMatch]
    filtered: list[Rating]
    generator: Generator
    watch: Callable[[range], Iterable[int]] = lambda steps: steps


@dataclass(frozen=True)
class SkillPosterior:
    """What a method says about all skills.

    Attributes:
        ratings: One belief for each team, after its last match.
        skills: Samples ``(chains, samples, teams)`` in points, of methods that draw some.
        covariance: Of all skills ``(teams, teams)``, in points², of methods that know it.
        metrics: Further numbers, by name.
    """

    ratings: list[Rating]
    skills: Floats | None = None
    covariance: Floats | None = None
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


@singledispatch
def update_rule(_method: Inference, _generator: Generator) -> Update:
    """How one match changes beliefs when each is predicted before it is seen.

    Args:
        _method: The method's settings.
        _generator: Source of all noise.
    """
    return moment_match


@update_rule.register
def _(_method: MessageFilter, _generator: Generator) -> Update:
    return match_posteriors


@update_rule.register
def _(method: GibbsFilter, generator: Generator) -> Update:
    return gibbs_update(generator, method)


@singledispatch
def infer(method: Inference, _history: MatchHistory) -> SkillPosterior:
    """The beliefs after all matches.

    Args:
        method: The method's settings.
        _history: The matches, and what is known before them.

    Raises:
        UserError: If no algorithm is registered for the method, or it cannot treat the model.
    """
    name = type(method).__name__
    raise UserError(f"inference {name} has no algorithm: register one with inference.infer.")


@infer.register
def _(_method: Filter, history: MatchHistory) -> SkillPosterior:
    return SkillPosterior(history.filtered)


@infer.register
def _(method: Smoothing, history: MatchHistory) -> SkillPosterior:
    smoother = Smoother(history.model, history.priors, history.matches, method)
    return SkillPosterior(smoother.run(), metrics={"sweeps": smoother.sweeps})


@infer.register
def _(method: JointSmoothing, history: MatchHistory) -> SkillPosterior:
    smoother = JointSmoother(history.model, history.priors, history.matches, method)
    ratings = smoother.run()
    return SkillPosterior(
        ratings, covariance=smoother.covariance, metrics={"sweeps": smoother.sweeps}
    )


@infer.register
def _(method: Gibbs, history: MatchHistory) -> SkillPosterior:
    held = method.chains * (method.samples * len(history.priors) + len(history.matches))
    if held > SAMPLES_HELD:
        raise UserError(
            f"{method.chains} chains of {method.samples} samples for {len(history.priors)} teams "
            f"and {len(history.matches)} matches would take {held / 2**27:,.0f} GiB: lower "
            "inference.chains or inference.samples."
        )
    sampler = GibbsSampler(history.model, history.priors, history.matches, method.in_turn)
    skills = sampler.run(
        history.generator, method.samples, method.burn_in, method.chains, history.watch
    )
    pooled = skills.reshape(-1, skills.shape[-1])
    pairs = zip(pooled.mean(0).tolist(), pooled.var(0, ddof=1).tolist(), strict=True)
    covariance = np.atleast_2d(np.cov(pooled.T))
    return SkillPosterior([Rating(*pair) for pair in pairs], skills, covariance)
