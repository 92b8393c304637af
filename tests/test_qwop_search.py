"""Searches, their bookkeeping, and where plans are evaluated."""

import math
import operator

import numpy as np
import pytest

from elbolab.errors import UserError
from tasks.qwop.executors import ThisProcess, evaluate_plans, open_executor
from tasks.qwop.files import load_told, save_told
from tasks.qwop.options import CMAES, CoordinateSearch, GeneticAlgorithm, Optimiser, RandomSearch
from tasks.qwop.searches import begin_search, cross_over, mutate, replace_by
from tasks.qwop.simulator import simulate_batch
from tasks.qwop.study import SearchRun, rounds

OPTIMISERS = [
    GeneticAlgorithm(),
    CoordinateSearch(),
    CoordinateSearch(restart=True),
    RandomSearch(),
    CMAES(population=20),
]


def named(optimiser):
    return f"{type(optimiser).__name__}-{'-'.join(map(str, vars(optimiser).values()))}"


def begin(optimiser, seed=0, budget=500, patience=math.inf):
    search, asks = (
        begin_search(optimiser, np.random.default_rng(seed)),
        optimiser.asks_per_iteration,
    )
    return SearchRun(type(optimiser).__name__, seed, {}, search, budget, patience, asks)


def work(runs, evaluation=simulate_batch):
    for _ in rounds(runs, evaluation):
        pass
    return runs


def bowl(plans):
    """A distance whose best plan is known: −|plan − 0.3|²."""
    return -((plans - 0.3) ** 2).sum(1)


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=named)
def test_same_seed_same_search_and_plans_within_the_bounds(optimiser):
    for seed in (0, 1):
        searches = [begin_search(optimiser, np.random.default_rng(seed)) for _ in range(2)]
        one, two = (next(search) for search in searches)
        for _ in range(10):
            np.testing.assert_array_equal(one, two)
            assert np.abs(one).max() <= 1
            assert one.shape[1] == 40
            one, two = (search.send(simulate_batch(one)) for search in searches)


def test_cma_leaves_the_global_generator_alone():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    work([begin(CMAES(), budget=300)])
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_cma_finds_the_bottom_of_a_bowl():
    """From a distance of −14, which is what a uniform plan has on average."""
    (run,) = work([begin(CMAES(population=20), budget=6000)], bowl)
    assert run.best > -0.05


def test_cma_begins_again_with_a_larger_population_when_nothing_changes():
    search = begin_search(CMAES(population=10, restart_growth=2), np.random.default_rng(0))
    sizes = [len(next(search))]
    while len(set(sizes)) < 3:
        sizes.append(len(search.send(np.zeros(sizes[-1]))))
        assert len(sizes) < 500
    assert sorted(set(sizes)) == [10, 20, 40]


def test_mutation_hits_each_gene_at_its_rate_with_a_uniform_value():
    """500,000 genes, seed 0, four standard errors."""
    plans = np.full((12_500, 40), 2.0)
    mutated = mutate(plans, 0.03, np.random.default_rng(0))
    hit = mutated != 2.0
    assert abs(hit.mean() - 0.03) < 4 * math.sqrt(0.03 * 0.97 / hit.size)
    assert abs(mutated[hit].mean()) < 4 / math.sqrt(3 * hit.sum())
    assert np.abs(mutated[hit]).max() <= 1


def test_crossing_over_swaps_first_genes_and_loses_none():
    """Rate: 20,000 plans, seed 0, four standard errors; a plan crosses itself or with another."""
    plans = np.repeat(np.arange(20_000.0)[:, None], 40, axis=1)
    crossed = cross_over(plans, 0.1, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(crossed, axis=0), plans)
    touched = (crossed != plans).any(1).mean()
    once = 1 - 0.9 * math.exp(-0.1)
    assert abs(touched - once) < 4 * math.sqrt(once * (1 - once) / 10_000) + 0.001
    cuts = (crossed != plans).sum(1)
    assert set(cuts) == set(range(41))


def test_one_plan_alone_crosses_with_nobody():
    plan = np.zeros((1, 40))
    np.testing.assert_array_equal(cross_over(plan, 1.0, np.random.default_rng(0)), plan)


def test_replacement_copies_the_best_plan_at_its_rate():
    replaced = replace_by(np.zeros((40_000, 40)), np.ones(40), 0.05, np.random.default_rng(0))
    assert set(replaced.sum(1)) == {0.0, 40.0}
    assert abs(replaced[:, 0].mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 40_000)


def test_coordinate_search_moves_one_gene_a_step_at_a_time_and_gets_stuck_at_the_best():
    """On the bowl every gene ends within half a step of 0.3, as a grid of that step allows."""
    search = begin_search(CoordinateSearch(step=0.125), np.random.default_rng(0))
    plans, known, asked = next(search), None, 0
    while plans is not None:
        if known is not None:
            assert len(plans) == 2
            assert (plans != known).sum(1).max() <= 1
        distances = bowl(plans)
        if known is None or distances.max() > bowl(known[None])[0]:
            known = plans[distances.argmax()]
        asked += 1
        try:
            plans = search.send(distances)
        except StopIteration:
            plans = None
    assert np.abs(known - 0.3).max() <= 0.125 / 2 + 1e-12
    assert asked % 40 == 0
    assert asked < 20 * 40


