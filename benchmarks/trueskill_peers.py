"""How fast matches are rated: this package, trueskill, openskill and TrueSkill Through Time.

    python benchmarks/trueskill_peers.py            needs: pip install -e '.[bench]'

All rate the same matches between the same teams, without draws and drift, each by the call that
its documentation shows. The first table rates one match between two newcomers, over and over; the
second a stream of matches, each from where the last one left its teams. The libraries take turns,
several rounds in one process; a ratio is the median of its rounds, each of neighbours in time. The
slower ones see the beginning of the stream only: their speed does not depend on its length, except
that of TrueSkill Through Time, which keeps all matches. Its smoothing is timed against ours, both
to the same tolerance.
"""

import math
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
import openskill.models
import trueskill
import trueskillthroughtime as ttt
from timing import benchmark_parser, in_turns, median_ratio, spread, timed

from tasks.trueskill.closed_form import moment_match
from tasks.trueskill.filtering import RunningRatings
from tasks.trueskill.gibbs import GibbsSampler
from tasks.trueskill.messages import Smoother
from tasks.trueskill.model import RatedMatch, SkillModel
from tasks.trueskill.options import Smoothing

Games = list[RatedMatch]

OURS = "elbolab"
TEAMS = 1000
BETA = SkillModel().sigma_t / math.sqrt(2)
OPENSKILL = ("PlackettLuce", "BradleyTerryFull", "ThurstoneMostellerFull")


def one_match() -> dict[str, Callable[[], object]]:
    """The call that rates one match between newcomers, by library."""
    model = SkillModel()
    env = trueskill.TrueSkill(beta=BETA, tau=0, draw_probability=0)
    mine, theirs = model.prior, env.create_rating()
    player = ttt.Player(ttt.Gaussian(25.0, 25 / 3), BETA, 0.0)
    calls: dict[str, Callable[[], object]] = {
        OURS: lambda: moment_match(model, mine, mine, 1),
        "trueskill": lambda: trueskill.rate_1vs1(theirs, theirs, env=env),
        "TrueSkillThroughTime": lambda: ttt.Game([[player], [player]], [1, 0]).posteriors(),
    }
    for name in OPENSKILL:
        rater = getattr(openskill.models, name)()
        teams = [[rater.rating()], [rater.rating()]]
        calls[f"openskill {name}"] = lambda rater=rater, teams=teams: rater.rate(teams)
    return calls


def by_elbolab(games: Games) -> None:
    """Filters the stream with `RunningRatings`."""
    RunningRatings(SkillModel(), [SkillModel().prior] * TEAMS).observe_all(games)


def by_trueskill(games: Games) -> None:
    """Filters the stream with ``trueskill.rate_1vs1``."""
    env = trueskill.TrueSkill(beta=BETA, tau=0, draw_probability=0)
    ratings = [env.create_rating() for _ in range(TEAMS)]
    for i, j, y in games:
        i, j = (i, j) if y > 0 else (j, i)
        ratings[i], ratings[j] = trueskill.rate_1vs1(ratings[i], ratings[j], env=env)


def by_openskill(name: str) -> Callable[[Games], None]:
    """Filters the stream with one of openskill's models."""

    def run(games: Games) -> None:
        rater = getattr(openskill.models, name)()
        ratings = [rater.rating() for _ in range(TEAMS)]
        for i, j, y in games:
            i, j = (i, j) if y > 0 else (j, i)
            [[ratings[i]], [ratings[j]]] = rater.rate([[ratings[i]], [ratings[j]]])

    return run


def through_time(games: Games) -> ttt.History:
    """Filters the stream as TrueSkill Through Time does on its way to smoothing."""
    return ttt.History(
        composition=[[[str(i)], [str(j)]] for i, j, _ in games],
        results=[[max(y, 0), max(-y, 0)] for _, _, y in games],
        mu=25.0,
        sigma=25 / 3,
        beta=BETA,
        gamma=0.0,
    )


def stream(count: int) -> Games:
    """Matches between teams drawn at random, won by the first in 55 of 100 cases."""
    generator = np.random.default_rng(0)
    first = generator.integers(0, TEAMS, count)
    second = (first + generator.integers(1, TEAMS, count)) % TEAMS
    y = np.where(generator.random(count) < 0.55, 1, -1)
    return [
        RatedMatch(*row) for row in zip(first.tolist(), second.tolist(), y.tolist(), strict=True)
    ]


