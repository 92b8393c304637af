"""How fast a full pass is: this package, and scikit-learn's BayesianGaussianMixture.

    python benchmarks/cavi.py            needs: pip install -e '.[bench]'

Both fit K spherical Gaussians in the plane by coordinate ascent and start from random
responsibilities. Ours also has the counts, which the other knows nothing of; it in turn learns a
precision for each component. What is timed is passes alone: a long fit less one of a single pass.
The two take turns, several rounds in one process; a ratio is the median of the rounds'.
Memory is the peak of a fresh process during two passes, less what it held before (Linux only).
"""

import warnings
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture
from timing import (
    benchmark_parser,
    in_fresh_process,
    in_turns,
    median_ratio,
    peak_growth,
    spread,
    timed,
)

from tasks.cavi.events import Events
from tasks.cavi.model import EpicentreModel, FixedWeights
from tasks.cavi.options import Constants
from tasks.cavi.posterior import Gamma, Gaussian, VariationalPosterior
from tasks.cavi.statistics import gather
from tasks.cavi.updates import evidence_terms, update_globals

WORK = 2_000_000
"""Events times passes that are timed at least, and `FEWEST` passes."""

FEWEST = 5

MODEL = EpicentreModel(Constants(0.5, 0.01), np.zeros(2), FixedWeights())


def events(count: int) -> Events:
    """Eight clusters in the plane, seed 0."""
    generator = np.random.default_rng(0)
    centres, z = generator.normal(0, 10, (8, 2)), generator.integers(8, size=count)
    x = np.empty((count, 2), order="F")
    for d in range(2):
        x[:, d] = centres[z, d] + generator.standard_normal(count)
    return Events(x, generator.poisson(10 * (1 + z)).astype(float))


def first(components: int, restarts: int = 1) -> VariationalPosterior:
    """A random start."""
    generator, shape = np.random.default_rng(1), (restarts, components)
    return VariationalPosterior(
        Gaussian(generator.normal(0, 10, (*shape, 2)), np.ones(shape)),
        Gamma(generator.gamma(2, 20, shape), np.ones(shape)),
        MODEL.weights.posterior(np.zeros(shape)),
    )


def by_ours(data: Events, components: int, passes: int, restarts: int = 1) -> None:
    """Full passes with their ELBO."""
    q = first(components, restarts)
    for _ in range(passes):
        z = gather(MODEL, q, [data])
        q = update_globals(MODEL, z)
        evidence_terms(MODEL, q, z, 0.0)


def by_sklearn(data: Events, components: int, passes: int) -> None:
    """The same number of passes of scikit-learn's."""
    mixture = BayesianGaussianMixture(
        n_components=components,
        covariance_type="spherical",
        max_iter=passes,
        tol=0.0,
        init_params="random",
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(data.x)


FITS = {"elbolab": by_ours, "scikit-learn": by_sklearn}


def pass_time(name: str, data: Events, components: int) -> float:
    """Nanoseconds of a pass per event."""
    more = max(FEWEST, WORK // len(data))
    one, many = (timed(lambda n=n: FITS[name](data, components, n))[0] for n in (1, 1 + more))
    return 1e9 * (many - one) / more / len(data)


def compare_passes(count: int, components: int, rounds: int) -> None:
    """One line: medians with extremes, and the median of the rounds' ratios."""
    data = events(count)
    by_ours(data, components, 1)  # compiled by now
    ns = in_turns({name: partial(pass_time, name, data, components) for name in FITS}, rounds)
    ratio = median_ratio(ns["scikit-learn"], ns["elbolab"])
    cells = " ".join(f"{spread(x):>28}" for x in ns.values())
    print(f"{count:>12,} {components:>3} {cells} {ratio:>7.1f}")


def passes_memory(name: str, count: int) -> float:
    """MiB that two passes need beyond what was held before them."""
    FITS[name](events(1000), 4, 1)
    data = events(count)
    return peak_growth(lambda: FITS[name](data, 4, 2))


def compare_memory(counts: list[int]) -> None:
    """Peak memory of passes beyond the data, each in a process of its own."""
    print("\nMiB beyond the data, K = 4")
    for count in counts:
        cells = (f"{name} {in_fresh_process(passes_memory, name, count):8.1f}" for name in FITS)
        print(f"{count:>12,}  {'  '.join(cells)}")


def restarts(count: int) -> None:
    """What several restarts at once cost, per restart."""
    data = events(count)
    print(f"\nns per event, pass and restart, N = {count:,}, K = 4")
    for number in (1, 10):
        elapsed, _ = timed(lambda n=number: by_ours(data, 4, FEWEST, n))
        print(f"{number:>4} restarts: {1e9 * elapsed / FEWEST / number / count:.1f}")


def main() -> None:
    """Runs everything and prints the tables."""
    parser = benchmark_parser(__doc__, rounds=5)
    parser.add_argument("--events", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    parser.add_argument("--components", type=int, nargs="+", default=[4, 8])
    options = parser.parse_args()
    print("Full pass, ns per event: median (min – max)")
    print(f"{'N':>12} {'K':>3} {'elbolab':>28} {'scikit-learn':>28} {'ratio':>7}")
    for components in options.components:
        for count in options.events:
            compare_passes(count, components, options.rounds)
    restarts(10**5)
    compare_memory(options.events)


if __name__ == "__main__":
    main()
