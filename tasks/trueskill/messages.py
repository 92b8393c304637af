"""Message passing on the factor graph of one match, and its sweeps over a whole history.

A Gaussian message is (π, η): its precision and its precision times its mean. Products of messages
are sums, and no message is (0, 0). Minka, Expectation propagation, UAI 2001; Dangauthier et al.,
TrueSkill Through Time, NeurIPS 2007.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from elbolab.errors import UserError
from tasks.trueskill.closed_form import refuse_draw
from tasks.trueskill.model import RatedMatch, Rating, SkillModel
from tasks.trueskill.options import Smoothing
from tasks.trueskill.truncation import vw

__all__ = ["Message", "Smoother", "match_posteriors", "outcome_messages"]


class Message(NamedTuple):
    """A Gaussian factor exp(ηx − πx²/2)."""

    pi: float
    eta: float

    @classmethod
    def of(cls, rating: Rating) -> "Message":
        """The message that is this belief."""
        return cls(1 / rating.variance, rating.mean / rating.variance)

    def times(self, other: "Message") -> "Message":
        """The product of both."""
        return Message(self.pi + other.pi, self.eta + other.eta)

    def drifted(self, variance: float) -> "Message":
        """The message after a random step of this variance; (0, 0) stays what it is."""
        shrink = 1 / (1 + variance * self.pi)
        return Message(self.pi * shrink, self.eta * shrink)

    @property
    def rating(self) -> Rating:
        """The belief that is this message."""
        return Rating(self.eta / self.pi, 1 / self.pi)


NOTHING = Message(0.0, 0.0)


def match_posteriors(
    model: SkillModel, first: Rating, second: Rating, y: int
) -> tuple[Rating, Rating]:
    """Both skills after one match, by passing messages once around its factor graph.

    The graph is a tree, so this is what `closed_form.moment_match` computes, by another way.
    """
    priors = Message.of(first), Message.of(second)
    answers = outcome_messages(model, *priors, y)
    return priors[0].times(answers[0]).rating, priors[1].times(answers[1]).rating


def outcome_messages(
    model: SkillModel, first: Message, second: Message, y: int
) -> tuple[Message, Message]:
    """What a match says about its two skills.

    prior → skill → difference → outcome, and back: the outcome replaces the difference's marginal
    N(d, c²) by its truncation's moments, the quotient of both is the outcome's own message, and
    that message goes on to each skill through the other one.

    Args:
        model: The hyper-parameters.
        first: Everything else that is known of s_1; π positive.
        second: The same of s_2.
        y: +1, −1 or, for a draw, 0.
    """
    (m1, v1), (m2, v2) = first.rating, second.rating
    noise, h = model.sigma_t**2, model.home_advantage
    c2 = v1 + v2 + noise
    d, c = m1 - m2 + h, math.sqrt(c2)
    v, w = vw(d / c, model.draw_margin / c, y)
    # Quotient of N(d + cV, c²(1 − W)) and N(d, c²), seen through independent noise `rest`; written
    # so that W = 0, an outcome that says nothing, needs no case of its own.
    precision = [w / (c2 * (1 - w) + w * rest) for rest in (v2 + noise, v1 + noise)]
    pull = [c * v / (c2 * (1 - w) + w * rest) for rest in (v2 + noise, v1 + noise)]
    return (
        Message(precision[0], precision[0] * m1 + pull[0]),
        Message(precision[1], precision[1] * m2 - pull[1]),
    )


@dataclass
class Smoother:
    """Every match seen in the light of all others: sweeps forth and back until nothing moves.

    A skill is a chain with one link for each match of its team; ``forward`` comes to a link from
    the team's earlier matches, ``backward`` from its later ones, ``said`` from the match itself.
    The first forward sweep is assumed-density filtering.

    Args:
        model: The hyper-parameters.
        priors: One belief for each team, before its first match.
        matches: The matches, in the order in which they were played.
        settings: When the sweeps end.

    Raises:
        UserError: If a draw is given to a model without draws.
    """

    model: SkillModel
    priors: list[Rating]
    matches: list[RatedMatch]
    settings: Smoothing = field(default_factory=Smoothing)

    def __post_init__(self) -> None:
        if any(match.y == 0 for match in self.matches):
            refuse_draw(self.model)
        links = range(2 * len(self.matches))
        self.forward, self.backward, self.said = ([NOTHING for _ in links] for _ in range(3))
        self.sweeps = 0

    def run(self) -> list[Rating]:
        """Sweeps until convergence and returns each team's belief after its last match.

        Raises:
            UserError: If the sweeps do not converge.
        """
        self._sweep_forward()
        before, change = self.beliefs(), math.inf
        while self.matches and change > self.settings.tolerance:
            if self.sweeps >= self.settings.max_sweeps:
                raise UserError(
                    f"smoothing still moves by {change:.2g} points after {self.sweeps} sweeps: "
                    "raise max_sweeps or tolerance."
                )
            self._sweep_backward()
            self._sweep_forward()
            after = self.beliefs()
            change = max(map(_distance, before, after))
            before = after
        return self._latest(before)

    def beliefs(self) -> list[Rating]:
        """The belief about both teams of every match at its time: 2k and 2k + 1 for match k."""
        links = zip(self.forward, self.backward, self.said, strict=True)
        return [f.times(b).times(s).rating for f, b, s in links]

    def _latest(self, beliefs: list[Rating]) -> list[Rating]:
        latest = list(self.priors)
        for k, match in enumerate(self.matches):
            latest[match.first], latest[match.second] = beliefs[2 * k], beliefs[2 * k + 1]
        return latest

    def _sweep_forward(self) -> None:
        self.sweeps += 1
        drift = self.model.drift**2
        arriving = [Message.of(rating) for rating in self.priors]
        for k, (i, j, _) in enumerate(self.matches):
            self.forward[2 * k], self.forward[2 * k + 1] = arriving[i], arriving[j]
            self._listen(k)
            for link, team in ((2 * k, i), (2 * k + 1, j)):
                arriving[team] = arriving[team].times(self.said[link]).drifted(drift)

    def _sweep_backward(self) -> None:
        drift = self.model.drift**2
        arriving = [NOTHING for _ in self.priors]
        for k in reversed(range(len(self.matches))):
            i, j, _ = self.matches[k]
            self.backward[2 * k], self.backward[2 * k + 1] = arriving[i], arriving[j]
            self._listen(k)
            for link, team in ((2 * k, i), (2 * k + 1, j)):
                arriving[team] = arriving[team].times(self.said[link]).drifted(drift)

    def _listen(self, k: int) -> None:
        a, b = 2 * k, 2 * k + 1
        first, second = (self.forward[link].times(self.backward[link]) for link in (a, b))
        self.said[a], self.said[b] = outcome_messages(self.model, first, second, self.matches[k].y)


def _distance(one: Rating, two: Rating) -> float:
    return max(abs(one.mean - two.mean), abs(one.std - two.std))
