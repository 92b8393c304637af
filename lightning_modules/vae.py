"""The variational auto-encoder."""

import warnings
from collections.abc import Callable, Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Generator, Tensor, nn
from torch.distributions import Distribution
from torch.optim import Adam

from elbolab.checks import check_at_least_one, check_in
from elbolab.errors import UserError
from elbolab.whole_run import WholeRun
from lightning_modules.checkpoints import keep_plain_hyperparameters
from lightning_modules.functional.annealing import Annealing, Constant
from lightning_modules.functional.bounds import Bound, Elbo
from lightning_modules.functional.elbo import (
    BoundTerms,
    VariationalProblem,
    closed_form_kl,
    log_evidence,
)
from lightning_modules.functional.estimators import GradientEstimator, Reparameterized
from lightning_modules.functional.noise import ContentNoise
from lightning_modules.functional.precision import uncast
from lightning_modules.nets.likelihoods import BernoulliLikelihood, Likelihood
from lightning_modules.nets.mlp import mlp
from lightning_modules.nets.posteriors import DiagonalGaussianPosterior, Posterior
from lightning_modules.nets.priors import Prior, StandardNormalPrior
from lightning_modules.trainable import TrainableModule

__all__ = ["VAE"]

BINARY_SAMPLES, GREY_SAMPLES = 5000, 100
"""Draws for ``test/nll`` of binary images, as published figures have them, and of any others."""