def among_20_teams(count: int) -> Games:
    """Those of ``count`` matches that are between two of 20 teams."""
    matches = (RatedMatch(i % 20, j % 20, y) for i, j, y in stream(count))
    return [match for match in matches if match.first != match.second]


def table(title: str, speeds: dict[str, list[float]], counts: dict[str, int]) -> None:
    """Prints speeds and the factor by which ours is faster."""
    print(f"\n{title}")
    print("| | matches timed | matches/s, median (min – max) | elbolab is × as fast |")
    print("|---|---|---|---|")
    for name, rounds in speeds.items():
        factor = median_ratio(speeds[OURS], rounds)
        print(f"| {name} | {counts[name]:,} | {spread(rounds, ',.0f')} | {factor:.1f} |")


def compare_one_match(rounds: int, repeats: int) -> None:
    """One match, many times."""
    calls = one_match()
    counts = {name: repeats * (10 if name == OURS else 1) for name in calls}

    def speed(name: str) -> float:
        call, count = calls[name], counts[name]
        return count / timed(lambda: [call() for _ in range(count)])[0]

    speeds = in_turns({name: partial(speed, name) for name in calls}, rounds, warm_up=1)
    table("One match", speeds, counts)


def compare_streams(rounds: int, count: int, others: int) -> None:
    """A stream of matches."""
    filters: dict[str, Callable[[Games], object]] = {
        OURS: by_elbolab,
        "trueskill": by_trueskill,
        "TrueSkillThroughTime": through_time,
        **{f"openskill {name}": by_openskill(name) for name in OPENSKILL},
    }
    games = stream(count)
    counts = {name: count if name == OURS else others for name in filters}

    def speed(name: str) -> float:
        some = games[: counts[name]]
        return len(some) / timed(lambda: filters[name](some))[0]

    speeds = in_turns({name: partial(speed, name) for name in filters}, rounds)
    table(f"A stream of {count:,} matches of {TEAMS:,} teams", speeds, counts)


def compare_smoothing(count: int) -> None:
    """Smoothing a history of 20 teams to changes below 1e-4 points."""
    games = among_20_teams(3 * count)[:count]
    smoother = Smoother(SkillModel(), [SkillModel().prior] * 20, games, Smoothing(tolerance=1e-4))
    mine, _ = timed(smoother.run)

    def theirs() -> None:
        through_time(games).convergence(epsilon=1e-4, iterations=1000, verbose=False)

    other, _ = timed(theirs)
    print(f"\nSmoothing {count} matches of 20 teams until nothing moves by 1e-4 points")
    print(f"  elbolab {mine:.2f} s, TrueSkillThroughTime {other:.2f} s: × {other / mine:.1f}")


def gibbs_speed() -> None:
    """Samples of all skills per second, over all chains."""
    season = among_20_teams(1000)[:380]
    print("\nGibbs sampling, samples of all skills per second over all chains")
    for name, games, teams in (("1 match", [RatedMatch(0, 1, 1)], 2), ("380 matches", season, 20)):
        sampler = GibbsSampler(SkillModel(), [SkillModel().prior] * teams, games)
        for chains in (1, 4, 100):
            steps = 400 if len(games) > 1 and chains > 4 else 2000
            run = lambda s=sampler, n=steps, c=chains: s.run(  # noqa: E731
                np.random.default_rng(0), n, 0, c
            )
            print(f"  {name}, {chains} chains: {chains * steps / timed(run)[0]:,.0f}")


def filtering_memory() -> None:
    """Peak memory of filtering against matches and teams."""
    print("\nPeak memory of filtering (matches from a generator)")
    for teams, count in ((1000, 1000), (1000, 100_000), (10_000, 100_000), (100_000, 100_000)):
        games = ((k % teams, (k + 1) % teams, 1) for k in range(count))
        tracemalloc.start()
        RunningRatings(SkillModel(), [SkillModel().prior] * teams).observe_all(games)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"  {teams:,} teams, {count:,} matches: {peak / 2**20:.2f} MiB")


def main() -> None:
    """Runs everything and prints the tables."""
    parser = benchmark_parser(__doc__, rounds=5)
    parser.add_argument("--matches", type=int, default=1_000_000, help="in the stream")
    parser.add_argument("--others", type=int, default=5000, help="that the slower ones see")
    parser.add_argument("--repeats", type=int, default=2000, help="of one match")
    options = parser.parse_args()
    compare_one_match(options.rounds, options.repeats)
    compare_streams(options.rounds, options.matches, options.others)
    compare_smoothing(380)
    gibbs_speed()
    filtering_memory()


if __name__ == "__main__":
    main()
