# ruff: noqa: N806  capitals are the symbols of the formulas
"""How fast sparse decision processes are solved: this package, quantecon and pymdptoolbox.

    python benchmarks/mdp.py            needs: pip install -e '.[bench]'

Both get the same transitions, quantecon in its fastest form, sparse state-action pairs, and both
are asked for values within 1e-6 of the optimum at γ = 0.99: quantecon's ε is twice its distance
from the optimum for value iteration and for the span rule of modified policy iteration. They take
turns, several rounds in one process after one that compiles; a ratio is the median of its rounds.
What was found is certified by our own bound, for both. Random processes mix at once; a walk on a
grid, which slips in one case of five, does not. Memory is what the process's resident set grows
by, from a new process each, model included. Our policy iteration takes its first policy from 20
backups, quantecon's from one. pymdptoolbox, whose loops are Python's, stands in a table of its own
for the smallest size, one round, without the time in which its constructors check the matrices; its
value iteration stops by the span of a step and leaves a constant in the values.
"""

from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
from mdptoolbox import mdp as toolbox
from quantecon.markov import DiscreteDP
from scipy import sparse
from timing import benchmark_parser, in_fresh_process, in_turns, peak_growth, timed

from tasks.arrays import Floats
from tasks.mdp.certificate import certified_bound, horizon
from tasks.mdp.model import MDP
from tasks.mdp.options import Garnet
from tasks.mdp.solution import solve
from tasks.mdp.solvers import ModifiedPolicyIteration, PolicyIteration, Solver, ValueIteration
from tasks.mdp.sources import random_mdp

GAMMA, TOLERANCE, ACTIONS = 0.99, 1e-6, 4
OURS: dict[str, Solver] = {
    "value iteration": ValueIteration(tolerance=TOLERANCE),
    "policy iteration": PolicyIteration(warm_up=20, tolerance=TOLERANCE),
    "modified policy iteration": ModifiedPolicyIteration(tolerance=TOLERANCE),
}
THEIRS = {
    "value iteration": "vi",
    "policy iteration": "pi",
    "modified policy iteration": "mpi",
}

TOOLBOX: dict[str, Callable[[list[sparse.csr_matrix], Floats], toolbox.MDP]] = {
    "value iteration": lambda p, r: toolbox.ValueIteration(
        p, r, GAMMA, epsilon=2 * TOLERANCE, max_iter=1_000_000
    ),
    "policy iteration": lambda p, r: toolbox.PolicyIteration(p, r, GAMMA),
    "modified policy iteration": lambda p, r: toolbox.PolicyIterationModified(
        p, r, GAMMA, epsilon=2 * TOLERANCE, max_iter=1_000_000
    ),
}


def walk(states: int) -> MDP:
    """A square grid with four moves, each of which slips to either side in one case of ten."""
    side = round(states**0.5)
    y, x = np.divmod(np.arange(side * side), side)
    moves = ((0, -1), (1, 0), (0, 1), (-1, 0))
    to = [np.clip(y + i, 0, side - 1) * side + np.clip(x + j, 0, side - 1) for i, j in moves]
    S = side * side
    kernels = []
    for a in range(ACTIONS):
        parts = ((a, 0.8), ((a + 1) % 4, 0.1), ((a + 3) % 4, 0.1))
        matrices = [
            sparse.csr_array((np.full(S, p), (np.arange(S), to[b])), shape=(S, S)) for b, p in parts
        ]
        kernels.append(sparse.csr_array(matrices[0] + matrices[1] + matrices[2]))
    rewards = np.random.default_rng(0).standard_normal((S, 1)) * np.ones((1, ACTIONS))
    return MDP(kernels, rewards, GAMMA)


def garnet(states: int) -> MDP:
    """A random process with five successors."""
    return random_mdp(Garnet(states, ACTIONS, 5), GAMMA, np.random.default_rng(0))


MODELS: dict[str, Callable[[int], MDP]] = {"random": garnet, "grid": walk}


def pairs(mdp: MDP) -> DiscreteDP:
    """The same process for quantecon."""
    s, a = np.divmod(np.arange(mdp.S * mdp.A), mdp.A)
    return DiscreteDP(mdp.R.ravel(), sparse.csr_matrix(mdp.csr), GAMMA, s, a)


