"""Policy gradient as the command runs it."""

from typing import Any

import numpy as np

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.base import Table, TaskContext, TaskResult
from tasks.mdp.exact import complex_step, objective, theorem_gradient, visits
from tasks.mdp.learners import ExactObjective, LearningCurves, LearningProblem
from tasks.mdp.model import MDP
from tasks.mdp.options import DecisionOptions
from tasks.mdp.pictures import gap_picture, norm_picture
from tasks.mdp.policy_gradient import policy_of
from tasks.mdp.rollouts import roll_environment, roll_model, state_encoder
from tasks.mdp.solution import Solution
from tasks.mdp.sources import GAMMA

__all__ = ["exact_objective", "learn"]

DIRECTIONS = 3
"""Random directions along which the theorem is compared with the derivative of the solve."""


def learn(
    options: DecisionOptions,
    mdp: MDP | None,
    solution: Solution | None,
    env: Any,
    context: TaskContext,
) -> TaskResult:
    """Learns a softmax policy and says how far it stays from the optimum.

    Args:
        options: The options.
        mdp: The process, or None where there is no table of it.
        solution: Its solution, where there is one.
        env: The environment, where the process is None.
        context: What the task was given.

    Raises:
        UserError: If the environment is not discrete.
    """
    problem = _problem(options, mdp, env, context)
    curves = options.learner.learn(problem)
    best = float(mdp.start @ solution.v) if mdp and solution else None
    _write_curves(curves, best, context)
    report = _report(curves, best)
    if mdp is None:
        return report
    check = {"gradient/disagreement": _disagreement(mdp, curves, context)}
    return TaskResult.merged(report, TaskResult(check))


def exact_objective(mdp: MDP) -> ExactObjective:
    """J(θ) of a process, and its gradient by the theorem."""

    def gradient(pi: Floats) -> tuple[Floats, Floats]:
        return theorem_gradient(mdp, pi), visits(mdp, pi)

    return ExactObjective(lambda theta: objective(mdp, theta), gradient)


def _problem(
    options: DecisionOptions, mdp: MDP | None, env: Any, context: TaskContext
) -> LearningProblem:
    def watch(steps: range) -> Any:
        return context.progress(steps, description="updates")

    generator = context.generator("episodes")
    if mdp is not None:
        if not mdp.start[~mdp.terminal].any():
            raise UserError(
                "every episode starts in a terminal state, and nothing can be learned: give the "
                "model another start."
            )
        shape, roll, exact = (mdp.S, mdp.A), roll_model(mdp), exact_objective(mdp)
        return LearningProblem(shape, mdp.gamma, roll, generator, exact, watch)
    if not hasattr(env.action_space, "n"):
        raise UserError(f"actions must be discrete, got {env.action_space}: take another model.")
    gamma = GAMMA if options.gamma is None else options.gamma
    shape = state_encoder(env.observation_space)[0], int(env.action_space.n)
    return LearningProblem(shape, gamma, roll_environment(env, gamma), generator, watch=watch)


def _report(curves: LearningCurves, best: float | None) -> TaskResult:
    objective, seeds = curves.objective, curves.objective.shape[1]
    error = objective[-1].std(ddof=1) / np.sqrt(seeds) if seeds > 1 else 0.0
    metrics = {
        "learner/objective": objective[-1].mean(),
        "learner/objective_standard_error": error,
        "learner/gradient_norm": curves.norm[-1].mean(),
    }
    table: Table = {
        "update": range(len(objective)),
        "objective": objective.mean(axis=1).tolist(),
        "lowest": objective.min(axis=1).tolist(),
        "highest": objective.max(axis=1).tolist(),
    }
    if best is not None:
        metrics["learner/gap"] = best - objective[-1].mean()
        table = {**table, "gap": (best - objective.mean(axis=1)).tolist()}
    figures = {"gap": gap_picture(objective, best), "gradient_norm": norm_picture(curves.norm)}
    return TaskResult(metrics, {"learning": table}, figures)


def _disagreement(mdp: MDP, curves: LearningCurves, context: TaskContext) -> float:
    """Largest difference between the theorem and the derivative of the solve, where it ended."""
    theta, generator = curves.theta[0], context.generator("directions")
    directions = generator.standard_normal((DIRECTIONS, *theta.shape)) / np.sqrt(theta.size)
    g = theorem_gradient(mdp, policy_of(theta))
    return max(abs(complex_step(mdp, theta, u) - float((g * u).sum())) for u in directions)


def _write_curves(curves: LearningCurves, best: float | None, context: TaskContext) -> None:
    for step, row in enumerate(curves.objective):
        context.writer.add_scalar("mdp/learner/objective", float(row.mean()), step)
        if best is not None:
            context.writer.add_scalar("mdp/learner/gap", best - float(row.mean()), step)
    for step, row in enumerate(curves.norm):
        context.writer.add_scalar("mdp/learner/gradient_norm", float(row.mean()), step)
