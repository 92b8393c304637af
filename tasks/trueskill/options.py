"""What a person sets: the command's options, the methods of inference and a league to simulate.

Settings alone, so that ``--help`` waits for nothing heavy. `inference` holds the algorithms.
"""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import lazy_instance

from elbolab.checks import check_at_least_one, check_in
from elbolab.errors import UserError
from elbolab.files import shown
from tasks.trueskill.matches import Draws, Rules
from tasks.trueskill.model import MU, SIGMA, Rating, SkillModel

__all__ = [
    "Filter",
    "Gibbs",
    "GibbsFilter",
    "Inference",
    "JointSmoothing",
    "League",
    "MessageFilter",
    "Smoothing",
    "TrueSkillOptions",
]

MOST_MATCHES = 1_000_000
"""Of a simulated league."""

MOST_SAMPLES = 10**8
"""Of each skill, over all chains."""


class Inference:
    """The settings of a method: how one match changes beliefs, and what all matches together say.

    A method of one's own derives from this class, or from the one that it resembles, and registers
    its algorithm with `inference.infer`, and with `inference.update_rule` where it filters in
    another way.
    """


@dataclass(frozen=True)
class Filter(Inference):
    """Assumed-density filtering: each match's posterior is the next one's prior; order matters."""


@dataclass(frozen=True)
class MessageFilter(Filter):
    """Filtering by messages on each match's factor graph: the same numbers by another way."""


@dataclass(frozen=True)
class GibbsFilter(Filter):
    """Filtering with the moments of Gibbs samples of each match.

    Args:
        chains: Chains at once, of each match.
        samples: Sweeps kept of each chain.
        burn_in: Sweeps before them, forgotten.
    """

    chains: int = 100
    samples: int = 100
    burn_in: int = 20

    def __post_init__(self) -> None:
        _check_chains(self.chains, self.samples, self.burn_in, 1)
        if self.chains * self.samples < 2:
            raise UserError("inference.samples must be at least 2 of one chain, got 1.")


@dataclass(frozen=True)
class Smoothing(Inference):
    """Messages over the whole history, as in TrueSkill Through Time; drift allowed.

    Every match is seen in the light of all others. The means are right; the standard deviations
    leave out how skills hang together, and are too small. `JointSmoothing` is not.

    Args:
        tolerance: Sweeps end when no mean and no standard deviation moves by more, in points.
        max_sweeps: Sweeps after which it is a mistake not to have converged.
    """

    tolerance: float = 1e-6
    max_sweeps: int = 1000

    def __post_init__(self) -> None:
        check_in("(0, inf)", **{"inference.tolerance": self.tolerance})
        check_in("[2, 1e9]", **{"inference.max_sweeps": self.max_sweeps})


@dataclass(frozen=True)
class JointSmoothing(Smoothing):
    """Expectation propagation with one Gaussian over all skills, for skills that do not drift.

    Memory and time for each match grow with the square of the teams.

    Args:
        tolerance: Sweeps end when no mean and no standard deviation moves by more, in points.
        max_sweeps: Sweeps after which it is a mistake not to have converged.
    """


@dataclass(frozen=True)
class Gibbs(Inference):
    """Gibbs sampling of the whole history, with diagnostics.

    Args:
        chains: Chains at once.
        samples: Sweeps kept of each chain.
        burn_in: Sweeps before them, forgotten.
        in_turn: Draw one skill after the other instead of all together; mixes more slowly.
    """

    chains: int = 4
    samples: int = 4000
    burn_in: int = 200
    in_turn: bool = False

    def __post_init__(self) -> None:
        _check_chains(self.chains, self.samples, self.burn_in, 8)


def _check_chains(chains: int, samples: int, burn_in: int, fewest: int) -> None:
    check_at_least_one(**{"inference.chains": chains})
    check_in(f"[{fewest}, inf)", **{"inference.samples": samples})
    check_in("[0, 1e9]", **{"inference.burn_in": burn_in})
    if chains * samples > MOST_SAMPLES:
        raise UserError(
            f"inference.chains × inference.samples must be at most {MOST_SAMPLES:,}, got "
            f"{shown(chains)} × {shown(samples)}."
        )


@dataclass(frozen=True)
class League:
    """Everyone against everyone, at home and away in turn.

    Args:
        teams: How many; an even number, at least 2.
        rounds: How often each pair meets; 2 makes 380 matches of 20 teams.
        draw_rate: Share of draws among equal teams, in [0, 1).
        repeats: Leagues of this kind over which it is counted how often the 95 % intervals cover
            the true skill; all but the first are for that alone.

    Raises:
        UserError: If a value is impossible.
    """

    teams: int = 20
    rounds: int = 2
    draw_rate: float = 0.0
    repeats: int = 1

    def __post_init__(self) -> None:
        check_in("[2, 1000]", **{"league.teams": self.teams})
        if self.teams % 2:
            raise UserError(f"league.teams must be even, got {self.teams}.")
        check_in("[1, 1000]", **{"league.rounds": self.rounds})
        check_in("[1, 1e6]", **{"league.repeats": self.repeats})
        check_in("[0, 1)", **{"league.draw_rate": self.draw_rate})
        if self.teams * self.teams * self.rounds > 2 * MOST_MATCHES:
            raise UserError(
                f"a league of {self.teams} teams and {self.rounds} rounds has more than "
                f"{MOST_MATCHES:,} matches: lower league.teams or league.rounds."
            )


