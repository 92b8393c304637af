"""Options that cannot be: one line with the option and its value, exit code 2, nothing written."""

from contextlib import suppress
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import tasks.trueskill.experiment  # noqa: F401  here, as matplotlib writes a cache when imported
from elbolab.errors import UserError
from tasks.trueskill.evaluation import Forecast
from tasks.trueskill.filtering import RunningRatings, one_step_ahead
from tasks.trueskill.inference import MatchHistory, infer, update_rule
from tasks.trueskill.model import LARGEST_RATIO, RatedMatch, SkillModel
from tasks.trueskill.options import (
    Filter,
    Gibbs,
    GibbsFilter,
    JointSmoothing,
    MessageFilter,
    Smoothing,
)

DIGITS = "9" * 5000
GIBBS, FILTERED = ("--inference", "Gibbs"), ("--inference", "GibbsFilter")
SMOOTH, SIMULATED = ("--inference", "JointSmoothing"), ("--matches", "simulated")
NONE_AT_ALL = ("nan", "inf", "x", "", "true", "1e400", DIGITS)

WRONG = {
    **dict.fromkeys(["mu", "home_advantage"], (*NONE_AT_ALL, "-inf", "-1e300", "1e300")),
    **dict.fromkeys(["sigma", "sigma_t"], (*NONE_AT_ALL, "0", "-1", "1e300", "1e-300")),
    "drift": (*NONE_AT_ALL, "-1", "1e300"),
    **dict.fromkeys(["shuffles", "seed"], (*NONE_AT_ALL, "-1", "1.5", "1000000000000")),
    "window": (*NONE_AT_ALL, "0", "-1", "1.5"),
    **dict.fromkeys(
        ["league.teams", "league.rounds", "league.repeats"],
        ("nan", "0", "-2", "1.5", "1000000000000", DIGITS),
    ),
    "league.draw_rate": ("nan", "-0.1", "1", DIGITS),
}
"""Option → values that it refuses, whatever else is said."""

OF_METHODS = {
    **dict.fromkeys(
        [(*method, f"--inference.{name}") for method in (GIBBS, FILTERED)
         for name in ("chains", "samples", "burn_in")],
        ("-1", "nan", "1.5", "1000000000000", DIGITS),
    ),
    (*SMOOTH, "--inference.tolerance"): ("0", "-1", "nan", "inf", DIGITS),
    (*SMOOTH, "--inference.max_sweeps"): ("1", "-1", "nan", "1000000000000"),
}  # fmt: skip

OPTIONS = [
    (["--drift", "-1"], "drift must be at least 0, got -1"),
    (["--sigma", "0"], "sigma must be above 0, got 0"),
    (["--sigma", "1e-5"], "sigma must be at least sigma_t (8.33333) / 100,000, got 1e-05"),
    (["--sigma", "1e6"], "sigma must be at most 100,000 times sigma_t (8.33333), got 1000000.0"),
    (["--sigma_t", "1e7"], "sigma_t must be in [1e-06, 1e+06], got 10000000.0"),
    (["--draw_margin", "2"], "has no meaning with draws drop: add --draws model"),
    (["--draws", "model", "--draw_margin", "0"], "draw_margin must be above 0"),
    (["--draws", "model", "--draw_margin", "-1"], "draw_margin must be at least 0, got -1"),
    (["--draws", "model", "--draw_margin", "nan"], "draw_margin must be float"),
    (["--draws", "refuse"], "was drawn, and this model has no draws"),
    (["--draws", "modl"], "draws must be one of 'drop', 'model', 'refuse', got modl"),
    (["--home_advantage", "estimat"], "home_advantage must be float or one of 'estimate'"),
    (["--shuffles", "1"], "shuffles must be 0 or at least 2, got 1: one order has no spread"),
    (["--shuffles", "1000000000000"], "shuffles must be in [0, 1e+06]"),
    (["--window", "0"], "window must be at least 1, got 0"),
    (["--seed", "4294967296"], "seed must be a whole number from 0 to 4294967295"),
    ([*GIBBS, "--inference.samples", "1"], "inference.samples must be at least 8, got 1"),
    ([*GIBBS, "--inference.samples", "10000000"], "would take 10 GiB: lower inference.chains or"),
    ([*GIBBS, "--drift", "1"], "Gibbs sampling needs constant skills: set drift to 0"),
    ([*SMOOTH, "--drift", "1"], "joint smoothing needs constant skills: set drift to 0"),
    ([*SMOOTH, "--inference.max_sweeps", "2"], "after 2 sweeps: raise max_sweeps or tolerance"),
    ([*FILTERED, "--inference.chains", "1", "--inference.samples", "1"], "at least 2 of one chain"),
    (["--inference", "Filter", "--inference.samples", "3"], "Filter has no option 'samples'"),
    (["--inference", "Inference"], "inference Inference has no algorithm"),
    (["--inference", "Gibs"], "Gibs"),
    (["--inference", ""], "inference"),
    (["--inference", "null"], "inference"),
    (["--inference", "json.JSONDecoder"], "json.JSONDecoder"),
    (["--inference", "tasks.trueskill.options.League"], "tasks.trueskill.options.League"),
    (["--inference", "tasks.trueskill.options.Nope"], "no class 'Nope'"),
    (
        ["--priors", "{Frence: [25, 8]}"],
        "priors names 'Frence', who is no team of this season",
    ),
    (["--priors", "{France: [25, -8]}"], "of France's prior must be above 0, got -8"),
    (["--priors", "{France: [25, 0]}"], "of France's prior must be above 0, got 0"),
    (["--priors", "{France: [.nan, 8]}"], "priors.France must be a finite number, got nan"),
    (["--priors", "{France: [25, .inf]}"], "priors.France must be a finite number, got inf"),
    (["--priors", "{France: [1e300, 8]}"], "mean of France's prior must be at most 100,000 times"),
    (["--priors", "{France: [25, 1e300]}"], "of France's prior must be at most 100,000 times"),
    (["--priors", "{France: [25, 1e-300]}"], "of France's prior must be at least sigma_t"),
    (["--priors", "{France: [25]}"], "priors"),
    (["--priors", "{France: 25}"], "priors"),
    (["--priors", "{France: null}"], "priors"),
    (["--priors", "{France: [a, b]}"], "priors"),
    (
        ["--priors", "{1860: [25, 8]}"],
        "priors names '1860', who is no team of this season",
    ),
    (["--priors", "{'': [25, 8]}"], "priors names ''"),
    (["--priors", "[1]"], "priors"),
    (["--priors", "{France: [25, 8], France: [1, 2]}"], "'France' is given twice"),
    (["--pairings", "[[Argentina, Frence]]"], "'Frence', who is no team of this season. Did"),
    (["--pairings", "[[France, France]]"], "pairings has France against itself: name two teams"),
    (["--pairings", f"[[France, {'x' * 5000}]]"], "xxx…', who is no team"),
    (["--pairings", "[[France]]"], "pairings"),
    (["--pairings", "[France, Qatar]"], "pairings"),
    (["--pairings", "[[France, null]]"], "pairings"),
    (["--pairings", "[[1, 2]]"], "pairings"),
    (["--previous", "one-match"], "one-match and worldcup-2022 have no team in common"),
    (["--previous", "worldcup-2022"], "previous must begin before worldcup-2022 (2022-11-20)"),
    (["--previous", "simulated"], "no file or season 'simulated'"),
    (["--previous", ""], "no file or season ''"),
    (["--previous", "latin.csv"], "latin.csv, line 2, is no text in UTF-8"),
    ([*SIMULATED, "--league.teams", "5"], "league.teams must be even, got 5"),
    ([*SIMULATED, "--league.teams", "1000", "--league.rounds", "9"], "more than 1,000,000 matches"),
    ([*SIMULATED, "--previous", "one-match"], "previous has no meaning"),
    ([*SIMULATED, "--previous", ""], "previous has no meaning"),
    ([*SIMULATED, "--home_advantage", "estimate"], "must be a number, got estimate"),
    ([*SIMULATED, "--draws", "model"], "has no draw to estimate a margin from"),
    ([*SIMULATED, "--pairings", "[[Team 01, Team 99]]"], "pairings names 'Team 99'"),
    (["--windw", "3"], "unknown option --windw. Did you mean '--window'?"),
    (["--extra_time", "maybe"], "extra_time must be bool, got maybe"),
    (["--matches"], "--matches needs a value"),
]


