"""The variational auto-encoder."""

import math
from collections.abc import Callable, Sequence

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Generator, Tensor
from torch.distributions import Distribution
from torch.optim import Adam

from elbolab.errors import UserError
from lightning_modules.functional.elbo import ElboTerms, elbo_terms
from lightning_modules.hyperparameters import keep_plain_hyperparameters
from lightning_modules.nets.likelihoods import BernoulliLikelihood, Likelihood
from lightning_modules.nets.mlp import mlp
from lightning_modules.nets.posteriors import DiagonalGaussianPosterior, Posterior
from lightning_modules.nets.priors import Prior, StandardNormalPrior

__all__ = ["VAE"]


class VAE(LightningModule):
    """Latent-variable model p(x, z) = p(x|z) p(z), trained by its evidence lower bound.

    The base model of Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014: two perceptrons,
    one maps x to the parameters of q(z|x), the other z to those of p(x|z). Likelihood, prior and
    posterior are objects of their own; another one is a ``class_path`` in the YAML.

    Every step returns the terms of the bound example by example; the ELBO monitor logs them.

    Args:
        shape: Shape of one example, such as ``(1, 28, 28)``; the command line takes it from the
            data.
        latent_dim: Number d of latent dimensions, at least 1.
        hidden: Widths of the encoder's hidden layers; the decoder has them in reverse.
        likelihood: p(x|z).
        posterior: q(z|x).
        prior: p(z), given d.
        optimizer: Builds the optimiser from the parameters.
        lr_scheduler: Builds a schedule from the optimiser, stepped once per epoch.

    Raises:
        UserError: If a size is below 1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_dim: int = 20,
        hidden: Sequence[int] = (256, 256),
        likelihood: Callable[[], Likelihood] = BernoulliLikelihood,
        posterior: Callable[[], Posterior] = DiagonalGaussianPosterior,
        prior: Callable[[int], Prior] = StandardNormalPrior,
        optimizer: OptimizerCallable = lambda p: Adam(p, lr=1e-3, fused=True),
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(latent_dim=(latent_dim,), hidden=hidden, shape=shape)
        self.save_hyperparameters()
        keep_plain_hyperparameters(self)
        self.shape = torch.Size(shape)
        self.latent_dim = latent_dim
        self.likelihood, self.posterior, self.prior = likelihood(), posterior(), prior(latent_dim)
        pixels = math.prod(shape)
        self.encoder = mlp([pixels, *hidden, self.posterior.parameters_per_latent * latent_dim])
        self.decoder = mlp(
            [latent_dim, *reversed(hidden), self.likelihood.parameters_per_pixel * pixels]
        )
        self._optimizer, self._lr_scheduler = optimizer, lr_scheduler

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x) for images x ``(B, *shape)`` in [0, 1]: batch shape ``(B,)``, event ``(d,)``."""
        raw = self.encoder(x.flatten(1))
        return self.posterior(raw.unflatten(1, (-1, self.latent_dim)))

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) for latents z ``(B, d)``: batch shape ``(B,)``, event shape ``shape``."""
        return self.likelihood(self.decoder(z).unflatten(1, (-1, *self.shape)))

    def elbo(self, x: Tensor) -> ElboTerms:
        """Terms of the bound on log p(x) in nats for x ``(B, *shape)``, from one draw of z."""
        return elbo_terms(x, self.encode(x), self.prior(), self.decode)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` images ``(n, *shape)`` in [0, 1]: the likelihood's mean at z ~ p(z).

        The mean, not a draw of each pixel, whose independent noise would hide the image.
        """
        return self.decode(self.prior.sample(n, generator)).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Images x ``(B, *shape)`` encoded to the posterior's mean and decoded to p(x|z)'s."""
        return self.decode(self.encode(x).mean).mean

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        terms = self.elbo(batch[0])
        return {"loss": -terms.elbo.mean(), **terms._asdict()}

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        posterior = self.encode(batch[0])
        terms = elbo_terms(batch[0], posterior, self.prior(), self.decode)
        return {**terms._asdict(), "posterior_mean": posterior.mean}

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        return self.validation_step(batch, batch_idx)

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        posterior = self.encode(batch[0])
        return {"latents": posterior.mean, "reconstructions": self.decode(posterior.mean).mean}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self._optimizer(self.parameters())
        if self._lr_scheduler is None:
            return optimizer
        schedule = self._lr_scheduler(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "name": "train/learning_rate"},
        }


def _check_sizes(**sizes: Sequence[int]) -> None:
    for name, values in sizes.items():
        for value in values:
            if value < 1:
                raise UserError(f"{name} must be at least 1, got {value}.")
