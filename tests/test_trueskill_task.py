"""The command from its options to its run directory."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, TaskRuns
from PIL import Image

from elbolab.errors import UserError
from tasks.trueskill.model import Rating, SkillModel
from tasks.trueskill.options import League
from tasks.trueskill.pictures import ranking_picture
from tasks.trueskill.simulation import simulate_league
from tasks.trueskill.task import TrueSkill

CONFIGS = sorted((ROOT / "configs/tasks").glob("trueskill*.yaml"))
rows = TaskRuns.rows
SMALL = ("--matches", "simulated", "--league.teams", "6")


@pytest.fixture(autouse=True)
def seasons(run_task):
    """Two seasons of openfootball's in the cache."""
    for season, seed in (("2017-18", 0), ("2018-19", 1)):
        matches, _ = simulate_league(League(teams=12), SkillModel(), np.random.default_rng(seed))
        entries = [
            {"date": m.date.replace("2000", season[:4]), "team1": m.team1, "team2": m.team2}
            | {"score": {"ft": m.goals}}
            for m in matches
        ]
        path = run_task.path / f"cache/elbolab/openfootball/serie-a-{season}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"matches": entries}))


@pytest.fixture
def run(run_task):
    """Runs this task."""
    return partial(run_task, "trueskill")


def test_default_is_the_embedded_world_cup(run):
    out, metrics = run(drawn=True)
    ratings, predictions = rows(out / "ratings.csv"), rows(out / "predictions.csv")
    assert list(ratings[0]) == ["rank", "team", "mean", "std", "matches"]
    assert list(predictions[0]) == ["date", "team1", "team2", "p_team1", "y", "correct"]
    assert {"Argentina", "France"} <= {row["team"] for row in ratings[:3]}
    assert [int(row["rank"]) for row in ratings] == list(range(1, 33))
    means = [float(row["mean"]) for row in ratings]
    assert means == sorted(means, reverse=True)
    assert (metrics["matches"], metrics["drawn"], metrics["teams"]) == (49, 15, 32)
    rate = np.mean([float(row["correct"]) for row in predictions])
    assert metrics["prediction_rate"] == pytest.approx(rate)
    pictures = {path.stem for path in (out / "images").glob("*.png")}
    assert pictures == {"ranking", "prediction_rate", "calibration"}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs_offline(run, config):
    out, metrics = run("--config", config, drawn=True)
    assert rows(out / "ratings.csv")
    assert metrics["matches"] >= 1
    pictures = set((out / "images").glob("*.png"))
    assert {path.stem for path in pictures} >= {"ranking", "prediction_rate", "calibration"}
    kinds = ("traces", "autocorrelation", "histograms", "log_likelihood")
    chains = {f"gibbs_{kind}" for kind in kinds if "one_match" in config.stem}
    assert {path.stem for path in pictures if path.stem.startswith("gibbs")} == chains
    for picture in pictures:
        with Image.open(picture) as image:
            assert min(image.size) > 300


def test_world_cup_with_shoot_outs_has_the_finalists_in_the_top_three(run):
    out, metrics = run("--config", ROOT / "configs/tasks/trueskill_worldcup.yaml")
    assert {"Argentina", "France"} <= {row["team"] for row in rows(out / "ratings.csv")[:3]}
    assert metrics["matches"] == 54
    assert [row["team1"] for row in rows(out / "pairings.csv")] == ["Argentina", "Morocco"]


def test_one_match_by_gibbs_finds_the_textbook_values(run):
    """Seed 0 of the config; three Monte-Carlo standard errors."""
    out, metrics = run("--config", ROOT / "configs/tasks/trueskill_one_match.yaml")
    by_team = {row["team"]: row for row in rows(out / "diagnostics.csv")}
    for team, exact in (("winner", 26.1826), ("loser", 23.8174)):
        assert abs(float(by_team[team]["mean"]) - exact) < 3 * float(by_team[team]["mcse"])
        assert float(by_team[team]["std"]) == pytest.approx(7.1992, rel=0.03)
        assert float(by_team[team]["smoothed_mean"]) == pytest.approx(exact, abs=1e-4)
    assert metrics["gibbs/max_r_hat"] < 1.01
    assert metrics["gibbs/min_ess"] > 2000