class VAE(TrainableModule):
    """Latent-variable model p(x, z) = p(x|z) p(z), trained by a lower bound on log p(x).

    The base model of Kingma & Welling, *Auto-Encoding Variational Bayes*, 2014: two perceptrons,
    one maps x to the parameters of q(z|x), the other z to those of p(x|z). What varies in the
    family of models is an object of its own, given by ``class_path`` in the YAML: likelihood,
    posterior and prior, the bound, the estimator of its gradient, the weight of the KL term.

    Every step returns the terms of the bound example by example; the ELBO monitor logs them. In
    evaluation the noise of an image is a function of the image, so that figures depend neither on
    batches nor on processes, and nothing is in half precision.

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

    whole_run = WholeRun(
        figures=("callbacks.monitors.elbo.ElboMonitor",),
        monitor="val/elbo",
        mode="max",
        pictures=(
            "callbacks.pictures.images.SampleGrid",
            "callbacks.pictures.images.Reconstructions",
            "callbacks.pictures.latent_space.LatentSpace",
        ),
    )

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
        super().__init__(optimizer, lr_scheduler)
        self.save_hyperparameters()
        keep_plain_hyperparameters(self)
        check_at_least_one(latent_dim=latent_dim, hidden=hidden, shape=shape)
        check_at_least_one(nll_samples=nll_samples, nll_memory=nll_memory)
        self.shape, self.latent_dim = torch.Size(shape), latent_dim
        self.posterior, self.likelihood = posterior(), likelihood(shape)
        self.latent_shape = self.posterior.latent_shape(latent_dim)
        self.prior = prior(self.latent_shape, shape)
        self.bound, self.estimator, self.kl_weight = bound(), estimator(), kl_weight()
        self.encoder, self.decoder = self._networks(hidden, activation)
        self.nll_samples, self.nll_memory = nll_samples, nll_memory
        self.anneal(0.0)
        self.check_combination(self.bound, self.estimator)

    def _networks(
        self, hidden: Sequence[int], activation: Callable[[], nn.Module]
    ) -> tuple[nn.Module, nn.Module]:
        pixels, latents = self.shape.numel(), self.latent_shape.numel()
        raw_latents = self.posterior.parameters_per_latent * self.latent_dim
        raw_pixels = self.likelihood.parameters_per_pixel * pixels
        encoder = mlp([pixels, *hidden, raw_latents], activation)
        return encoder, mlp([latents, *reversed(hidden), raw_pixels], activation)

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
        raw = self.encoder(x.flatten(1))
        return estimator(VariationalProblem(x, raw, self, bound, kl_weight))

    def exact(self, z: Tensor) -> Tensor:
        """The exact draws behind z, where the posterior's draws in training are relaxed."""
        return self.posterior.exact(z)

    def draw(self, x: Tensor, raw: Tensor, draws: range) -> Tensor:
        """Those draws of q(z|x), functions of each image alone; raw the encoder's outputs for x."""
        return self.posterior.draw(raw, ContentNoise.of_images(x), draws)

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
    def elbo(self, x: Tensor) -> Tensor:
        """The ELBO of images x ``(B, *shape)`` in nats, ``(B,)``; its noise depends on the image.

        Raises:
            UserError: If a value is outside the likelihood's range or not a number.
        """
        terms = self.evaluate(x)
        return terms["reconstruction"] - terms["kl"].sum(1)

    def log_likelihood(self, x: Tensor, samples: int | None = None) -> Tensor:
        """log p(x) in nats, ``(B,)``, estimated from below: −`nll` of images x ``(B, *shape)``.

        Raises:
            UserError: If a value is outside the likelihood's range or not a number.
        """
        self.check_pixels(x, *self.likelihood.pixel_range)
        if not self.normalised(x).all():
            warnings.warn(
                f"{type(self.likelihood).__name__} is a probability of images of 0 and 1 alone: "
                "what it says of grey ones is no likelihood (test/nll_unnormalised).",
                stacklevel=2,
            )
        return -self.nll(x, samples)

    @torch.no_grad()
    @uncast
    def nll(self, x: Tensor, samples: int | None = None) -> Tensor:
        """−VLB^(K) in nats, ``(B,)``: at least −log p(x) in expectation, and near it.

        K is ``samples``, by default `samples_for`; the memory for what is decoded at once is
        ``nll_memory``.
        """
        check_at_least_one(samples=samples)
        nll, draws = torch.zeros(len(x), device=x.device), self.samples_for(x)
        if samples is not None:
            draws.fill_(samples)
        for count in draws.unique().tolist():
            part = x[draws == count]
            problem = VariationalProblem(part, self.encoder(part.flatten(1)), self, self.bound)
            nll[draws == count] = -log_evidence(problem, count, self.nll_memory)
        return nll

    def samples_for(self, x: Tensor) -> Tensor:
        """K of each image's `nll`, ``(B,)``: ``nll_samples``, or what suits binary or grey ones."""
        if self.nll_samples is not None:
            return torch.full((len(x),), self.nll_samples, device=x.device)
        return torch.where(_binary(x), BINARY_SAMPLES, GREY_SAMPLES)

    def normalised(self, x: Tensor) -> Tensor:
        """Of which images ``(B, *shape)`` p(x|z) is a density or a probability, ``(B,)``."""
        return _binary(x) | self.likelihood.density_of_grey

    def on_train_batch_start(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        self.anneal(self.current_epoch + batch_idx / max(1, self.trainer.num_training_batches))

    def anneal(self, epoch: float) -> None:
        """Sets what changes while training to its value after ``epoch`` epochs.

        Raises:
            UserError: If the weight of the KL term is below 0.
        """
        self.beta = self.kl_weight(epoch)
        check_in("[0, inf)", kl_weight=self.beta)
        self.posterior.anneal(epoch)

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        if batch_idx == 0:
            self.check_pixels(batch[0], *self.likelihood.pixel_range)
        terms = self.estimate(batch[0], self.bound, self.estimator, self.beta)
        return {"loss": -terms.objective.mean(), **_logged(terms)}

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        return self.evaluate(batch[0])

    @uncast
    def evaluate(self, x: Tensor) -> dict[str, Tensor]:
        """The bound's terms and the posterior's mean for images x ``(B, *shape)``, by name."""
        self.check_pixels(x, *self.likelihood.pixel_range)
        raw = self.encoder(x.flatten(1))
        terms = VariationalProblem(x, raw, self, self.bound).evaluated()
        return {**_logged(terms), "posterior_mean": self.posterior(raw).mean}

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        x = batch[0]
        nll = {"nll": self.nll(x), "nll_samples": self.samples_for(x)}
        return {**self.evaluate(x), **nll, "normalised": self.normalised(x)}

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        z = self.posterior.point(self.encode(batch[0]))
        return {"latents": z, "reconstructions": self.decode(z).mean}


def _logged(terms: BoundTerms) -> dict[str, Tensor]:
    """The terms that the monitor sums, without gradient."""
    return {
        "bound": terms.bound,
        "reconstruction": terms.reconstruction.detach(),
        "kl": terms.kl.detach(),
    }


def _binary(x: Tensor) -> Tensor:
    """Whether all pixels of an image are 0 or 1, ``(B,)``."""
    return ((x == 0) | (x == 1)).flatten(1).all(1)