@dataclass(frozen=True)
class TrueSkillOptions:
    """The options of the command.

    Args:
        matches: A .json (openfootball's) or .csv file; a season such as serie-a-2018-19 or
            worldcup-2018, downloaded once; worldcup-2022 (embedded); or simulated.
        previous: The season before: its teams begin with what it says of them.
        mu: Mean skill before the first match, in points.
        sigma: Standard deviation of skill before the first match; positive.
        sigma_t: Standard deviation of the difference of two performances; positive.
        draws: Drop drawn matches, model them, or refuse them as a mistake.
        draw_margin: Matches closer than this many points are drawn. Default: what gives equal
            teams the draw rate of the season before, or else of this one.
        home_advantage: Points added to the first team's side; estimate takes those under which
            the season before, or else this one, is most probable.
        drift: Standard deviation of what a skill changes between two matches of a team.
        extra_time: Goals of extra time count.
        shoot_outs: A shoot-out decides a match that is still level.
        inference: Filter, MessageFilter, GibbsFilter, Smoothing, JointSmoothing or Gibbs.
            Default: Filter. Predictions are one step ahead, by filtering, under every one.
        priors: Beliefs to begin with, mean and standard deviation by team.
        pairings: Pairs of teams to predict after the last match.
        shuffles: How often the season is played again in another order, to see how much the
            ranking of filtering depends on it.
        window: Matches in the moving prediction rate.
        league: The league of matches simulated.

    Raises:
        UserError: If a value is impossible, or two contradict each other.
    """

    matches: str = "worldcup-2022"
    previous: str | None = None
    mu: float = MU
    sigma: float = SIGMA
    sigma_t: float = SIGMA
    draws: Draws = "drop"
    draw_margin: float | None = None
    home_advantage: float | Literal["estimate"] = 0.0
    drift: float = 0.0
    extra_time: bool = False
    shoot_outs: bool = False
    inference: Inference = lazy_instance(Filter)  # noqa: RUF009  never changed
    priors: dict[str, tuple[float, float]] | None = None
    pairings: list[tuple[str, str]] | None = None
    shuffles: int = 0
    window: int = 50
    league: League = League()

    def __post_init__(self) -> None:
        _ = self.model, self.stated_priors  # both check their numbers
        check_in("[0, 1e6]", shuffles=self.shuffles)
        check_at_least_one(window=self.window)
        if self.shuffles == 1:
            raise UserError("shuffles must be 0 or at least 2, got 1: one order has no spread.")
        self._check_draws()
        if self.simulated:
            self._check_simulated()

    @property
    def simulated(self) -> bool:
        """Whether the matches are those of a simulated league."""
        return self.matches == "simulated"

    @property
    def estimates_home(self) -> bool:
        """Whether the home advantage is to be estimated."""
        return self.home_advantage == "estimate"

    @property
    def rules(self) -> Rules:
        """What counts as a result."""
        return Rules(self.draws, self.extra_time, self.shoot_outs)

    @property
    def model(self) -> SkillModel:
        """The hyper-parameters, 0 for those that are to be estimated."""
        home = 0.0 if self.home_advantage == "estimate" else self.home_advantage
        margin = self.draw_margin or 0.0
        return SkillModel(self.mu, self.sigma, self.sigma_t, margin, home, self.drift)

    @property
    def stated_priors(self) -> dict[str, Rating]:
        """Beliefs to begin with, by team, of those teams that ``priors`` names.

        YAML reads the name 1860 as a number, which may be the key of a mapping.
        """
        model, stated = self.model, (self.priors or {}).items()
        return {str(team): model.stated(mean, std, str(team)) for team, (mean, std) in stated}

    def _check_draws(self) -> None:
        if self.draws == "model" and self.draw_margin == 0:
            raise UserError("draw_margin must be above 0 when draws are modelled, got 0.")
        if self.draws != "model" and self.draw_margin:
            raise UserError(
                f"draw_margin {self.draw_margin} has no meaning with draws {self.draws}: "
                "add --draws model."
            )

    def _check_simulated(self) -> None:
        if self.previous is not None:
            raise UserError("previous has no meaning with matches simulated: leave it out.")
        if self.estimates_home:
            raise UserError("home_advantage of matches simulated must be a number, got estimate.")