@pytest.mark.parametrize(
    "method", ["Filter", "MessageFilter", "GibbsFilter", "Smoothing", "JointSmoothing", "Gibbs"]
)
def test_every_method_rates_alike_with_draws(run, method):
    """Methods differ by their approximation and, the sampling ones, by noise: two points."""
    few = ("--inference.samples", "400") if method == "Gibbs" else ()
    options = (*SMALL, "--league.draw_rate", "0.2", "--draws", "model")
    out, metrics = run(*options, "--inference", method, *few)
    means = {row["team"]: float(row["mean"]) for row in rows(out / "skills.csv")}
    exact, _ = run(*options, "--inference", "JointSmoothing")
    for row in rows(exact / "skills.csv"):
        assert means[row["team"]] == pytest.approx(float(row["mean"]), abs=2.0)
    assert 0 <= metrics["coverage_95"] <= 1
    predictions = rows(out / "predictions.csv")
    assert list(predictions[0])[3:5] == ["p_team1", "p_draw"]
    assert {row["y"] for row in predictions} == {"1", "0", "-1"}


def test_gibbs_filter_predicts_like_the_exact_filter(run):
    one, two = (
        rows(run(*SMALL, "--inference", method)[0] / "predictions.csv")
        for method in ("Filter", "GibbsFilter")
    )
    for exact, sampled in zip(one, two, strict=True):
        assert float(sampled["p_team1"]) == pytest.approx(float(exact["p_team1"]), abs=0.05)


def test_carry_over_begins_where_the_season_before_ended(run):
    out, metrics = run("--matches", "serie-a-2018-19", "--previous", "serie-a-2017-18")
    assert metrics["carried_teams"] == 12
    assert "default_prior/prediction_rate_first_50" in metrics
    before, _ = run("--matches", "serie-a-2017-18")
    means = {row["team"]: float(row["mean"]) for row in rows(before / "ratings.csv")}
    for row in rows(out / "predictions.csv")[:6]:
        favourite = means[row["team1"]] > means[row["team2"]]
        assert (float(row["p_team1"]) > 0.5) == favourite


def test_priors_count_where_the_season_before_says_nothing(run):
    header = "date,team1,team2,goals1,goals2\n"
    Path("old.csv").write_text(f"{header}2019-01-01,A,B,1,0\n")
    Path("new.csv").write_text(f"{header}2020-01-01,A,C,1,0\n2020-01-02,A,D,0,1\n")
    options = ("--previous", "old.csv", "--priors", "{C: [90, 1], B: [20, 8]}")
    out, metrics = run("--matches", "new.csv", *options)
    first, second = (float(row["p_team1"]) for row in rows(out / "predictions.csv"))
    assert first < 0.01
    assert second > 0.5
    assert metrics["carried_teams"] == 1


def test_pairings_of_joint_smoothing_know_how_skills_hang_together(run):
    """Against p(win) averaged over Gibbs samples of the whole history; 2 in 100."""
    pairs = ("--pairings", "[[Argentina, France], [Qatar, Brazil]]")
    few = ("--inference.samples", "2000")
    smooth, sampled = (
        rows(run(*pairs, "--inference", *method)[0] / "pairings.csv")
        for method in (("JointSmoothing",), ("Gibbs", *few))
    )
    for one, two in zip(smooth, sampled, strict=True):
        assert float(one["p_team1"]) == pytest.approx(float(two["p_team1"]), abs=0.02)
        assert float(one["p_team1"]) + float(one["p_team2"]) == pytest.approx(1)


def test_home_advantage_is_estimated_from_the_season_before(run):
    _, given = run("--matches", "serie-a-2018-19", "--home_advantage", "3")
    assert given["home_advantage"] == 3
    season = ("--matches", "serie-a-2018-19", "--home_advantage", "estimate")
    _, own = run(*season)
    _, before = run(*season, "--previous", "serie-a-2017-18")
    _, source = run("--matches", "serie-a-2017-18", "--home_advantage", "estimate")
    assert before["home_advantage"] == source["home_advantage"] != own["home_advantage"]


