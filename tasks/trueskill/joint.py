"""Expectation propagation that keeps the correlations between teams.

Who met whom ties skills together: were one team better than thought, so would be those who beat
it. Messages between single skills (`messages.Smoother`, TrueSkill Through Time) forget that, get
the means right and the standard deviations too small. Here the approximation is one Gaussian over
all skills, and each match contributes a Gaussian factor of δ = s_1 − s_2 alone, as in Gaussian
process classification (Rasmussen & Williams, 2006, section 3.6).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.trueskill.closed_form import refuse_draw
from tasks.trueskill.messages import Message
from tasks.trueskill.model import RatedMatch, Rating, SkillModel
from tasks.trueskill.options import Smoothing
from tasks.trueskill.truncation import vw

__all__ = ["JointSmoother", "match_factor"]


def match_factor(model: SkillModel, cavity: Rating, y: int) -> Message:
    """What a match says about δ, given everything else that is known of δ.

    Args:
        model: The hyper-parameters.
        cavity: Mean m in points and variance v in points² of δ without the match.
        y: +1, −1 or, for a draw, 0.
    """
    m, v = cavity
    c2 = v + model.sigma_t**2
    c = math.sqrt(c2)
    shift, shrink = vw((m + model.home_advantage) / c, model.draw_margin / c, y)
    # Quotient of N(m + vV/c, v(1 − vW/c²)) and N(m, v), for W = 0 too.
    left = c2 - v * shrink
    return Message(shrink / left, (shrink * m + c * shift) / left)


@dataclass
class JointSmoother:
    """One Gaussian over all skills, refined match by match until nothing moves.

    Args:
        model: The hyper-parameters; without drift.
        priors: One belief for each team.
        matches: The matches, in any order.
        settings: When the sweeps end.

    Attributes:
        mean: Means ``(teams,)`` of the skills, in points.
        covariance: Their covariance ``(teams, teams)``, in points².
        sweeps: Sweeps so far.

    Raises:
        UserError: If a draw is given to a model without draws, or the model has drift.
    """

    model: SkillModel
    priors: Sequence[Rating]
    matches: Sequence[RatedMatch]
    settings: Smoothing = field(default_factory=Smoothing)

    def __post_init__(self) -> None:
        if self.model.drift:
            raise UserError(
                "joint smoothing needs constant skills: set drift to 0, or choose Smoothing."
            )
        if any(match.y == 0 for match in self.matches):
            refuse_draw(self.model)
        self.factors = [Message(0.0, 0.0) for _ in self.matches]
        self.sweeps = 0
        self._prior_eta = np.array([rating.mean / rating.variance for rating in self.priors])
        self._prior_pi = np.diag([1 / rating.variance for rating in self.priors])
        self._rebuild()

    def run(self) -> list[Rating]:
        """Sweeps until convergence and returns the belief about each team.

        Raises:
            UserError: If the sweeps do not converge.
        """
        change = math.inf
        while change > self.settings.tolerance:
            if self.sweeps >= self.settings.max_sweeps:
                raise UserError(
                    f"smoothing still moves by {change:.2g} points after {self.sweeps} sweeps: "
                    "raise max_sweeps or tolerance."
                )
            before = self._summary()
            for k in range(len(self.matches)):
                self._refine(k)
            self._rebuild()
            self.sweeps += 1
            change = float(np.abs(self._summary() - before).max())
        pairs = zip(self.mean.tolist(), np.diag(self.covariance).tolist(), strict=True)
        return [Rating(*pair) for pair in pairs]

    def _refine(self, k: int) -> None:
        """Takes match k out, looks at it again, and puts it back: a change of rank one."""
        i, j, y = self.matches[k]
        reach = self.covariance[:, i] - self.covariance[:, j]
        variance, mean = float(reach[i] - reach[j]), float(self.mean[i] - self.mean[j])
        old = self.factors[k]
        pi = 1 / variance - old.pi
        new = match_factor(self.model, Rating((mean / variance - old.eta) / pi, 1 / pi), y)
        more = new.pi - old.pi
        grown = 1 + more * variance
        self.mean += reach * ((new.eta - old.eta) - more * mean) / grown
        self.covariance -= np.outer(reach, reach * (more / grown))
        self.factors[k] = new

    def _rebuild(self) -> None:
        """The Gaussian from its factors afresh: thousands of small changes add up rounding."""
        precision, eta = self._prior_pi.copy(), self._prior_eta.copy()
        for (i, j, _), factor in zip(self.matches, self.factors, strict=True):
            precision[i, i] += factor.pi
            precision[j, j] += factor.pi
            precision[i, j] -= factor.pi
            precision[j, i] -= factor.pi
            eta[i] += factor.eta
            eta[j] -= factor.eta
        self.covariance: Floats = np.linalg.inv(precision)
        self.mean: Floats = self.covariance @ eta

    def _summary(self) -> Floats:
        return np.concatenate([self.mean, np.sqrt(np.diag(self.covariance))])