def test_coordinate_search_with_restart_spends_its_budget():
    stuck, again = work(
        [begin(CoordinateSearch(), budget=2000), begin(CoordinateSearch(restart=True), budget=2000)]
    )
    assert stuck.evaluations < again.evaluations == 2000
    assert again.best >= stuck.best


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=named)
def test_a_budget_is_kept_to_the_evaluation_and_the_history_says_so(optimiser):
    counted = []

    def evaluation(plans):
        counted.append(simulate_batch(plans))
        return counted[-1]

    (run,) = work([begin(optimiser, budget=477)], evaluation)
    found = np.concatenate(counted)
    assert run.evaluations == len(found) <= 477
    assert len(found) == 477 or len(run.ask()) == 0
    ends = [0, *(entry.evaluations for entry in run.history)]
    assert ends[-1] == len(found)
    for start, end, entry in zip(ends, ends[1:], run.history, strict=False):
        assert entry.best == found[:end].max()
        assert entry.mean == pytest.approx(found[start:end].mean())
        assert entry.spread == pytest.approx(found[start:end].std())
    assert run.best == simulate_batch(run.plan[None])[0]


def test_patience_ends_a_search_that_gains_nothing():
    (run,) = work([begin(RandomSearch(population=10), budget=5000, patience=200)])
    gains = [entry.evaluations for entry in run.history if entry.best == run.best]
    assert run.evaluations - gains[0] == 200


def test_searches_side_by_side_are_those_alone():
    together = work([begin(optimiser, seed) for seed in range(2) for optimiser in OPTIMISERS])
    alone = [work([begin(optimiser, seed)])[0] for seed in range(2) for optimiser in OPTIMISERS]
    for one, two in zip(together, alone, strict=True):
        assert one.history == two.history


@pytest.mark.parametrize("stop", [1, 7])
@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=named)
def test_an_interrupted_search_that_is_resumed_is_the_uninterrupted_one(optimiser, stop, tmp_path):
    (whole,) = work([begin(optimiser)])
    half = begin(optimiser)
    for round_number, _ in enumerate(rounds([half], simulate_batch)):
        if round_number == stop:
            break
    save_told(tmp_path / "search.npz", [half])
    resumed = begin(optimiser)
    resumed.replay(load_told(tmp_path / "search.npz", [resumed])[0])
    assert resumed.evaluations == half.evaluations > 0
    work([resumed])
    assert resumed.history == whole.history
    np.testing.assert_array_equal(resumed.plan, whole.plan)


def test_a_finished_search_goes_on_with_a_larger_budget():
    short, long = work([begin(CMAES(), budget=200), begin(CMAES(), budget=500)])
    more = begin(CMAES(), budget=500)
    more.replay(np.concatenate(short.told))
    work([more])
    assert more.history == long.history


class Midpoint(Optimiser):
    """Any optimiser plugs in: this one asks for one plan again and again."""

    def search(self, noise):
        while True:
            yield np.zeros((1, 40))


def test_any_optimiser_plugs_in():
    (run,) = work([begin(Midpoint(), budget=3)])
    assert [entry.evaluations for entry in run.history] == [1, 2, 3]


def test_an_optimiser_without_a_search_says_so():
    with pytest.raises(UserError, match="optimiser Optimiser has no method search"):
        begin(Optimiser())


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_change_nothing(chunk):
    plans = np.random.default_rng(0).uniform(-1, 1, (50, 40))
    with open_executor("local", None) as executor:
        np.testing.assert_array_equal(evaluate_plans(plans, executor, chunk), simulate_batch(plans))


def test_this_process_hands_on_results_and_errors():
    executor = ThisProcess()
    assert list(executor.map(operator.add, [1, 2], [3, 4])) == [4, 6]
    with pytest.raises(ZeroDivisionError):
        executor.submit(operator.truediv, 1, 0).result()


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("optimiser", "options", "message"),
    [
        (GeneticAlgorithm, {"population": 0}, "population must be at least 1, got 0"),
        (GeneticAlgorithm, {"mutation": 1.5}, r"mutation must be in \[0, 1\], got 1.5"),
        (GeneticAlgorithm, {"crossover": -0.1}, r"crossover must be in \[0, 1\], got -0.1"),
        (GeneticAlgorithm, {"replacement": NAN}, r"replacement must be in \[0, 1\], got nan"),
        (GeneticAlgorithm, {"mutation": INF}, "mutation must be finite"),
        (CoordinateSearch, {"step": 0}, r"step must be in \(0, 2\], got 0"),
        (CoordinateSearch, {"step": NAN}, r"step must be in \(0, 2\], got nan"),
        (CoordinateSearch, {"step": 2.1}, r"step must be in \(0, 2\], got 2.1"),
        (RandomSearch, {"population": 0}, "population must be at least 1"),
        (CMAES, {"population": 1}, "population must be at least 2"),
        (CMAES, {"sigma": 0}, "sigma must be above 0"),
        (CMAES, {"sigma": INF}, "sigma must be finite and above 0"),
        (CMAES, {"sigma": NAN}, "sigma must be above 0, got nan"),
        (CMAES, {"restart_growth": 0.5}, r"restart_growth must be in \[1, 10\), got 0.5"),
        (CMAES, {"restart_growth": NAN}, r"restart_growth must be in \[1, 10\), got nan"),
    ],
)
def test_impossible_settings_are_refused(optimiser, options, message):
    with pytest.raises(UserError, match=message):
        optimiser(**options)
