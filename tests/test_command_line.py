"""What every command does with what was typed: order, exchanged classes, YAML."""

from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT
from jsonargparse import ArgumentParser
from jsonargparse.typing import lazy_instance

from elbolab.command_line import in_order, parse
from elbolab.errors import UserError
from tasks.command import task_parser
from tasks.plugins import installed_tasks, load_task

SPACE = f"--config={ROOT}/configs/tasks/mdp_space_exploration.yaml"
GENETIC = f"--config={ROOT}/configs/tasks/qwop.yaml"


def options(name, *typed):
    return parse(task_parser(name, load_task(installed_tasks()[name])), typed)


def given(spec):
    """A class's short name and its options."""
    return spec.class_path.rpartition(".")[2], vars(spec.init_args)


def own(name, *typed):
    """The options with which a class begins when it is typed alone."""
    return given(options("qwop", "--optimiser", name, *typed).optimiser)[1]


@pytest.mark.parametrize(
    ("typed", "changed"),
    [
        (["--optimiser", "CMAES"], {}),
        (["--optimiser=CMAES", "--optimiser.sigma=0.2"], {"sigma": 0.2}),
        (["--optimiser.population", "80", "--optimiser", "CMAES"], {"population": 80}),
        (["--optimiser.init_args.population=80", "--optimiser=CMAES"], {"population": 80}),
        (["--optimiser", "CMAES", GENETIC], {}),
        ([GENETIC, "--optimiser", "CMAES", "--optimiser.population", "80"], {"population": 80}),
        ([GENETIC, "--config", "{optimiser: CMAES}"], {}),
        (
            [GENETIC, "--config={optimiser: {class_path: CMAES, init_args: {sigma: 0.1}}}"],
            {"sigma": 0.1},
        ),
        (["--optimiser", "RandomSearch", "--optimiser.population=9", "--optimiser=CMAES"], None),
    ],
)
def test_a_class_that_takes_anothers_place_begins_with_its_own_options(typed, changed):
    expected = {"population": 60, "sigma": 0.3, "restart_growth": 1.0}
    expected |= {"population": 9} if changed is None else changed
    assert given(options("qwop", *typed).optimiser) == ("CMAES", expected)


def test_options_of_a_class_that_stays_are_kept():
    parts = ["--config={optimiser: {init_args: {mutation: 0.5}}}", "--optimiser.population=5"]
    assert given(options("qwop", GENETIC, *parts).optimiser) == (
        "GeneticAlgorithm",
        {"population": 5, "mutation": 0.5, "crossover": 0.1, "replacement": 0.05},
    )
    assert own("GeneticAlgorithm") == given(options("qwop").optimiser)[1]


def test_classes_of_a_list_have_their_own_options():
    typed = ["--optimiser+=CMAES", "--optimiser.population=7", "--optimiser+=GeneticAlgorithm"]
    *_, one, two = options("qwop", *typed, "--optimiser.mutation=0.1").optimiser
    assert given(one) == ("CMAES", own("CMAES", "--optimiser.population=7"))
    assert given(two) == ("GeneticAlgorithm", own("GeneticAlgorithm", "--optimiser.mutation=0.1"))


@pytest.mark.parametrize("solver", ["ModifiedPolicyIteration", "ValueIteration", "Prioritised"])
def test_another_solver_than_the_configurations_has_its_own_options(solver):
    alone = options("mdp", "--solver", solver).solver
    assert options("mdp", SPACE, "--solver", solver).solver == alone
    assert options("mdp", "--solver", solver, SPACE).solver == alone


class Baseline:
    """Part of a learner."""


class Slow(Baseline):
    def __init__(self, rate: float = 0.1):
        self.rate = rate


class Fast(Baseline):
    def __init__(self, rate: float = 0.2, warm: bool = True):
        self.rate, self.warm = rate, warm


SLOW, FAST = lazy_instance(Slow), lazy_instance(Fast)


class Learner:
    def __init__(self, baseline: Baseline = FAST, updates: int = 3):
        self.baseline, self.updates = baseline, updates


class Other(Learner):
    def __init__(self, baseline: Baseline = SLOW, updates: int = 4):
        super().__init__(baseline, updates)


