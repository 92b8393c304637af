"""The command ``python cli.py task trueskill``; its work is in `experiment`."""

from typing import Literal

from jsonargparse.typing import lazy_instance

from elbolab.errors import UserError
from tasks.base import TaskContext, TaskResult
from tasks.trueskill.matches import Draws, Rules
from tasks.trueskill.methods import Filter, Inference
from tasks.trueskill.model import MU, SIGMA, Model, check_rating
from tasks.trueskill.simulation import League

__all__ = ["TrueSkill"]


class TrueSkill:
    """Rates teams from who beat whom, and predicts each match before it is seen.

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
    """

    def __init__(
        self,
        matches: str = "worldcup-2022",
        previous: str | None = None,
        mu: float = MU,
        sigma: float = SIGMA,
        sigma_t: float = SIGMA,
        draws: Draws = "drop",
        draw_margin: float | None = None,
        home_advantage: float | Literal["estimate"] = 0.0,
        drift: float = 0.0,
        extra_time: bool = False,
        shoot_outs: bool = False,
        inference: Inference = lazy_instance(Filter),  # noqa: B008  never changed
        priors: dict[str, tuple[float, float]] | None = None,
        pairings: list[tuple[str, str]] | None = None,
        shuffles: int = 0,
        window: int = 50,
        league: League = League(),  # noqa: B008  never changed
    ) -> None:
        self.matches, self.previous = matches, previous
        self.rules = Rules(draws, extra_time, shoot_outs)
        self.estimate_home = home_advantage == "estimate"
        home = 0.0 if home_advantage == "estimate" else home_advantage
        self.model = Model(mu, sigma, sigma_t, draw_margin or 0.0, home, drift)
        self.draw_margin = draw_margin
        self.inference = inference
        self.priors = {team: check_rating(*given, team) for team, given in (priors or {}).items()}
        self.pairings = pairings or []
        self.shuffles, self.window, self.league = shuffles, window, league
        self._check(draws)

    def _check(self, draws: Draws) -> None:
        if draws == "model" and self.draw_margin == 0:
            raise UserError("draw_margin must be positive when draws are modelled, got 0.")
        if draws != "model" and self.draw_margin:
            raise UserError(
                f"draw_margin {self.draw_margin} has no meaning with draws {draws}: "
                "add --draws model."
            )
        if self.shuffles < 0 or self.shuffles == 1:
            raise UserError(f"shuffles must be 0 or at least 2, got {self.shuffles}.")
        if self.window < 1:
            raise UserError(f"window must be at least 1, got {self.window}.")
        if self.matches == "simulated" and self.previous:
            raise UserError("previous has no meaning with matches simulated: leave it out.")
        if self.matches == "simulated" and self.estimate_home:
            raise UserError("home_advantage of matches simulated must be a number, got estimate.")

    def run(self, context: TaskContext) -> TaskResult:
        """Reads, rates, predicts, evaluates and draws."""
        from tasks.trueskill.experiment import run

        return run(self, context)
