r"""Estimators of a bound's gradient: ways to differentiate an expectation under q_φ(z|x).

.. math:: \nabla_{\theta,\phi}\, E_{z_1 \ldots z_K \sim q_\phi(z|x)}[L(\log w_1, \ldots, \log w_K)]

Each returns an objective whose gradient, by automatic differentiation, is an unbiased estimate of
this, for the parameters θ of prior and likelihood and φ of the posterior. They differ in variance.

Symbols: of a `VariationalProblem` x data, ``(B, *shape)``, L the bound and β the weight of the KL
term; w_k importance weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Size, Tensor, nn

from elbolab.errors import UserError
from lightning_modules.functional.baselines import Baseline, NoBaseline
from lightning_modules.functional.bounds import Bound
from lightning_modules.functional.elbo import (
    BoundTerms,
    VariationalProblem,
    bound_terms,
    log_densities,
)

__all__ = [
    "DoublyReparameterized",
    "GradientEstimator",
    "Reparameterized",
    "ScoreFunction",
    "StickingTheLanding",
]


class GradientEstimator(nn.Module, ABC):
    """Builds the objective whose gradient estimates that of the bound."""

    @abstractmethod
    def forward(self, problem: VariationalProblem) -> BoundTerms:
        """Draws as many latents for each example as the bound takes, and estimates it with them."""

    @abstractmethod
    def check(self, bound: Bound, *, reparameterized: bool, closed_form: bool) -> None:
        """Refuses what it cannot estimate without bias.

        Args:
            bound: The bound.
            reparameterized: Whether ``rsample`` of the posterior is an exact draw.
            closed_form: Whether KL(q‖p) has a closed form.

        Raises:
            UserError: Saying why, and what to take in its place.
        """

    @property
    def label(self) -> str:
        """Its name in tags and pictures."""
        return type(self).__name__


class Reparameterized(GradientEstimator):
    """Differentiates through z = g(ε, φ), with ε's distribution free of φ.

    With a relaxed posterior, whose ``rsample`` is no exact draw, it is the gradient of the relaxed
    objective: biased, and the usual way to train categorical latents. What is reported is not that
    objective but the bound itself, at the exact draws with the same noise: one more evaluation of
    the decoder. Source: Kingma & Welling, 2014.
    """

    def forward(self, problem: VariationalProblem) -> BoundTerms:
        q = problem.posterior()
        z = problem.rsample(q)
        terms = bound_terms(problem, z, q)
        exact = problem.model.exact(z)
        return terms if exact is z else _at_exact_draws(terms, problem, exact)

    def check(self, bound: Bound, *, reparameterized: bool, closed_form: bool) -> None:
        if not reparameterized and not (bound.linear and closed_form):
            raise UserError(
                "Reparameterized cannot weigh relaxed draws: with this posterior it needs the "
                "bound Elbo and a prior with a closed-form KL. ScoreFunction has no such limit."
            )


class StickingTheLanding(GradientEstimator):
    """The reparameterised gradient without ∇_φ log q_φ(z|x) at fixed z, whose mean is 0.

    Its variance is 0 where q is the exact posterior; far from there the dropped term may have been
    a control variate. Source: Roeder, Wu & Duvenaud, *Sticking the Landing*, 2017.
    """

    def forward(self, problem: VariationalProblem) -> BoundTerms:
        bound, z = problem.bound, problem.rsample(problem.posterior())
        densities = log_densities(problem, z, problem.fixed_posterior())
        objective = bound(densities.log_weights(problem.kl_weight))
        return BoundTerms.from_draws(objective, bound, densities)

    def check(self, bound: Bound, *, reparameterized: bool, closed_form: bool) -> None:
        _need_exact_draws(self, reparameterized)
        if not bound.linear and bound.samples > 1:
            raise UserError(
                "StickingTheLanding is biased for an importance-weighted bound of several draws: "
                "take DoublyReparameterized, or the bound Elbo."
            )


class DoublyReparameterized(GradientEstimator):
    """The importance-weighted gradient whose score term is reparameterised once more.

    For φ it is Σ_k w̃_k² ∂log w_k/∂z_k ∂z_k/∂φ with normalised weights w̃, and with β ≠ 1
    Σ_k w̃_k (1 − β + β w̃_k) …; for θ the plain Σ_k w̃_k ∂log w_k/∂θ.
    Source: Tucker, Lawson, Gu & Maddison, *Doubly Reparameterized Gradient Estimators*, 2019,
    equation 8.
    """

    def forward(self, problem: VariationalProblem) -> BoundTerms:
        beta, z = problem.kl_weight, problem.rsample(problem.posterior())
        densities = log_densities(problem, z, problem.fixed_posterior())
        log_weights = densities.log_weights(beta)
        weights = torch.softmax(log_weights.detach(), 0)
        if z.requires_grad:
            z.register_hook(_scale(1 - beta + beta * weights))
        return BoundTerms.from_draws((weights * log_weights).sum(0), problem.bound, densities)

    def check(self, bound: Bound, *, reparameterized: bool, closed_form: bool) -> None:
        _need_exact_draws(self, reparameterized)
        if bound.linear:
            raise UserError(
                "DoublyReparameterized is for the bound ImportanceWeighted; with Elbo take "
                "StickingTheLanding, which is the same idea."
            )


class ScoreFunction(GradientEstimator):
    """The log-derivative trick, also called REINFORCE: nothing is differentiated through z.

    E_q[f ∇_φ log q_φ(z|x)] with f the bound's signal less a baseline; it needs no
    reparameterisation and has the largest variance. Source: Mnih & Gregor, *Neural Variational
    Inference and Learning in Belief Networks*, 2014; with leave-one-out for importance weights
    Mnih & Rezende, 2016.

    Args:
        baseline: What is subtracted from the signal.
    """

    def __init__(self, baseline: Callable[[], Baseline] = NoBaseline) -> None:
        super().__init__()
        self.baseline = baseline()

    def forward(self, problem: VariationalProblem) -> BoundTerms:
        bound, q = problem.bound, problem.posterior()
        densities = log_densities(problem, q.sample(Size([bound.samples])), q)
        log_q = densities.posterior
        if bound.linear:  # the bound's own dependence on log q has a gradient of mean 0
            densities = densities._replace(posterior=log_q.detach())
        log_weights = densities.log_weights(problem.kl_weight)
        fixed = log_weights.detach()
        signal = bound.signal(fixed) - self.baseline(fixed, bound)
        objective = bound(log_weights) + (signal * log_q).sum(0)
        return BoundTerms.from_draws(objective, bound, densities)

    def check(self, bound: Bound, *, reparameterized: bool, closed_form: bool) -> None:
        if bound.samples < self.baseline.min_samples:
            raise UserError(
                f"the baseline {type(self.baseline).__name__} compares draws of one example: the "
                f"bound needs at least {self.baseline.min_samples} draws, not {bound.samples}."
            )

    @property
    def label(self) -> str:
        return f"ScoreFunction-{type(self.baseline).__name__}"


@torch.no_grad()
def _at_exact_draws(terms: BoundTerms, problem: VariationalProblem, z: Tensor) -> BoundTerms:
    """The same objective, and the bound as it is at draws z that are not relaxed."""
    return bound_terms(problem, z, problem.posterior())._replace(objective=terms.objective)


def _need_exact_draws(estimator: GradientEstimator, reparameterized: bool) -> None:
    if not reparameterized:
        raise UserError(
            f"{type(estimator).__name__} needs a posterior whose exact draws can be "
            "differentiated; this one has none: take ScoreFunction, or Reparameterized with Elbo."
        )


def _scale(weights: Tensor) -> Callable[[Tensor], Tensor]:
    """A hook that multiplies the gradient of draws ``(K, B, …)`` by weights ``(K, B)``."""
    return lambda gradient: gradient * weights.reshape(weights.shape + (1,) * (gradient.dim() - 2))
