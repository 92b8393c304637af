"""The variational auto-encoder."""

import math
from collections.abc import Callable, Sequence

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Generator, Tensor, nn
from torch.distributions import Distribution
from torch.optim import Adam

from elbolab.checks import check_at_least_one
from elbolab.errors import UserError
from lightning_modules.functional.annealing import Annealing, Constant
from lightning_modules.functional.bounds import Bound, Elbo
from lightning_modules.functional.elbo import (
    BoundTerms,
    bound_terms,
    closed_form_kl,
    log_evidence,
)
from lightning_modules.functional.estimators import GradientEstimator, Reparameterized
from lightning_modules.hyperparameters import keep_plain_hyperparameters
from lightning_modules.nets.likelihoods import BernoulliLikelihood, Likelihood
from lightning_modules.nets.mlp import mlp
from lightning_modules.nets.posteriors import DiagonalGaussianPosterior, Posterior
from lightning_modules.nets.priors import Prior, StandardNormalPrior
from lightning_modules.optimization import build_optimizers

__all__ = ["VAE"]

NLL_SAMPLES = {True: 5000, False: 100}
"""Draws for ``test/nll`` of binary images, as published figures have them, and of any others."""


class VAE(LightningModule):
    """Latent-variable model p(x, z) = p(x|z) p(z), trained by a lower bound on log p(x).

    The base model of Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014: two perceptrons,
    one maps x to the parameters of q(z|x), the other z to those of p(x|z). What varies in the
    family of models is an object of its own, given by ``class_path`` in the YAML: likelihood,
    posterior and prior, the bound, the estimator of its gradient, the weight of the KL term.

    Every step returns the terms of the bound example by example; the ELBO monitor logs them.

    Args:
        shape: Shape of one example, such as ``(1, 28, 28)``; the command line takes it from the
            data.
        latent_dim: Number d of latent dimensions, at least 1.
        hidden: Widths of the encoder's hidden layers; the decoder has them in reverse.
        activation: Between the layers.
        likelihood: p(x|z), given the shape.
        posterior: q(z|x).
        prior: p(z), given the shapes of z and x.
        bound: What is maximised.
        estimator: How its gradient is estimated.
        kl_weight: β ≥ 0, the weight of the KL term, over the epochs of training.
        nll_samples: K of ``test/nll``; by default 5,000 for binary images and 100 for others.
        nll_memory: What ``test/nll`` may take for the draws that it decodes at once, in MiB, beside
            50 latents for each image of the batch.
        optimizer: Builds the optimiser from the parameters.
        lr_scheduler: Builds a schedule from the optimiser, stepped once per epoch.

    Raises:
        UserError: If a size is below 1, or two of the objects do not go together.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int = 20,
        hidden: Sequence[int] = (256, 256),
        activation: Callable[[], nn.Module] = nn.ReLU,
        likelihood: Callable[[Sequence[int]], Likelihood] = BernoulliLikelihood,
        posterior: Callable[[], Posterior] = DiagonalGaussianPosterior,
        prior: Callable[[Sequence[int], Sequence[int]], Prior] = StandardNormalPrior,
        bound: Callable[[], Bound] = Elbo,
        estimator: Callable[[], GradientEstimator] = Reparameterized,
        kl_weight: Callable[[], Annealing] = Constant,
        nll_samples: int | None = None,
        nll_memory: int = 64,
        optimizer: OptimizerCallable = lambda p: Adam(p, lr=1e-3, fused=True),
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        check_at_least_one(latent_dim=latent_dim, hidden=hidden, shape=shape, nll_memory=nll_memory)
        check_at_least_one(nll_samples=1 if nll_samples is None else nll_samples)
        self.save_hyperparameters()
        keep_plain_hyperparameters(self)
        self.shape, self.latent_dim = torch.Size(shape), latent_dim
        self.posterior, self.likelihood = posterior(), likelihood(shape)
        self.latent_shape = self.posterior.latent_shape(latent_dim)
        self.prior = prior(self.latent_shape, shape)
        self.bound, self.estimator, self.kl_weight = bound(), estimator(), kl_weight()
        pixels = math.prod(shape)
        self.encoder = mlp(
            [pixels, *hidden, self.posterior.parameters_per_latent * latent_dim], activation
        )
        self.decoder = mlp(
            [
                math.prod(self.latent_shape),
                *reversed(hidden),
                self.likelihood.parameters_per_pixel * pixels,
            ],
            activation,
        )
        self.nll_samples, self.nll_memory = nll_samples, nll_memory
        self._numbers_per_draw = 4 * self.likelihood.parameters_per_pixel * pixels + (
            2 * sum(hidden) + 4 * self.prior.components * math.prod(self.latent_shape)
        )
        self._optimizer, self._lr_scheduler = optimizer, lr_scheduler
        self.anneal(0.0)
        self.check_combination(self.bound, self.estimator)

    def check_combination(self, bound: Bound, estimator: GradientEstimator) -> None:
        """Refuses a bound and an estimator that do not go with each other, or with this model.

        Raises:
            UserError: Saying which do not, and why.
        """
        if self.posterior.support not in self.prior.supports:
            raise UserError(
                f"{type(self.posterior).__name__} and {type(self.prior).__name__} do not go "
                "together: the prior is 0 where latents of this posterior lie."
            )
        with torch.no_grad():
            q = self.encode(torch.zeros(1, *self.shape, device=self.device))
            closed_form = closed_form_kl(q, self.latent_prior()) is not None
        estimator.check(
            bound, reparameterized=self.posterior.reparameterized, closed_form=closed_form
        )

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x) for x ``(B, *shape)``: batch shape ``(B,)``, event shape ``latent_shape``."""
        return self.posterior(self.encoder(x.flatten(1)))

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) for z ``(*batch, *latent_shape)``: batch shape ``batch``, event ``shape``."""
        batch = z.shape[: z.dim() - len(self.latent_shape)]
        raw = self.decoder(
            z.reshape(batch.numel(), -1)
        )  # as matrices, which layers need not reshape
        return self.likelihood(raw.view(*batch, -1, *self.shape))

    def latent_prior(self) -> Distribution:
        """p(z), event shape ``latent_shape``."""
        return self.prior(self.encode)

    def estimate(
        self, x: Tensor, bound: Bound, estimator: GradientEstimator, kl_weight: float = 1.0
    ) -> BoundTerms:
        """Terms in nats for x ``(B, *shape)`` whose objective has the bound's gradient."""
        return estimator(x, self.encoder(x.flatten(1)), self, bound, kl_weight)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` images ``(n, *shape)`` in [0, 1]: the likelihood's mean at z ~ p(z).

        The mean, not a draw of each pixel, whose independent noise would hide the image.
        """
        return self.decode(self.prior.sample(n, self.encode, generator)).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Images x ``(B, *shape)`` encoded to one z each and decoded to the mean of p(x|z)."""
        return self.decode(self.posterior.point(self.encode(x))).mean

    @torch.no_grad()
    def nll(self, x: Tensor) -> Tensor:
        """−VLB^(K) in nats, ``(B,)``: at least −log p(x) in expectation, and near it.

        K is ``nll_samples``; the memory for what is decoded at once is ``nll_memory``.
        """
        binary = bool(((x == 0) | (x == 1)).all())
        samples = self.nll_samples or NLL_SAMPLES[binary]
        rows = self.nll_memory * 2**20 // (4 * self._numbers_per_draw)
        return -log_evidence(x, self.encoder(x.flatten(1)), self, samples, rows)

    def on_train_batch_start(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        self.anneal(self.current_epoch + batch_idx / max(1, self.trainer.num_training_batches))

    def anneal(self, epoch: float) -> None:
        """Sets what changes while training to its value after ``epoch`` epochs."""
        self.beta = self.kl_weight(epoch)
        self.posterior.anneal(epoch)

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        terms = self.estimate(batch[0], self.bound, self.estimator, self.beta)
        return {"loss": -terms.objective.mean(), **_logged(terms)}

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        x = batch[0]
        q = self.encode(x)
        z = q.sample(torch.Size([self.bound.samples]))
        terms = bound_terms(x, z, q, self, self.bound)
        return {**_logged(terms), "posterior_mean": q.mean}

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        return {**self.validation_step(batch, batch_idx), "nll": self.nll(batch[0])}

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        z = self.posterior.point(self.encode(batch[0]))
        return {"latents": z, "reconstructions": self.decode(z).mean}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return build_optimizers(self, self.parameters(), self._optimizer, self._lr_scheduler)


def _logged(terms: BoundTerms) -> dict[str, Tensor]:
    """The terms that the monitor sums, without gradient."""
    return {
        "bound": terms.bound,
        "reconstruction": terms.reconstruction.detach(),
        "kl": terms.kl.detach(),
    }
