"""A latent-variable model whose evidence, posterior and bounds have closed forms, in float64."""

import numpy as np
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from lightning_modules.functional.distributions import LogVarianceNormal, StandardNormal
from lightning_modules.functional.elbo import VariationalProblem

F64 = torch.float64


class LinearGaussian:
    """p(z) = N(0, I), x|z = N(Wz + b, s² I), q(z|x) = N(μ, diag σ²) with raw = (μ, log σ²).

    ``W`` is ``(5, d)``, or ``(B, 5, d)``: one for each example, to have its gradient by itself.
    """

    s = 0.6

    def __init__(self, latents=2, examples=3, seed=0):
        generator = torch.Generator().manual_seed(seed)
        # Orthogonal columns make the posterior's covariance diagonal, so that q can equal it.
        basis, _ = torch.linalg.qr(torch.randn(5, latents, generator=generator, dtype=F64))
        self.W = basis * torch.tensor([1.5, 0.7], dtype=F64)[:latents]
        self.b = torch.randn(5, generator=generator, dtype=F64)
        self.x = self.b + torch.randn(examples, 5, generator=generator, dtype=F64)

    def posterior(self, raw):
        mean, log_variance = raw.chunk(2, 1)
        return Independent(LogVarianceNormal(mean, log_variance), 1, validate_args=False)

    def latent_prior(self):
        zero = torch.zeros(self.W.shape[-1], dtype=F64)
        return Independent(StandardNormal(zero), 1, validate_args=False)

    def decode(self, z):
        mean = torch.einsum("...pd,...d->...p", self.W, z) + self.b
        return Independent(Normal(mean, self.s, validate_args=False), 1, validate_args=False)

    def exact(self, z):
        return z

    def draw(self, x, raw, draws):
        return self.posterior(raw).sample([len(draws)])

    def problem(self, raw, bound, kl_weight=1.0):
        return VariationalProblem(self.x, raw, self, bound, kl_weight)

    def log_evidence(self):
        covariance = self.W @ self.W.T + self.s**2 * torch.eye(5, dtype=F64)
        return MultivariateNormal(self.b, covariance).log_prob(self.x)

    def exact_raw(self):
        """What an encoder has to say for q to be p(z|x), ``(B, 2d)``."""
        precision = 1 + (self.W**2).sum(0) / self.s**2
        mean = (self.x - self.b) @ self.W / self.s**2 / precision
        return torch.cat([mean, -precision.log().expand_as(mean)], 1)

    def wrong_raw(self):
        """A q beside and wider than the posterior."""
        mean, log_variance = self.exact_raw().chunk(2, 1)
        return torch.cat([mean + 0.3, log_variance + 0.6], 1)

    def exact_elbo(self, raw, kl_weight=1.0):
        """E_q[log p(x|z)] − β KL(q‖p) in closed form, ``(B,)``, differentiable."""
        mean, log_variance = raw.chunk(2, 1)
        error = (self.x - self.b - torch.einsum("...pd,...d->...p", self.W, mean)).square().sum(1)
        spread = (log_variance.exp() * self.W.square().sum(-2)).sum(1)
        constant = 5 * np.log(2 * np.pi * self.s**2)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return -0.5 * (constant + (error + spread) / self.s**2) - kl_weight * kl

    def exact_iwae(self, raw, kl_weight=1.0):
        """E[log ½(w₁ + w₂)] for one latent on a grid of both draws, ``(B,)``, differentiable."""
        noise = torch.linspace(-8, 8, 401, dtype=F64)
        probability = torch.softmax(-0.5 * noise**2, 0)  # the trapezium rule, exact for smooth f
        mean, log_variance = raw.chunk(2, 1)
        z = mean + (0.5 * log_variance).exp() * noise[:, None, None]
        ratio = self.latent_prior().log_prob(z) - self.posterior(raw).log_prob(z)
        log_w = self.decode(z).log_prob(self.x) + kl_weight * ratio
        pairs = torch.logaddexp(log_w[:, None], log_w[None]) - np.log(2)
        return torch.einsum("i,j,ijb->b", probability, probability, pairs)