def learner(*typed):
    """The class and updates of a learner, the class and rate of its baseline."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_argument("--learner", type=Learner, default=lazy_instance(Learner))
    name, found = given(
        parse(parser, [word.replace("@", f"{__name__}.") for word in typed]).learner
    )
    baseline, own = given(found["baseline"])
    return name, found["updates"], baseline, own["rate"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], ("Learner", 3, "Fast", 0.2)),
        (["--learner=@Other"], ("Other", 4, "Slow", 0.1)),
        (["--learner.baseline=@Slow"], ("Learner", 3, "Slow", 0.1)),
        (["--learner.baseline.rate=5", "--learner.baseline=@Slow"], ("Learner", 3, "Slow", 5.0)),
        (["--learner=@Other", "--learner.baseline=@Fast"], ("Other", 4, "Fast", 0.2)),
        (["--learner.baseline=@Fast", "--learner=@Other"], ("Other", 4, "Fast", 0.2)),
        (["--learner.updates=9", "--learner=@Other"], ("Other", 9, "Slow", 0.1)),
        (
            ["--learner.baseline=@Slow", "--config={learner: {init_args: {updates: 7}}}"],
            ("Learner", 7, "Slow", 0.1),
        ),
        (
            ["--config={learner: {class_path: @Other, init_args: {updates: 7}}}"],
            ("Other", 7, "Slow", 0.1),
        ),
        (
            [
                "--config={learner: {class_path: @Other, init_args: {updates: 7}}}",
                "--config={learner: {class_path: @Learner}}",
            ],
            ("Learner", 3, "Fast", 0.2),
        ),
        (
            [
                "--config={learner: {init_args: {baseline: {class_path: @Fast, "
                "init_args: {rate: 8}}}}}",
                "--config={learner: {init_args: {baseline: {class_path: @Slow}}}}",
            ],
            ("Learner", 3, "Slow", 0.1),
        ),
    ],
)
def test_classes_within_classes_begin_with_their_own_options(typed, expected):
    assert learner(*typed) == expected


def test_words_keep_their_order_but_for_configurations_and_classes():
    typed = ["fit", "--a.b", "1", "-1", "--c+=X", "--c.d=2", "--c+=Y", "--config", "f", "--a=Z"]
    expected = ["fit", "--config", "f", "--a=Z", "--a.b", "1", "-1", "--c+=X", "--c.d=2", "--c+=Y"]
    assert in_order(typed) == expected


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{one}: &{one} [{','.join([f'*{zero}'] * 10)}]\n" for zero, one in pairwise("abcdefg")
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"budget: 1\nseed: 2\nbudget: 3\n",
            "{}, line 3: 'budget' is given twice, first in line 1",
        ),
        (b"optimiser:\n  init_args:\n    a: 1\n    a: 2\n", "{}, line 4: 'a' is given twice"),
        (b"{budget: 1, budget: 1}", "{}, line 1: 'budget' is given twice"),
        (BOMB.encode(), "{} stands for more than 100,000 values"),
        (b"optimiser: &a [1, *a]\n", "{}, line 1: an alias stands for something that contains it"),
        (b"budget: [1\nseed: 2\n", "{}, line 2, column 5: "),
        (b"budget: 1\n\tseed: 2\n", "{}, line 2, column 1: "),
        (b"a: *none\n", "{}, line 1, column 4: found undefined alias"),
        (b"budget: 1\n---\nseed: 2\n", "{}, line 2, column 1: "),
        (b"plan: !!python/name:os.system\n", "{}, line 1, column 7: could not determine a constr"),
        (b"plan: a\x00b\n", "{} is no YAML: "),
        (b"plan: caf\xe9\n", "{} is not UTF-8 text (byte 9)"),
        ("plan: a\n".encode("utf-16"), "{} is not UTF-8 text (byte 0)"),
        (b"budget: " + b"9" * 5000, "{} holds a value that cannot be read"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "{} is nested too deeply"),
    ],
)
def test_a_mistake_in_a_yaml_file_has_its_place(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_bytes(content)
    for typed in (["--config", "mine.yaml"], ["--config=mine.yaml"]):
        with pytest.raises(UserError) as caught:
            options("qwop", *typed)
        assert message.format("mine.yaml") in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


def test_a_key_twice_is_refused_in_what_is_typed_too():
    with pytest.raises(UserError, match="'sigma' is given twice"):
        options("qwop", "--optimiser={class_path: CMAES, init_args: {sigma: 1, sigma: 2}}")


def test_merge_keys_and_aliases_are_yaml_as_ever(tmp_path):
    Path(tmp_path, "mine.yaml").write_text("seeds: &n 3\nbudget: *n\n")
    assert options("qwop", "--config", f"{tmp_path}/mine.yaml").budget == 3
