"""How fast plans are simulated, this package and qwop-fast, and how soon searches get far.

    python benchmarks/qwop.py                 needs: pip install -e '.[bench]'

Both simulate the same plans and must agree on the distances. They take turns, several rounds in one
process, with one processor and one thread, then with two of each; a ratio is the median of its
rounds, each of neighbours in time. Random plans fall early; plans near a good one run to the end.
The second table times every optimiser until a plan gets as far as the base experiment's.
"""

import argparse
import os
import subprocess
import sys
import time
from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray
from timing import benchmark_parser, in_turns, median_ratio, spread, timed

TARGET = 5.73
"""What the base experiment's genetic algorithm reached."""


def contestants(count: int) -> dict[str, NDArray[np.float64]]:
    """Plans ``(count, 40)`` of two kinds."""
    from tasks.qwop.files import best_plan

    noise = np.random.default_rng(0)
    near = best_plan() + noise.normal(scale=0.02, size=(count, 40))
    return {"random": noise.uniform(-1, 1, (count, 40)), "near the best": np.clip(near, -1, 1)}


def compare_simulators(threads: int, rounds: int, count: int) -> None:
    """Times both on as many processors as threads."""
    import qwop_fast

    from tasks.qwop.simulator import simulate_batch

    calls = {"elbolab": lambda p: simulate_batch(p, threads), "qwop-fast": qwop_fast.sim_batch}
    for kind, plans in contestants(count).items():
        ours, theirs = (np.array(call(plans)) for call in calls.values())
        agree = np.mean(np.abs(ours - theirs) < 1e-6)
        runs = {name: partial(call, plans) for name, call in calls.items()}
        speeds = in_turns({n: lambda r=r: count / timed(r)[0] for n, r in runs.items()}, rounds)
        factor, shown = median_ratio(*speeds.values()), [spread(s, ",.0f") for s in speeds.values()]
        print(f"| {threads} | {kind} | {' | '.join(shown)} | {factor:.2f} | {agree:.2%} |")


def time_to_target(seeds: int, budget: int) -> None:
    """Times each optimiser, one search after the other, until a plan reaches `TARGET`."""
    from tasks.qwop.options import CMAES, CoordinateSearch, GeneticAlgorithm, RandomSearch
    from tasks.qwop.searches import begin_search
    from tasks.qwop.simulator import simulate_batch

    print(
        f"\n| optimiser | reached {TARGET} within {budget:,} | plans, median | s, median (range) |"
    )
    print("|---|---|---|---|")
    for optimiser in (GeneticAlgorithm(), CoordinateSearch(restart=True), CMAES(), RandomSearch()):
        needed: list[tuple[float, int]] = []
        for seed in range(seeds):
            started = time.perf_counter()
            search, best, spent = begin_search(optimiser, np.random.default_rng(seed)), -np.inf, 0
            plans = next(search)
            while best < TARGET and spent < budget:
                distances = simulate_batch(plans)
                best, spent = max(best, distances.max()), spent + len(plans)
                plans = search.send(distances)
            if best >= TARGET:
                needed.append((time.perf_counter() - started, spent))
        print(f"| {type(optimiser).__name__} | {len(needed)} of {seeds} | {_summary(needed)} |")


def _summary(needed: list[tuple[float, int]]) -> str:
    if not needed:
        return "– | –"
    seconds = [entry[0] for entry in needed]
    plans = median(entry[1] for entry in needed)
    return f"{plans:,.0f} | {spread(seconds, '.3f')}"


def pinned(threads: int, options: argparse.Namespace) -> None:
    """Compares in a fresh process: the number of threads is fixed when a library starts."""
    command = [sys.executable, __file__, "--child", str(threads)]
    command += ["--rounds", str(options.rounds), "--plans", str(options.plans)]
    environment = {"RAYON_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    subprocess.run(command, check=True, env=os.environ | environment)


def main() -> None:
    """Runs everything and prints the tables."""
    parser = benchmark_parser(__doc__, rounds=9)
    parser.add_argument("--plans", type=int, default=20_000, help="in each call")
    parser.add_argument("--seeds", type=int, default=20, help="of each optimiser")
    parser.add_argument("--budget", type=int, default=36_000, help="plans of each search")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.child])
        compare_simulators(options.child, options.rounds, options.plans)
        return
    print("| threads | plans | elbolab, plans/s | qwop-fast, plans/s | factor | agree to 1e-6 |")
    print("|---|---|---|---|---|---|", flush=True)
    for threads in (1, 2):
        pinned(threads, options)
    time_to_target(options.seeds, options.budget)


if __name__ == "__main__":
    main()
