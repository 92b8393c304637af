"""What the command does with its options: solve, compare, learn, draw, record."""

from typing import Any

import numpy as np

from tasks.base import Table, TaskContext, TaskResult
from tasks.mdp import pictures
from tasks.mdp.backups import q_values
from tasks.mdp.certificate import horizon
from tasks.mdp.learning import learn
from tasks.mdp.model import MDP
from tasks.mdp.solvers import (
    GaussSeidel,
    LinearProgramming,
    ModifiedPolicyIteration,
    PolicyIteration,
    Prioritised,
    Solution,
    Solver,
    ValueIteration,
)
from tasks.mdp.sources import find_environment, find_mdp, is_environment
from tasks.mdp.task import DecisionProcess

__all__ = ["merge", "run"]

ORDERS: dict[str, type[Solver]] = {
    "synchronous": ValueIteration,
    "in place": GaussSeidel,
    "prioritised": Prioritised,
}

FEW = 2000
"""States up to which iterates are kept to be drawn, and solvers compared unless asked not to."""

NAMED = 10
"""States up to which each has a metric of its own."""


def run(task: DecisionProcess, context: TaskContext) -> TaskResult:
    """Does what `task.DecisionProcess` promises.

    Raises:
        UserError: If the model or an option is wrong.
    """
    env = find_environment(task.model) if is_environment(task.model) else None
    if env is not None and task.learner.learns and not hasattr(env.unwrapped, "P"):
        return learn(task, None, None, env, context)
    mdp = find_mdp(task.model, task.gamma, task.garnet, context.generator("garnet"))
    solution = task.solver.solve(mdp, keep=task.keep or mdp.S <= FEW)
    parts = [_solved(mdp, solution), _iterates(task, mdp, solution)]
    if mdp.S <= FEW if task.compare is None else task.compare:
        parts += [_solvers(mdp, solution), _orders(task, mdp, context)]
    if task.learner.learns:
        parts.append(learn(task, mdp, solution, env, context))
    for step, residual in enumerate(solution.residuals[1:], 1):
        context.writer.add_scalar("mdp/residual", residual, step)
    return merge(parts)


def merge(parts: list[TaskResult]) -> TaskResult:
    """One result of several; later ones win."""
    merged: dict[str, dict[str, Any]] = {"metrics": {}, "tables": {}, "figures": {}}
    for part in parts:
        for kind, found in merged.items():
            found.update(getattr(part, kind))
    return TaskResult(**merged)


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


def _actions(mdp: MDP, policy: Any) -> list[str]:
    names = [mdp.action(a) for a in range(mdp.A)]
    return ["" if end else names[a] for end, a in zip(mdp.terminal, policy, strict=True)]


def _iterates(task: DecisionProcess, mdp: MDP, solution: Solution) -> TaskResult:
    figures = {"contraction": pictures.contraction_picture(mdp, solution, horizon(mdp), _best(mdp))}
    if not solution.iterates:
        return TaskResult(figures=figures)
    values = np.array([iterate.v for iterate in solution.iterates])
    figures["sweeps"] = pictures.sweeps_picture(mdp, values)
    if not task.keep:
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
    return PolicyIteration().solve(mdp) if mdp.S <= FEW else None


def _solvers(mdp: MDP, solution: Solution) -> TaskResult:
    """Every solver beside the linear programme."""
    programme = LinearProgramming().solve(mdp)
    solvers: dict[str, Solver] = {
        "policy iteration, exact": PolicyIteration(),
        "policy iteration, 1 sweep": PolicyIteration(1),
        "modified policy iteration": ModifiedPolicyIteration(),
        **{f"value iteration, {name}": order() for name, order in ORDERS.items()},
    }
    found = {name: solver.solve(mdp) for name, solver in solvers.items()}
    found["linear programming"] = programme
    distance = {name: np.abs(one.v - programme.v).max() for name, one in found.items()}
    table: Table = {
        "solver": list(found),
        "iterations": [one.iterations for one in found.values()],
        "sweeps": [one.backups / mdp.S for one in found.values()],
        "bound": [one.bound for one in found.values()],
        "distance_from_programme": list(distance.values()),
    }
    here = float(np.abs(solution.v - programme.v).max())
    metrics = {
        "distance_from_programme": here,
        "solvers_disagree": max(distance.values()),
        "bounds_hold": float(
            all(distance[name] <= one.bound + programme.bound for name, one in found.items())
        ),
    }
    return TaskResult(metrics, {"solvers": table})


def _orders(task: DecisionProcess, mdp: MDP, context: TaskContext) -> TaskResult:
    """Sweeps until the tolerance is met, for each order of backups and each discount."""
    if not task.gammas:
        return TaskResult()
    sweeps: dict[str, list[float]] = {name: [] for name in ORDERS}
    for gamma in context.progress(task.gammas, description="discounts"):
        other = mdp.with_gamma(gamma)
        for name, order in ORDERS.items():
            tolerance = max(task.solver.tolerance, 1e-8)
            sweeps[name].append(order(tolerance=tolerance).solve(other).backups / mdp.S)
    table: Table = {"gamma": task.gammas, **sweeps}
    figure = pictures.orders_picture(task.gammas, sweeps, max(task.solver.tolerance, 1e-8))
    return TaskResult(tables={"orders": table}, figures={"orders": figure})