def test_unplayed_matches_are_listed(run, capsys):
    header = "date,team1,team2,goals1,goals2\n"
    Path("m.csv").write_text(f"{header}2020-01-02,A,B,1,0\n2020-01-09,B,A,,\n2020-01-01,B,A,1,0\n")
    out, metrics = run("--matches", "m.csv")
    assert rows(out / "unplayed.csv") == [{"date": "2020-01-09", "team1": "B", "team2": "A"}]
    assert metrics["unplayed"] == 1
    assert "prediction_rate_first_50" not in metrics
    said = capsys.readouterr().err
    assert "note: m: matches were not in order of date and time; sorted." in said
    assert "2020-01-09 B – A" in said


def test_coverage_is_counted_over_all_leagues(run):
    """100 leagues of 6 teams, seed 0; smoothing by messages alone is too sure of itself."""
    many = (*SMALL, "--league.repeats", "100", "--inference")
    _, joint = run(*many, "JointSmoothing", "--inference.tolerance", "0.001")
    _, alone = run(*many, "Smoothing", "--inference.tolerance", "0.001")
    assert 0.93 <= joint["coverage_95"] <= 0.97
    assert alone["coverage_95"] < joint["coverage_95"] - 0.02


def test_order_study_writes_the_spread_of_each_rank(run):
    out, metrics = run(*SMALL, "--shuffles", "20", drawn=True)
    table = rows(out / "order.csv")
    assert [int(row["rank_as_played"]) for row in table] == [1, 2, 3, 4, 5, 6]
    spread = [int(row["rank_worst"]) - int(row["rank_best"]) for row in table]
    assert metrics["order/rank_spread"] == pytest.approx(np.mean(spread))
    assert (out / "images/order.png").exists()


def test_same_seed_same_result(run):
    options = (*SMALL, "--inference", "Gibbs", "--inference.samples", "50")
    assert run(*options)[1] == run(*options)[1] != run(*options, "--seed", "1")[1]


def test_names_with_dollar_signs_are_no_formulas(run):
    rows = ["2020-01-01,$\\frac$,A$B$,1,0", "2020-01-02,A$B$,$\\frac$,0,1"]
    Path("$a$.csv").write_text("\n".join(["date,team1,team2,goals1,goals2", *rows]))
    options = ("--inference", "Gibbs", "--inference.samples", "20")
    out, _ = run("--matches", "$a$.csv", *options, drawn=True)
    assert (out / "images/gibbs_autocorrelation.png").exists()


def test_rankings_of_thousands_show_the_best():
    teams, ratings = [f"T{k}" for k in range(5000)], [Rating(25, 1)] * 5000
    figure = ranking_picture(teams, ratings, "many")
    assert len(figure.axes[0].get_yticklabels()) == 200
    assert figure.get_size_inches()[1] * figure.dpi < 2**16


def test_used_as_a_library_a_wrong_value_is_a_value_error():
    with pytest.raises(UserError, match="sigma must be above 0"):
        TrueSkill(sigma=-1)


def test_help_waits_for_nothing_heavy():
    program = (
        "import sys, cli\n"
        "try: cli.main(['task', 'trueskill', '--help'])\n"
        "except SystemExit: assert not {'scipy', 'matplotlib', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


@pytest.mark.real_data
def test_serie_a_and_its_carry_over(run, data_root):
    this, before = (data_root / f"football/it.1.{season}.json" for season in ("2018-19", "2017-18"))
    out, metrics = run("--matches", this)
    ratings = rows(out / "ratings.csv")
    assert metrics["matches"] == 272
    assert metrics["drawn"] == 108
    assert (ratings[0]["team"], ratings[-1]["team"]) == ("Juventus", "Chievo Verona")
    assert metrics["prediction_rate_first_50"] == pytest.approx(0.5, abs=0.05)
    _, carried = run("--matches", this, "--previous", before)
    assert carried["carried_teams"] == 17
    assert carried["prediction_rate_first_50"] >= 0.74
    assert carried["log_loss"] < metrics["log_loss"]
    again = "default_prior/prediction_rate_first_50"
    assert carried[again] == metrics["prediction_rate_first_50"]
