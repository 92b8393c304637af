"""What the command does with its options: solve, compare, learn, draw, record."""

import numpy as np

from tasks.arrays import Ints
from tasks.base import Table, TaskContext, TaskResult
from tasks.mdp import pictures
from tasks.mdp.backups import q_values
from tasks.mdp.certificate import horizon
from tasks.mdp.learning import learn
from tasks.mdp.model import MDP
from tasks.mdp.options import DecisionOptions
from tasks.mdp.solution import Solution, solve
from tasks.mdp.solvers import (
    GaussSeidel,
    LinearProgramming,
    ModifiedPolicyIteration,
    PolicyIteration,
    Prioritised,
    Solver,
    ValueIteration,
)
from tasks.mdp.sources import find_environment, find_mdp, is_environment

__all__ = ["run"]

ORDERS: dict[str, type[Solver]] = {
    "synchronous": ValueIteration,
    "in place": GaussSeidel,
    "prioritised": Prioritised,
}

FEW = 2000
"""States up to which iterates are kept to be drawn, and solvers compared unless asked not to."""

NAMED = 10
"""States up to which each has a metric of its own."""


def run(options: DecisionOptions, context: TaskContext) -> TaskResult:
    """Does what `task.DecisionProcess` promises.

    Raises:
        UserError: If the model or an option is wrong.
    """
    env = find_environment(options.model) if is_environment(options.model) else None
    if env is not None and options.learner.learns and not hasattr(env.unwrapped, "P"):
        return learn(options, None, None, env, context)
    mdp = find_mdp(options.model, options.gamma, options.garnet, context.generator("garnet"))
    solution = solve(mdp, options.solver, keep=options.keep or mdp.S <= FEW)
    parts = [_solved(mdp, solution), _iterates(options, mdp, solution)]
    if mdp.S <= FEW if options.compare is None else options.compare:
        parts += [_solvers(mdp, solution), _orders(options, mdp, context)]
    if options.learner.learns:
        parts.append(learn(options, mdp, solution, env, context))
    for step, residual in enumerate(solution.residuals[1:], 1):
        context.writer.add_scalar("mdp/residual", residual, step)
    return TaskResult.merged(*parts)


def _solved(mdp: MDP, solution: Solution) -> TaskResult:
    metrics = {
        "states": mdp.S,
        "actions": mdp.A,
        "gamma": mdp.gamma,
        "bound": solution.bound,
        "iterations": solution.iterations,
        "sweeps": solution.backups / mdp.S,
        "converged": float(solution.converged),
        "start_value": float(mdp.start @ solution.v),
    }
    if mdp.S <= NAMED:
        metrics |= {f"value/{mdp.state(s)}": float(solution.v[s]) for s in range(mdp.S)}
    table: Table = {
        "state": [mdp.state(s) for s in range(mdp.S)],
        "value": solution.v.tolist(),
        "action": _actions(mdp, solution.policy),
    }
    figures = {}
    if mdp.S <= FEW:
        q = q_values(mdp, solution.v)
        figures["policy"] = pictures.policy_picture(mdp, solution.policy, solution.v, q)
    return TaskResult(metrics, {"values": table}, figures)


def _actions(mdp: MDP, policy: Ints) -> list[str]:
    names = [mdp.action(a) for a in range(mdp.A)]
    return ["" if end else names[a] for end, a in zip(mdp.terminal, policy, strict=True)]


def _iterates(options: DecisionOptions, mdp: MDP, solution: Solution) -> TaskResult:
    figures = {"contraction": pictures.contraction_picture(mdp, solution, horizon(mdp), _best(mdp))}
    if not solution.iterates:
        return TaskResult(figures=figures)
    values = np.array([iterate.v for iterate in solution.iterates])
    figures["sweeps"] = pictures.sweeps_picture(mdp, values)
    if not options.keep:
        return TaskResult(figures=figures)
    table: Table = {
        "iteration": np.repeat(np.arange(len(values)), mdp.S).tolist(),
        "state": [mdp.state(s) for s in range(mdp.S)] * len(values),
        "value": values.ravel().tolist(),
        "action": [a for iterate in solution.iterates for a in _actions(mdp, iterate.policy)],
    }
    return TaskResult(tables={"iterates": table}, figures=figures)


def _best(mdp: MDP) -> Solution | None:
    """The exact solution, where it costs little."""
    return solve(mdp) if mdp.S <= FEW else None


def _solvers(mdp: MDP, solution: Solution) -> TaskResult:
    """Every solver beside the linear programme."""
    programme = solve(mdp, LinearProgramming())
    solvers: dict[str, Solver] = {
        "policy iteration, exact": PolicyIteration(),
        "policy iteration, 1 sweep": PolicyIteration(sweeps=1),
        "modified policy iteration": ModifiedPolicyIteration(),
        **{f"value iteration, {name}": order() for name, order in ORDERS.items()},
    }
    solutions = {name: solve(mdp, solver) for name, solver in solvers.items()}
    solutions["linear programming"] = programme
    distance = {name: np.abs(one.v - programme.v).max() for name, one in solutions.items()}
    table: Table = {
        "solver": list(solutions),
        "iterations": [one.iterations for one in solutions.values()],
        "sweeps": [one.backups / mdp.S for one in solutions.values()],
        "bound": [one.bound for one in solutions.values()],
        "distance_from_programme": list(distance.values()),
    }
    metrics = {
        "distance_from_programme": float(np.abs(solution.v - programme.v).max()),
        "solvers_disagree": max(distance.values()),
        "bounds_hold": float(
            all(distance[name] <= one.bound + programme.bound for name, one in solutions.items())
        ),
    }
    return TaskResult(metrics, {"solvers": table})


def _orders(options: DecisionOptions, mdp: MDP, context: TaskContext) -> TaskResult:
    """Sweeps until the tolerance is met, for each order of backups and each discount."""
    if not options.gammas:
        return TaskResult()
    gammas, tolerance = sorted(set(options.gammas)), max(options.solver.tolerance, 1e-8)
    sweeps: dict[str, list[float]] = {name: [] for name in ORDERS}
    for gamma in context.progress(gammas, description="discounts"):
        other = mdp.with_gamma(gamma)
        for name, order in ORDERS.items():
            sweeps[name].append(solve(other, order(tolerance=tolerance)).backups / mdp.S)
    table: Table = {"gamma": gammas, **sweeps}
    figure = pictures.orders_picture(gammas, sweeps, tolerance)
    return TaskResult(tables={"orders": table}, figures={"orders": figure})
