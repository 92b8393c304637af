"""Every combination of the task's switches is fitted, drawn and recorded."""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from elbolab.run_directory import RunDirectory
from tasks.base import TaskContext
from tasks.cavi.methods import FullPass, Stochastic, Streaming
from tasks.cavi.options import Simulation
from tasks.cavi.task import CAVI

ALGORITHMS = [FullPass(20), Streaming(7, 20), Stochastic(2, 8)]


@pytest.mark.parametrize("density", ["normal", "log-normal"])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_every_combination_of_simulated_events(density, algorithm, dimensions, tmp_path):
    """108 of density, algorithm, dimensions, weights and K; the trace changes with K."""
    context = TaskContext(0, RunDirectory(tmp_path))
    for k, weights in product((1, 3), ("uniform", "learn", "list")):
        result = CAVI(
            density=density,
            components=k,
            weights=[1 / k] * k if weights == "list" else weights,
            trace="updates" if k == 3 else "passes",
            restarts=2,
            algorithm=algorithm,
            simulation=Simulation(30, k, dimensions),
        ).run(context)
        assert np.isfinite(list(result.metrics.values())).all()
        assert result.metrics["components"] == k
        assert sum(result.tables["epicentres"]["events"]) == pytest.approx(30)
        assert len(result.figures) == 6
    context.close()


@pytest.mark.parametrize("density", ["normal", "log-normal"])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_every_combination_of_a_file(density, dimensions, run_task):
    """And K is chosen, and events are assigned."""
    columns = ["strength", "p1", "depth"][:dimensions]
    generator = np.random.default_rng(0)
    lines = [f"{a},{b},{c},{s}" for *x, s in generator.integers(1, 20, (30, 4)) for a, b, c in [x]]
    Path("events.csv").write_text("\n".join(["strength,p1,depth,count", *lines]) + "\n")
    file = ("--data", "events.csv", "--position", f"[{', '.join(columns)}]", "--strength", "count")
    for algorithm in ("FullPass", "Streaming", "Stochastic"):
        out, metrics = run_task(
            *("cavi", *file, "--density", density, "--components", "[1, 2]", "--restarts", "2"),
            *("--assign", "events.csv", "--algorithm", algorithm),
        )
        assert None not in metrics.values()
        assert len(run_task.rows(out / "assignments.csv")) == 30
        table = run_task.rows(out / "epicentres.csv")[0]
        assert len(table) == 6 + dimensions
        mean = np.mean([int(line.split(",")[0]) for line in lines])
        named = "log strength" if density == "log-normal" else "position strength"
        assert float(table[named]) == pytest.approx(mean, abs=20)


@pytest.mark.parametrize(
    "options",
    [
        ("--density", "log-normal"),
        ("--density", "log-normal", "--simulation.dimensions", "3"),
        ("--simulation.dimensions", "1"),
        ("--components", "1", "--simulation.components", "1"),
        ("--simulation.events", "1", "--components", "1"),
        ("--beta", "1e-14", "--components", "2"),
        ("--tau", "1e40", "--rho", "1e-40"),
    ],
)
def test_pictures_of_unusual_runs_are_drawn(options, run_task):
    out, metrics = run_task("cavi", "--restarts", "2", *options, drawn=True)
    assert None not in metrics.values()
    assert {path.stem for path in (out / "images").glob("*.png")} == {
        *("elbo", "events", "graphical_model", "predictive", "recovery", "restarts")
    }


def test_names_of_columns_are_drawn_as_they_are(run_task):
    Path("odd.csv").write_text("a$b$^,$\\frac,n\n" + "".join(f"{i},{-i},{i}\n" for i in range(9)))
    odd = ("--data", "odd.csv", "--position", '["a$b$^", "$\\\\frac"]', "--strength", "n")
    out, _ = run_task("cavi", *odd, "--components", "2", "--restarts", "2", drawn=True)
    assert "a$b$^" in run_task.rows(out / "epicentres.csv")[0]


def test_distances_typed_plainly_have_one_dimension(run_task):
    out, _ = run_task("cavi", "--density", "log-normal")
    assert "log distance" in run_task.rows(out / "epicentres.csv")[0]
    out, _ = run_task("cavi", "--density", "log-normal", "--simulation.dimensions", "2")
    assert {"log distance1", "log distance2"} <= run_task.rows(out / "epicentres.csv")[0].keys()


def test_a_kernel_just_compiled_and_one_from_the_cache_give_the_same_bits(tmp_path):
    program = """
import numpy as np
from tasks.cavi.kernel import accumulate
g = np.random.default_rng(0)
x, s = np.ascontiguousarray(g.normal(0, 5, (2, 1000))), g.poisson(20, 1000).astype(float)
m, a, c = g.normal(0, 5, (9, 4, 2)), g.normal(3, 0.1, (9, 4)), g.normal(0, 1, (9, 4))
sums, entropy = np.zeros((9, 4, 5)), np.zeros(9)
accumulate(x, s, 0, 1000, m, a, c, 0.25, sums, entropy)
print(sums.tobytes().hex(), entropy.tobytes().hex(), len(accumulate.stats.cache_hits))
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    compiled, loaded = (
        subprocess.run(
            [sys.executable, "-c", program], check=True, env=environment, capture_output=True
        ).stdout.split()
        for _ in range(2)
    )
    assert (compiled[-1], loaded[-1]) == (b"0", b"1")
    assert compiled[:-1] == loaded[:-1]
