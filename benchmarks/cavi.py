"""How fast a full pass is: this package, and scikit-learn's BayesianGaussianMixture.

    python benchmarks/cavi.py            needs: pip install -e '.[bench]'

Both fit K spherical Gaussians in the plane by coordinate ascent and start from random
responsibilities. Ours also has the counts, which the other knows nothing of; it in turn learns a
precision for each component. What is timed is passes alone: a long fit less one of a single pass.
The two take turns, several rounds in one process; a ratio is the median of the rounds'.
Memory is the peak of a fresh process during two passes, less what it held before (Linux only).
"""

# The folder of this script is the first place where Python looks, and it holds a trueskill.py.
import sys
from pathlib import Path

sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).parent]
sys.path.insert(0, str(Path(__file__).parent.parent))

import argparse  # noqa: E402
import multiprocessing  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402

import numpy as np  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.mixture import BayesianGaussianMixture  # noqa: E402

from tasks.cavi.events import Events  # noqa: E402
from tasks.cavi.model import EpicentreModel, FixedWeights  # noqa: E402
from tasks.cavi.options import Constants  # noqa: E402
from tasks.cavi.posterior import Gamma, Gaussian, VariationalPosterior  # noqa: E402
from tasks.cavi.statistics import gather  # noqa: E402
from tasks.cavi.updates import evidence_terms, update_globals  # noqa: E402

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


def ours(data: Events, components: int, passes: int, restarts: int = 1) -> None:
    """Full passes with their ELBO."""
    q = first(components, restarts)
    for _ in range(passes):
        z = gather(MODEL, q, [data])
        q = update_globals(MODEL, z)
        evidence_terms(MODEL, q, z, 0.0)


def theirs(data: Events, components: int, passes: int) -> None:
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


FITS = {"elbolab": ours, "scikit-learn": theirs}


def pass_time(name: str, data: Events, components: int) -> float:
    """Nanoseconds of a pass per event."""
    elapsed, more = [], max(FEWEST, WORK // len(data))
    for passes in (1, 1 + more):
        start = time.perf_counter()
        FITS[name](data, components, passes)
        elapsed.append(time.perf_counter() - start)
    return 1e9 * (elapsed[1] - elapsed[0]) / more / len(data)


def compare(count: int, components: int, rounds: int) -> None:
    """One line: medians with extremes, and the median of the rounds' ratios."""
    data = events(count)
    ours(data, components, 1)  # compiled by now
    found = [[pass_time(name, data, components) for name in FITS] for _ in range(rounds)]
    mine, other = zip(*found, strict=True)
    ratio = statistics.median(b / a for a, b in found)
    cells = (f"{statistics.median(x):8.1f} ({min(x):.1f} – {max(x):.1f})" for x in (mine, other))
    print(f"{count:>12,} {components:>3} {' '.join(f'{cell:>28}' for cell in cells)} {ratio:>7.1f}")


def resident(field: str) -> float:
    """MiB that the kernel says this process holds (VmRSS), or held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def peak(name: str, count: int, queue: "multiprocessing.Queue[float]") -> None:
    """Puts the MiB that passes need beyond what was held before them."""
    FITS[name](events(1000), 4, 1)
    data = events(count)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back
    FITS[name](data, 4, 2)
    queue.put(resident("VmHWM") - before)


def memory(counts: list[int]) -> None:
    """Peak memory of passes beyond the data, each in a process of its own."""
    fresh = multiprocessing.get_context("spawn")
    print("\nMiB beyond the data, K = 4")
    for count in counts:
        cells = []
        for name in FITS:
            queue = fresh.Queue()
            process = fresh.Process(target=peak, args=(name, count, queue))
            process.start()
            cells.append(f"{name} {queue.get():8.1f}")
            process.join()
        print(f"{count:>12,}  {'  '.join(cells)}")


def restarts(count: int) -> None:
    """What several restarts at once cost, per restart."""
    data = events(count)
    print(f"\nns per event, pass and restart, N = {count:,}, K = 4")
    for number in (1, 10):
        start = time.perf_counter()
        ours(data, 4, FEWEST, number)
        elapsed = time.perf_counter() - start
        print(f"{number:>4} restarts: {1e9 * elapsed / FEWEST / number / count:.1f}")


def main() -> None:
    """Runs everything and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    parser.add_argument("--components", type=int, nargs="+", default=[4, 8])
    options = parser.parse_args()
    print("Full pass, ns per event: median (min – max)")
    print(f"{'N':>12} {'K':>3} {'elbolab':>28} {'scikit-learn':>28} {'ratio':>7}")
    for components in options.components:
        for count in options.events:
            compare(count, components, options.rounds)
    restarts(10**5)
    memory(options.events)


if __name__ == "__main__":
    main()
