"""Numbers out of range are refused wherever a model takes one, with its name and its value."""

import math

import pytest
import torch

from elbolab.errors import UserError
from lightning_modules.classifier import DigitClassifier
from lightning_modules.conditional_score import ConditionalScore
from lightning_modules.functional.annealing import Constant, Exponential, Linear
from lightning_modules.functional.baselines import RunningMean
from lightning_modules.functional.bounds import Elbo, ImportanceWeighted
from lightning_modules.functional.levels import FineGrid, FineLevels, GivenGrid, VarianceWeight
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.samplers import PredictorCorrector
from lightning_modules.functional.schedule import CosineSchedule, LinearSchedule
from lightning_modules.functional.score import guided
from lightning_modules.functional.score_matching import Sliced
from lightning_modules.nets.embeddings import FourierTime, LevelTable, LogSNR
from lightning_modules.nets.inputs import DampedFourier
from lightning_modules.nets.labelled_net import LabelledScoreMLP
from lightning_modules.nets.likelihoods import (
    GaussianLikelihood,
    LearnedGaussianLikelihood,
    PixelGaussianLikelihood,
)
from lightning_modules.nets.posteriors import CategoricalPosterior
from lightning_modules.nets.priors import ExponentialPrior, MixtureOfGaussiansPrior, VampPrior
from lightning_modules.nets.score_net import ScoreMLP
from lightning_modules.nice import NICE
from lightning_modules.optimization import CosineDecay, StagedDecay
from lightning_modules.score import ScoreModel
from lightning_modules.vae import VAE

NO_NUMBERS = [math.nan, math.inf, -math.inf]
POSITIVE = [0, -1.0, *NO_NUMBERS]
AT_LEAST_0 = [-1.0, *NO_NUMBERS]
SHARE = [-0.1, 1.5, *NO_NUMBERS]
SIZE = [0, -3]
SHORT = LinearSchedule(30, 0.01, 0.4)
ONES = ((1,), (1,))


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)


CASES = {
    "value": (Constant, AT_LEAST_0),
    "start": (lambda v: Linear(start=v), AT_LEAST_0),
    "end": (lambda v: Linear(end=v), AT_LEAST_0),
    "epochs": (lambda v: Linear(epochs=v), POSITIVE),
    "start ": (lambda v: Exponential(start=v), POSITIVE),
    "end ": (lambda v: Exponential(end=v), POSITIVE),
    "decay": (RunningMean, [1.0, *SHARE]),
    "draws": (Elbo, SIZE),
    "samples": (ImportanceWeighted, SIZE),
    "resolution": (VarianceWeight, AT_LEAST_0),
    "resolution ": (FineLevels, POSITIVE),
    "power": (lambda v: FineGrid(power=v), SHARE),
    "levels": (lambda v: GivenGrid([v]), AT_LEAST_0),
    "sigma_0": (lambda v: MixtureScore(torch.zeros(1, 2), v, SHORT), POSITIVE),
    "ratio": (lambda v: PredictorCorrector(ratio=v), [0.0, 1.0, *SHARE]),
    "corrections": (lambda v: PredictorCorrector(corrections=v), SIZE),
    "beta_min": (lambda v: LinearSchedule(5, beta_min=v), [0.0, 1.0, *SHARE]),
    "beta_max": (lambda v: LinearSchedule(5, beta_max=v), [0.0, 1.0, *SHARE]),
    "offset": (lambda v: CosineSchedule(offset=v), POSITIVE),
    "steps": (LinearSchedule, SIZE),
    "guidance": (lambda v: guided(None, None, v), [-1.1, *NO_NUMBERS]),
    "projections": (Sliced, SIZE),
    "frequencies": (lambda v: FourierTime(SHORT, v), SIZE),
    "features": (lambda v: LevelTable(SHORT, v), SIZE),
    "resolution  ": (lambda v: LogSNR(SHORT, v), POSITIVE),
    "count": (lambda v: DampedFourier(2, SHORT, count=v), [0]),
    "bandwidth": (lambda v: DampedFourier(2, SHORT, bandwidth=v), POSITIVE),
    "seed": (lambda v: DampedFourier(2, SHORT, seed=v), [-1, 2**32]),
    "classes": (lambda v: LabelledScoreMLP(2, SHORT, classes=v), SIZE),
    "hidden": (lambda v: ScoreMLP(2, SHORT, [v]), SIZE),
    "resolution   ": (lambda v: ScoreMLP(2, SHORT, resolution=v), POSITIVE),
    "scale": (lambda v: GaussianLikelihood((1,), v), POSITIVE),
    "scale ": (lambda v: LearnedGaussianLikelihood((1,), v), POSITIVE),
    "min_scale": (lambda v: PixelGaussianLikelihood((1,), v), [0.0, 1.0, *SHARE]),
    "classes ": (CategoricalPosterior, [1, 0, -2]),
    "temperature": (lambda v: CategoricalPosterior(3, lambda: lambda _: v), POSITIVE),
    "rate": (lambda v: ExponentialPrior(*ONES, v), POSITIVE),
    "components": (lambda v: MixtureOfGaussiansPrior(*ONES, v), SIZE),
    "components ": (lambda v: VampPrior(*ONES, v), SIZE),
    "kl_weight": (lambda v: VAE((1, 2, 2), kl_weight=lambda: lambda _: v), AT_LEAST_0),
    "latent_dim": (lambda v: VAE((1, 2, 2), v), SIZE),
    "nll_samples": (lambda v: VAE((1, 2, 2), nll_samples=v), SIZE),
    "nll_memory": (lambda v: VAE((1, 2, 2), nll_memory=v), SIZE),
    "couplings": (lambda v: NICE((1, 2, 2), v), SIZE),
    "draws ": (lambda v: NICE((1, 2, 2), draws=v), SIZE),
    "ema_decay": (lambda v: ScoreModel((2,), ema_decay=v), [1.0, *SHARE]),
    "flow_steps": (lambda v: ScoreModel((2,), flow_steps=v), [0, -1, 301]),
    "sampler.steps": (lambda v: ScoreModel((2,), sampler=lambda: PredictorCorrector(v)), [0, 301]),
    "label_dropout": (
        lambda v: ConditionalScore((2,), net=LabelledScoreMLP, label_dropout=v),
        SHARE,
    ),
    "guidance ": (lambda v: ConditionalScore((2,), guidance=v), [-1.1, *NO_NUMBERS]),
    "dropout": (lambda v: DigitClassifier((1, 8, 8), dropout=v), [1.0, *SHARE]),
    "channels": (lambda v: DigitClassifier((1, 8, 8), channels=(v, 2)), SIZE),
    "num_features": (lambda v: DigitClassifier((1, 8, 8), num_features=v), SIZE),
    "epochs ": (lambda v: CosineDecay(optimizer(), v), [-1]),
    "epochs  ": (lambda v: StagedDecay(optimizer(), v), [-1]),
}
"""What is refused by the name that the message gives it, however often a name occurs."""


@pytest.mark.filterwarnings("ignore:the schedule ends")
@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (_, values) in CASES.items() for value in values]
)
def test_a_number_out_of_range_is_refused_by_name_and_value(name, value):
    with pytest.raises(UserError) as refusal:
        CASES[name][0](value)
    said = str(refusal.value)
    assert said.startswith(f"{name.strip()} must be ")
    assert said.endswith(f"got {value}.")
    assert "\n" not in said
