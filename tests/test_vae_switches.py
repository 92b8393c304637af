"""All combinations of the VAE's switches: each is refused with a reason, or runs from end to end.

What is refused depends on posterior, prior, bound and estimator; every combination of all eight
switches is built. Those that are not refused are run: every one of these four, with the others
taking turns so that each of their combinations comes up with each posterior.
"""

import itertools
import json
import math
import warnings

import pytest
import torch
from pytorch_lightning import Trainer

import cli
from callbacks.monitors.elbo import ElboMonitor
from datamodules.tensor_batches import TensorBatches
from elbolab.errors import UserError
from lightning_modules.functional.annealing import Constant, Exponential, Linear
from lightning_modules.functional.baselines import LeaveOneOut, NoBaseline, RunningMean
from lightning_modules.functional.bounds import Elbo, ImportanceWeighted
from lightning_modules.functional.estimators import (
    DoublyReparameterized,
    Reparameterized,
    ScoreFunction,
    StickingTheLanding,
)
from lightning_modules.nets import likelihoods, posteriors, priors
from lightning_modules.nets.likelihoods import Likelihood
from lightning_modules.nets.posteriors import Posterior
from lightning_modules.nets.priors import LearnedGaussianPrior, Prior
from lightning_modules.vae import VAE

SHAPE = (1, 3, 2)


def kinds(base, module):
    """The classes of a module that a person can choose."""
    return [c for c in base.__subclasses__() if c.__module__ == module.__name__]


def small(prior):
    """The same prior with two components, where it has any."""
    if prior in (priors.MixtureOfGaussiansPrior, priors.VampPrior):
        return lambda latent_shape, shape: prior(latent_shape, shape, 2)
    return prior


def scored(baseline):
    return lambda: ScoreFunction(baseline)


BOUNDS = {
    "Elbo 1": Elbo,
    "Elbo 2": lambda: Elbo(2),
    "IW 1": lambda: ImportanceWeighted(1),
    "IW 3": lambda: ImportanceWeighted(3),
}
ESTIMATORS = {
    **{e.__name__: e for e in (Reparameterized, StickingTheLanding, DoublyReparameterized)},
    **{b.__name__: scored(b) for b in (NoBaseline, RunningMean, LeaveOneOut)},
}
DECIDING = list(
    itertools.product(
        kinds(Posterior, posteriors), kinds(Prior, priors), BOUNDS.items(), ESTIMATORS.items()
    )
)
OTHERS = list(
    itertools.product(
        kinds(Likelihood, likelihoods),
        [Constant, lambda: Linear(0, 1, 0.5), lambda: Exponential(0.1, 1, 2)],
        [1, 2],
    )
)


def build(deciding, others) -> VAE:
    (posterior, prior, (_, bound), (_, estimator)), (likelihood, kl_weight, dim) = deciding, others
    return VAE(
        SHAPE, dim, (4,), likelihood=likelihood, posterior=posterior, prior=small(prior),
        bound=bound, estimator=estimator, kl_weight=kl_weight, nll_samples=2,
    )  # fmt: skip


def refused(deciding, others) -> str | None:
    try:
        build(deciding, others)
    except UserError as error:
        return str(error)
    return None


def run(model: VAE, monitor: ElboMonitor | None = None) -> dict[str, float]:
    """Fits, validates, tests and predicts; returns all figures."""
    x = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(0))
    data = TensorBatches((x,), 3)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_model_summary"), False)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[monitor or ElboMonitor()], barebones=False,
        num_sanity_val_steps=0, enable_progress_bar=False, **quiet,
    )  # fmt: skip
    trainer.fit(model, data, data)
    figures = dict(trainer.callback_metrics)
    trainer.test(model, data, verbose=False)
    figures |= trainer.callback_metrics
    predicted = trainer.predict(model, data)
    assert len(predicted[0]["reconstructions"]) == 3
    return {name: value.item() for name, value in figures.items()}


@pytest.fixture(autouse=True)
def _quiet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ElboMonitor, "draw", lambda *_: {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_every_combination_is_refused_with_a_reason_or_can_be_built():
    torch.manual_seed(0)
    reasons = {d: refused(d, OTHERS[i % len(OTHERS)]) for i, d in enumerate(DECIDING)}
    assert (len(DECIDING), len(OTHERS)) == (432, 30)
    assert sum(reason is None for reason in reasons.values()) == 193
    assert all(reason is None or "take" in reason or "do not go" in reason or "needs" in reason
               for reason in reasons.values())  # fmt: skip
    for deciding, others in itertools.product(DECIDING[::7], OTHERS):  # the others decide nothing
        assert refused(deciding, others) == reasons[deciding]


@pytest.mark.parametrize("posterior", kinds(Posterior, posteriors), ids=lambda c: c.__name__)
def test_what_is_not_refused_fits_validates_tests_and_predicts(posterior):
    torch.manual_seed(0)
    mine = [d for d in DECIDING if d[0] is posterior and refused(d, OTHERS[0]) is None]
    for i, deciding in enumerate(mine):
        figures = run(build(deciding, OTHERS[i % len(OTHERS)]))
        wanted = {"train/elbo", "val/elbo", "val/kl", "test/elbo", "test/active_units"}
        assert wanted <= set(figures), deciding
        assert {"test/nll", "test/nll_unnormalised"} & set(figures), deciding
        assert all(map(math.isfinite, figures.values())), deciding


class OwnPrior(LearnedGaussianPrior):
    """One without a closed-form divergence."""

    def forward(self, encode):
        return torch.distributions.MultivariateNormal(self.mean, torch.eye(len(self.mean)))


class OwnPosterior(Posterior):
    """One without quantiles: a Gaussian on the sum of the latents' own and a common noise."""

    parameters_per_latent = 1
    support = torch.distributions.constraints.real

    def forward(self, raw):
        d = raw.shape[1]
        covariance = torch.eye(d) + 0.5 * torch.ones(d, d)
        return torch.distributions.MultivariateNormal(raw, covariance.expand(len(raw), d, d))


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize(
    "own", [{"prior": OwnPrior}, {"posterior": OwnPosterior}], ids=lambda o: next(iter(o))
)
def test_so_do_priors_and_posteriors_of_ones_own(own, dim):
    figures = run(VAE(SHAPE, dim, (4,), nll_samples=3, **own))
    assert math.isfinite(figures["test/elbo"])


@pytest.mark.parametrize("prior", ["MixtureOfGaussiansPrior", "VampPrior"])
def test_the_priors_named_in_the_shipped_configuration_run_from_the_command_line(
    workplace, fit, prior
):
    folder = fit("out", "--model.prior", prior, "--model.latent_dim", "1", "--trainer.max_epochs=1")
    assert math.isfinite(json.loads((folder / "metrics.json").read_text())["val/elbo"])
    assert cli.main(["test", "--run_dir", "out", "--model.nll_samples", "2"]) == 0