@pytest.mark.parametrize("name", WRONG)
def test_numbers_that_are_none_or_out_of_range(name, run_task):
    for value in WRONG[name]:
        assert f"{name}" in run_task.refused("trueskill", *SIMULATED, f"--{name}={value}")


@pytest.mark.parametrize("words", OF_METHODS, ids=" ".join)
def test_numbers_of_methods_that_are_none_or_out_of_range(words, run_task):
    for value in OF_METHODS[words]:
        assert "inference" in run_task.refused("trueskill", *words[:-1], f"{words[-1]}={value}")


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=range(len(OPTIONS)))
def test_options_that_cannot_be_or_contradict_each_other(options, message, run_task):
    Path("latin.csv").write_bytes("date,team1\n2020-01-01,Björn\n".encode("latin-1"))
    assert message in run_task.refused("trueskill", *options)


@pytest.mark.parametrize(
    "method",
    [
        Filter(),
        MessageFilter(),
        GibbsFilter(2, 8, 2),
        Smoothing(1e-3, 50),
        JointSmoothing(1e-3, 50),
        Gibbs(2, 8, 2),
        Gibbs(2, 8, 2, in_turn=True),
    ],
    ids=lambda method: type(method).__name__,
)
@pytest.mark.parametrize("far", [1e-6 * LARGEST_RATIO, LARGEST_RATIO])
def test_the_widest_options_that_are_allowed_end_in_finite_ratings(method, far):
    """Every corner of what `SkillModel` allows: sweeps may not converge, but nothing breaks."""
    near, sigma_t = far / LARGEST_RATIO**2, far / LARGEST_RATIO
    y = [1, 1, -1, 1, 1, 0]
    pairs = [(0, 1), (1, 2), (0, 2), (2, 1), (0, 1), (0, 2)]
    for corner in product((near, far), (0, near, far), (-far, far), (0, far), (0, far)):
        sigma, margin, home, drift, apart = corner
        if drift and isinstance(method, JointSmoothing | Gibbs):
            continue  # they say that they need constant skills
        model = SkillModel(0, max(sigma, 1e-6), sigma_t, margin, home, drift)
        matches = [RatedMatch(i, j, k) for (i, j), k in zip(pairs, y, strict=True) if k or margin]
        priors = [model.stated(mean, model.sigma, "A") for mean in (-apart, 0, apart)]
        noise, running = np.random.default_rng(0), RunningRatings(model, priors)
        predicted = list(one_step_ahead(running, matches, update_rule(method, noise)))
        scores = Forecast.of(predicted, matches, margin > 0).scores()
        assert np.isfinite(list(scores.values())).all(), corner
        with suppress(UserError):  # not converged after 50 sweeps
            posterior = infer(method, MatchHistory(model, priors, matches, running.ratings, noise))
            assert np.isfinite(posterior.ratings).all(), corner
