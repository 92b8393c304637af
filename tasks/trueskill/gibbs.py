"""Gibbs sampling of all skills of a history, many chains at once.

The state is the skills s and the performance differences t of all matches. Given s the t are
independent truncated normals; given t the s are one Gaussian whose precision matrix

    Λ = diag(1/σ_i²) + AᵀA/σ_t²        A: one row per match, +1 and −1 at its teams

never changes, so it is factorised once. Skills are drawn all together, or one after the other as
in the textbook, where each draw sees the others' newest values.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array
from scipy.special import log_ndtr, ndtri_exp

from elbolab.errors import UserError
from tasks.arrays import Floats, Ints
from tasks.trueskill.closed_form import Update, refuse_draw
from tasks.trueskill.model import RatedMatch, Rating, SkillModel
from tasks.trueskill.options import GibbsFilter

__all__ = ["GibbsSampler", "gibbs_update", "log_likelihood", "truncated_normal"]


def truncated_normal(lower: Floats, upper: Floats, uniform: Floats) -> Floats:
    """Standard normals between bounds, by inversion of the log distribution function.

    The interval is mirrored to the side where Φ is small and its logarithm exact, so that bounds
    40 standard deviations out are as good as any.

    Args:
        lower: Lower bounds; may be −∞.
        upper: Upper bounds, above the lower ones; may be +∞.
        uniform: Numbers in (0, 1], one per draw, broadcast against the bounds.
    """
    flip = lower + upper > 0
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    log_b = log_ndtr(b)
    log_ratio = log_ndtr(a) - log_b
    x = ndtri_exp(log_b + np.log(uniform + (1 - uniform) * np.exp(log_ratio)))
    return np.where(flip, -x, x)


@dataclass
class GibbsSampler:
    """Draws from p(s | all results).

    Args:
        model: The hyper-parameters; without drift.
        priors: One belief for each team.
        matches: The matches, in any order.
        in_turn: Draw one skill after the other instead of all together; mixes more slowly.

    Raises:
        UserError: If a draw is given to a model without draws, or the model has drift.
    """

    model: SkillModel
    priors: Sequence[Rating]
    matches: Sequence[RatedMatch]
    in_turn: bool = False

    def __post_init__(self) -> None:
        if self.model.drift:
            raise UserError("Gibbs sampling needs constant skills: set drift to 0, or smooth.")
        first, second, y = np.array(self.matches, dtype=int).reshape(-1, 3).T
        if (y == 0).any():
            refuse_draw(self.model)
        self._sides = _sides(first, second, len(self.priors))
        e = self.model.draw_margin
        self._lower = np.where(y > 0, e, np.where(y < 0, -np.inf, -e))
        self._upper = np.where(y > 0, np.inf, np.where(y < 0, -e, e))
        mean, variance = np.array(self.priors).T
        self._prior_mean, self._prior_std = mean, np.sqrt(variance)
        self._prior_eta = mean / variance
        noise = self.model.sigma_t**2
        self._precision = np.diag(1 / variance) + (self._sides.T @ self._sides).toarray() / noise
        lower = np.linalg.cholesky(self._precision)
        self._root = solve_triangular(lower, np.eye(len(lower)), lower=True)

    def run(
        self,
        generator: Generator,
        samples: int,
        burn_in: int = 200,
        chains: int = 4,
        watch: Callable[[range], Iterable[int]] = lambda steps: steps,
    ) -> Floats:
        """Runs independent chains, started from the prior.

        Args:
            generator: Source of all noise.
            samples: Sweeps kept, of each chain.
            burn_in: Sweeps before them, forgotten.
            chains: How many run at once.
            watch: Wraps the range of sweeps, for a progress bar.

        Returns:
            Skills ``(chains, samples, teams)``, in points.
        """
        skills = self._prior_mean + self._prior_std * generator.standard_normal(
            (chains, len(self._prior_mean))
        )
        kept = np.empty((chains, samples, len(self._prior_mean)))
        for step in watch(range(burn_in + samples)):
            skills = self.sweep(skills, generator)
            if step >= burn_in:
                kept[:, step - burn_in] = skills
        return kept

    def sweep(self, skills: Floats, generator: Generator) -> Floats:
        """One draw of all differences and then of all skills ``(chains, teams)``."""
        sigma_t, h = self.model.sigma_t, self.model.home_advantage
        expected = (self._sides @ skills.T).T + h
        uniform = 1 - generator.random(expected.shape)
        lower, upper = (self._lower - expected) / sigma_t, (self._upper - expected) / sigma_t
        t = expected + sigma_t * truncated_normal(lower, upper, uniform)
        eta = self._pull(t)
        noise = generator.standard_normal(skills.shape)
        return self._one_by_one(skills, eta, noise) if self.in_turn else self._jointly(eta, noise)

    def _pull(self, t: Floats) -> Floats:
        """η = Λ · mean of s | t, for every chain: what the prior and all differences say."""
        said = (self._sides.T @ (t - self.model.home_advantage).T).T
        return self._prior_eta + said / self.model.sigma_t**2

    def _jointly(self, eta: Floats, noise: Floats) -> Floats:
        """Λ⁻¹η + L⁻ᵀz with Λ = LLᵀ, for every chain."""
        return (eta @ self._root.T + noise) @ self._root

    def _one_by_one(self, skills: Floats, eta: Floats, noise: Floats) -> Floats:
        """s_i | s_others, t: precision Λ_ii, mean (η_i − Σ_{j≠i} Λ_ij s_j)/Λ_ii."""
        skills = skills.copy()
        for i, row in enumerate(self._precision):
            others = skills @ row - skills[:, i] * row[i]
            skills[:, i] = (eta[:, i] - others) / row[i] + noise[:, i] / np.sqrt(row[i])
        return skills


def _sides(first: Ints, second: Ints, teams: int) -> csr_array:
    rows = np.arange(len(first))
    values = np.concatenate([np.ones(len(first)), -np.ones(len(first))])
    places = (np.concatenate([rows, rows]), np.concatenate([first, second]))
    return csr_array((values, places), shape=(len(first), teams))


def gibbs_update(generator: Generator, settings: GibbsFilter) -> Update:
    """A filter's update whose moments are those of Gibbs samples, with their Monte-Carlo error."""

    def update(model: SkillModel, first: Rating, second: Rating, y: int) -> tuple[Rating, Rating]:
        still = replace(model, drift=0.0)  # a single match lasts no time
        sampler = GibbsSampler(still, [first, second], [RatedMatch(0, 1, y)])
        skills = sampler.run(generator, settings.samples, settings.burn_in, settings.chains)
        drawn = skills.reshape(-1, 2)
        one, two = zip(drawn.mean(0).tolist(), drawn.var(0, ddof=1).tolist(), strict=True)
        return Rating(*one), Rating(*two)

    return update


def log_likelihood(model: SkillModel, matches: Sequence[RatedMatch], skills: Floats) -> Floats:
    """log p(y | s) of every match under every sample: ``(..., teams)`` → ``(..., matches)``, nats.

    log Φ((y·δ − ε)/σ_t) with δ = s_1 − s_2 + h, and log(Φ((ε − δ)/σ_t) − Φ((−ε − δ)/σ_t)).
    """
    first, second, y = np.array(matches, dtype=int).reshape(-1, 3).T
    delta = (skills[..., first] - skills[..., second] + model.home_advantage) / model.sigma_t
    e = model.draw_margin / model.sigma_t
    if not e:
        return log_ndtr(y * delta)
    upper, lower = log_ndtr(e - np.abs(delta)), log_ndtr(-e - np.abs(delta))
    return np.where(y == 0, upper + np.log1p(-np.exp(lower - upper)), log_ndtr(y * delta - e))