def elbolab_values(name: str, mdp: MDP) -> Floats:
    """Values by a solver of this package."""
    return solve(mdp, OURS[name]).v


def quantecon_values(name: str, ddp: DiscreteDP) -> Floats:
    """Values by a method of quantecon."""
    return ddp.solve(THEIRS[name], epsilon=2 * TOLERANCE, max_iter=1_000_000).v


def compare_quantecon(kind: str, states: int, rounds: int, largest: dict[str, int]) -> None:
    """Prints a line for each method."""
    mdp = MODELS[kind](states)
    ddp, H = pairs(mdp), horizon(mdp)
    for name in OURS:
        if states > largest[name]:
            continue
        solvers = {
            "ours": partial(elbolab_values, name, mdp),
            "theirs": partial(quantecon_values, name, ddp),
        }
        runs = in_turns({who: partial(timed, way) for who, way in solvers.items()}, rounds)
        mine, theirs = (median(seconds for seconds, _ in taken) for taken in runs.values())
        ratios = sorted(b / a for (a, _), (b, _) in zip(*runs.values(), strict=True))
        bounds = [certified_bound(mdp, taken[0][1], H)[1] for taken in runs.values()]
        print(
            f"| {kind} | {mdp.S:,} | {name} | {mine:.4g} | {theirs:.4g} "
            f"| {median(ratios):.2f} ({ratios[0]:.2f} – {ratios[-1]:.2f}) "
            f"| {bounds[0]:.0e} | {bounds[1]:.0e} |",
            flush=True,
        )


def compare_toolbox(kind: str, states: int) -> None:
    """Prints a line for each method of pymdptoolbox, one round."""
    mdp = MODELS[kind](states)
    kernels = [sparse.csr_matrix(mdp.csr[a :: mdp.A]) for a in range(mdp.A)]
    for name, build in TOOLBOX.items():
        solver = build(kernels, mdp.R)
        mine, _ = timed(lambda n=name: elbolab_values(n, mdp))
        theirs, _ = timed(solver.run)
        bound = certified_bound(mdp, np.array(solver.V), horizon(mdp))[1]
        print(
            f"| {kind} | {mdp.S:,} | {name} | {mine:.4g} | {theirs:.4g} | {theirs / mine:.2f} "
            f"| {bound:.0e} |",
            flush=True,
        )


def build_and_solve(who: str, states: int) -> None:
    """Modified policy iteration by one library."""
    mdp = garnet(states)
    if who == "quantecon":
        quantecon_values("modified policy iteration", pairs(mdp))
    else:
        elbolab_values("modified policy iteration", mdp)


def solver_memory(who: str, states: int) -> float:
    """MiB by which building and solving make the process grow."""
    elbolab_values("modified policy iteration", garnet(100))  # compiled by now
    return peak_growth(lambda: build_and_solve(who, states))


def print_memory(states: int) -> None:
    """A line for each library, from a process of its own."""
    for who in ("elbolab", "quantecon"):
        grown = in_fresh_process(solver_memory, who, states)
        figures = f"{grown * 2**20 / states:,.0f} bytes a state, {grown / 1024:.2f} GiB"
        print(f"  {states:,} states, {who} (and the model): {figures}", flush=True)


def main() -> None:
    """Runs everything and prints the tables."""
    parser = benchmark_parser(__doc__, rounds=5)
    parser.add_argument("--states", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--largest_exact", type=int, default=1000, help="for policy iteration")
    parser.add_argument("--largest_value", type=int, default=100_000, help="for value iteration")
    options = parser.parse_args()
    largest = {
        "policy iteration": options.largest_exact,
        "value iteration": options.largest_value,
        "modified policy iteration": max(options.states),
    }
    for name in OURS:  # compile
        elbolab_values(name, garnet(100))
        quantecon_values(name, pairs(garnet(100)))
    print("| process | states | method | elbolab s | quantecon s | × as fast | bound | its bound |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in MODELS:
        for states in options.states:
            compare_quantecon(kind, states, options.rounds if states < 1_000_000 else 1, largest)
    print("\n| process | states | method | elbolab s | pymdptoolbox s | × as fast | its bound |")
    print("|---|---|---|---|---|---|---|")
    for kind in MODELS:
        compare_toolbox(kind, min(options.states))
    print("\nMemory of modified policy iteration")
    for states in options.states:
        print_memory(states)


if __name__ == "__main__":
    main()
