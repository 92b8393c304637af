"""Match files, names of seasons, downloads and simulated leagues."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from elbolab.errors import UserError
from tasks.trueskill import sources
from tasks.trueskill.matches import Match, Rules, Season
from tasks.trueskill.model import SkillModel
from tasks.trueskill.options import League
from tasks.trueskill.readers import matches_of_csv, matches_of_json, read_matches
from tasks.trueskill.simulation import simulate_league
from tasks.trueskill.sources import find_matches, openfootball_url

HEADER = "date,team1,team2,goals1,goals2"


def openfootball(*scores, **more):
    """A file of one match per score, a day apart."""
    matches = [
        {"date": f"2020-01-{day:02d}", "team1": "A", "team2": "B", "score": score, **more}
        for day, score in enumerate(scores, 1)
    ]
    return json.dumps({"name": "test", "matches": matches})


def test_json_with_extra_time_and_shoot_outs():
    one, two, three = matches_of_json(
        openfootball(
            {"ht": [0, 0], "ft": [2, 1]},
            {"ft": [1, 1], "et": [2, 2], "p": [3, 4]},
            {},
            time="19:30",
        ),
        "test",
    )
    assert (one.goals, one.extra_time, one.penalties, one.time) == ((2, 1), None, None, "19:30")
    assert (two.goals, two.extra_time, two.penalties) == ((1, 1), (2, 2), (3, 4))
    assert three.goals is None


def test_csv_with_optional_columns_in_any_order():
    text = (
        "team1, date,team2,goals1,goals2,time,extra1,extra2,penalties1,penalties2\n"
        "A,2020-01-01,B,1,1,20:00,2,1,,\n"
        '"C, D",2020-01-02,B,,,,,,,\n'
    )
    one, two = matches_of_csv(text, "test")
    assert (one.goals, one.extra_time, one.penalties) == ((1, 1), (2, 1), None)
    assert (two.team1, two.goals) == ("C, D", None)


@pytest.mark.parametrize(
    ("extra_time", "shoot_outs", "expected"),
    [
        (False, False, [1, 0, 0, 0]),
        (True, False, [1, -1, 0, 0]),
        (False, True, [1, 0, -1, 0]),
        (True, True, [1, -1, -1, 0]),
    ],
)
def test_what_counts_as_a_result(extra_time, shoot_outs, expected):
    day = "2020-01-01"
    matches = [
        Match(day, "A", "B", (2, 1)),
        Match(day, "A", "B", (1, 1), extra_time=(1, 3)),
        Match(day, "A", "B", (0, 0), extra_time=(1, 1), penalties=(2, 4)),
        Match(day, "A", "B", (0, 0)),
    ]
    rules = Rules("drop", extra_time, shoot_outs)
    assert [rules.result(match) for match in matches] == expected


def test_seasons_are_ordered_by_date_and_time_and_say_what_they_left_out():
    matches = [
        Match("2020-01-02", "B", "A", (0, 1), "20:00"),
        Match("2020-01-02", "C", "A", (1, 0), "15:00"),
        Match("2020-01-01", "B", "C", (1, 1)),
        Match("2020-01-05", "B", "C", None),
    ]
    season = Season.of("test", matches, Rules())
    assert [match.time for match in season.matches] == ["15:00", "20:00"]
    assert season.teams == ("A", "B", "C")
    assert [tuple(game) for game in season.rated] == [(2, 0, 1), (1, 0, -1)]
    assert (season.drawn, season.played, season.draw_rate) == (1, 3, pytest.approx(1 / 3))
    assert season.appearances() == [2, 1, 1]
    notes = "\n".join(season.notes)
    assert "not in order of date and time; sorted" in notes
    assert "1 of 3 matches drawn; dropped" in notes
    assert "skipped for want of a score, 1, all in unplayed.csv: 2020-01-05 B – C" in notes
    modelled = Season.of("test", matches, Rules("model"))
    assert [match.y for match in modelled.rated] == [0, 1, -1]
    with pytest.raises(UserError, match="2020-01-01 B – C was drawn.*--draws drop or model"):
        Season.of("test", matches, Rules("refuse"))
    with pytest.raises(UserError, match="test has no match to rate: 2 in all, 1 without"):
        Season.of("test", matches[2:], Rules())


def test_times_of_a_day_are_put_in_order_whatever_their_digits():
    rows = ("2020-01-01,10:15,C,D,1,0", "2020-01-01,9:30 UTC+2,A,B,1,0", "2020-01-01,,E,F,1,0")
    matches = matches_of_csv("\n".join(["date,time,team1,team2,goals1,goals2", *rows]), "test")
    season = Season.of("test", matches, Rules())
    assert [match.team1 for match in season.matches] == ["E", "A", "C"]
    assert [match.time for match in season.matches] == ["", "09:30", "10:15"]


def test_matches_that_are_there_twice_are_noted_and_spaces_in_names_are_one():
    text = f"{HEADER}\n" + "2020-01-01,Real  Madrid,B,1,0\n" * 2
    season = Season.of("test", matches_of_csv(text, "test"), Rules())
    assert season.teams == ("B", "Real Madrid")
    assert season.notes == ["test: 1 matches are there twice; each counts."]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("serie-a-2018-20", "serie-a-2018-19"),
        ("seria-a-2018-19", "serie-a-2018-19"),
        ("worldcup-2021", "worldcup-202"),
        ("worldcup2022", "worldcup-2022"),
    ],
)
def test_unknown_seasons_get_a_suggestion(name, suggestion):
    with pytest.raises(UserError, match=f"no file or season '{name}'. Did you mean '{suggestion}"):
        find_matches(name)


def test_where_seasons_lie():
    assert openfootball_url("serie-a-2018-19").endswith("football.json/master/2018-19/it.1.json")
    assert openfootball_url("premier-league-2010-11").endswith("master/2010-11/en.1.json")
    assert openfootball_url("worldcup-2018").endswith("worldcup.json/master/2018/worldcup.json")


NEVER_KEPT = {
    "a page": b"<html>busy</html>",
    "a part": openfootball({"ft": [1, 0]}).encode()[:-9],
    "Latin-1": openfootball({"ft": [1, 0]}).replace("test", "Bj\xf6rn").encode("latin-1"),
    "other JSON": b"{}",
    "a wrong match": openfootball({"ft": [1, -1]}).encode(),
}


@pytest.mark.parametrize("content", NEVER_KEPT.values(), ids=NEVER_KEPT)
def test_what_is_no_season_is_never_kept(content, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "download", lambda *_: content)
    with pytest.raises(UserError, match=r"^https://.*/2018-19/it.1.json"):
        find_matches("serie-a-2018-19")
    assert not (tmp_path / "cache").exists()


def test_seasons_are_downloaded_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = []

    def download(url, largest):
        asked.append(url)
        return openfootball({"ft": [1, 0]}).encode()

    monkeypatch.setattr(sources, "download", download)
    first = find_matches("serie-a-2018-19")
    assert find_matches("serie-a-2018-19") == first
    assert asked == [openfootball_url("serie-a-2018-19")]
    cached = tmp_path / "cache/elbolab/openfootball/serie-a-2018-19.json"
    cached.write_text("{")
    with pytest.raises(UserError, match=r"Delete this download to have it fetched again\."):
        find_matches("serie-a-2018-19")


def test_downloads_that_fail_or_cannot_be_kept_say_what_to_do(tmp_path, monkeypatch):
    def fail(url, largest):
        raise UserError("the answer is 404 Not Found")

    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "download", fail)
    with pytest.raises(UserError, match=r"404 Not Found\. Give --matches the file itself, or save"):
        find_matches("serie-a-2018-19")
    monkeypatch.setattr(sources, "download", lambda *_: openfootball({"ft": [1, 0]}).encode())
    with pytest.raises(UserError, match=r"cannot keep serie-a-2018-19 .* Set XDG_CACHE_HOME to a"):
        find_matches("serie-a-2018-19")


def test_embedded_world_cup_is_complete_and_in_order():
    matches = find_matches("worldcup-2022")
    assert len(matches) == 64
    assert len({team for match in matches for team in (match.team1, match.team2)}) == 32
    assert matches == sorted(matches, key=lambda match: (match.date, match.time))
    final = matches[-1]
    assert (final.team1, final.team2, final.date) == ("Argentina", "France", "2022-12-18")
    assert (final.goals, final.extra_time, final.penalties) == ((2, 2), (3, 3), (4, 2))
    goals = sum(sum(match.extra_time or match.goals or ()) for match in matches)
    assert goals == 172  # the tournament's record, in 120 minutes


@pytest.mark.real_data
def test_embedded_world_cup_is_what_openfootball_publishes(data_root):
    published = read_matches(data_root / "football/worldcup.2022.json")
    assert sorted(published, key=str) == sorted(find_matches("worldcup-2022"), key=str)


def test_simulated_league_meets_as_often_as_it_should():
    """Seed 0; the home share of equal teams is a fair coin's, to four standard errors."""
    league = League(teams=6, rounds=4)
    matches, skills = simulate_league(league, SkillModel(), np.random.default_rng(0))
    assert set(skills) == {f"Team {n:02d}" for n in range(1, 7)}
    meetings = Counter((match.team1, match.team2) for match in matches)
    assert set(meetings.values()) == {2}
    assert len(meetings) == 6 * 5
    for day in {match.date for match in matches}:
        playing = [t for m in matches if m.date == day for t in (m.team1, m.team2)]
        assert sorted(playing) == sorted(skills)
    equal = SkillModel(sigma=1e-4, draw_margin=2.5)
    matches, _ = simulate_league(League(10, 40), equal, np.random.default_rng(0))
    count = len(matches)
    share = np.mean([match.goals == (0, 0) for match in matches])
    expected = 0.23582  # Φ(0.3) − Φ(−0.3), margin 2.5 over σ_t = 25/3
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count)


@pytest.mark.parametrize(
    "wrong", [{"teams": 3}, {"teams": 0}, {"rounds": 0}, {"draw_rate": 1.0}, {"draw_rate": -0.1}]
)
def test_impossible_leagues_are_named(wrong):
    with pytest.raises(UserError, match=f"league.{next(iter(wrong))} "):
        League(**wrong)


def test_package_data_lies_beside_the_code():
    folder = Path(sources.__file__).parent / "data"
    assert {path.stem for path in folder.glob("*.csv")} == set(sources.EMBEDDED)
