"""Samplers with the analytic score of a Gaussian: known marginals, orders, memory."""

import weakref
from itertools import pairwise

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from elbolab.errors import UserError
from lightning_modules.functional.levels import FineGrid
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.probability_flow import flow_log_prob
from lightning_modules.functional.samplers import (
    Ancestral,
    EulerFlow,
    EulerMaruyama,
    HeunFlow,
    PredictorCorrector,
)
from lightning_modules.functional.schedule import CosineSchedule, LinearSchedule

MEAN, SIGMA = torch.tensor([[0.8, -0.5]]), 0.4
SAMPLERS = [EulerMaruyama(), Ancestral(), EulerFlow(), HeunFlow(), PredictorCorrector()]


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def gaussian(schedule) -> MixtureScore:
    """The score of N(MEAN, SIGMA² I): a mixture of one."""
    return MixtureScore(MEAN.double(), SIGMA, schedule)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("schedule", [LinearSchedule, CosineSchedule])
def test_every_sampler_reaches_the_known_marginal(sampler, schedule):
    schedule, n = schedule(), 4000
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, generator=generator)
    found = sampler(gaussian(schedule), x, schedule, generator)
    # Starting from N(0, I) instead of x_K costs √ᾱ_K |m| ≤ 0.045, of which the way back leaves
    # the share SIGMA √ᾱ_K; what is left is noise, and 300 steps of discretisation in the spread.
    assert ((found.mean(0) - MEAN[0]).abs() < 4 * SIGMA / n**0.5 + 0.02).all()
    assert ((found.std(0) / SIGMA - 1).abs() < 4 / (2 * n) ** 0.5 + 0.02).all()
    assert abs(float(torch.corrcoef(found.T)[0, 1])) < 4 / n**0.5


def flow_error(sampler, steps: int) -> float:
    """Distance to the exact end of the flow, which maps quantiles of a Gaussian to quantiles."""
    schedule = LinearSchedule(3200, 1e-4 * 300 / 3200, 0.04 * 300 / 3200)
    score = gaussian(schedule)
    x = torch.tensor([[1.0, 0.5], [-0.7, 1.2]])
    alpha = schedule.alpha_bar[-1]
    spread = (alpha * SIGMA**2 + 1 - alpha).sqrt()
    exact = MEAN + SIGMA * (x - alpha.sqrt() * MEAN) / spread
    return float((type(sampler)(steps)(score, x, schedule) - exact).abs().max())


@pytest.mark.parametrize(("sampler", "order"), [(EulerFlow(), 1), (HeunFlow(), 2)])
def test_flow_samplers_converge_with_their_order(sampler, order):
    errors = [flow_error(sampler, steps) for steps in (200, 400, 800)]
    orders = [float(torch.tensor(a / b).log2()) for a, b in pairwise(errors)]
    assert orders == pytest.approx([order, order], abs=0.15)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_samples_depend_on_start_and_generator_alone(sampler):
    schedule = LinearSchedule(20, 0.1, 0.3)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(3))
    seed = torch.Generator().manual_seed
    first = sampler(gaussian(schedule), x, schedule, seed(1))
    torch.manual_seed(99)
    assert torch.equal(first, sampler(gaussian(schedule), x, schedule, seed(1)))
    other = sampler(gaussian(schedule), x, schedule, seed(2))
    stochastic = not isinstance(sampler, EulerFlow | HeunFlow)
    assert torch.equal(first, other) is not stochastic


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_a_trajectory_ends_in_what_the_sampler_returns(sampler):
    schedule = LinearSchedule(20, 0.1, 0.3)
    x, seed = torch.randn(5, 2), torch.Generator().manual_seed
    path = list(sampler.trajectory(gaussian(schedule), x, schedule, seed(1)))
    assert [k for k, _ in path] == list(range(20, -1, -1))
    assert torch.equal(path[0][1], x)
    assert torch.equal(path[-1][1], sampler(gaussian(schedule), x, schedule, seed(1)))


class Ledger(TorchDispatchMode):
    """Counts the bytes of result tensors that are alive at the same time."""

    def __init__(self):
        super().__init__()
        self.alive = self.peak = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            size = result.untyped_storage().nbytes()
            self.alive += size
            self.peak = max(self.peak, self.alive)
            weakref.finalize(result, self._free, size)
        return result

    def _free(self, size):
        self.alive -= size


def peak_bytes(sampler, steps: int) -> int:
    schedule = LinearSchedule(steps, 0.01, 0.3)
    score, x = gaussian(schedule), torch.randn(1000, 2)
    with torch.no_grad(), Ledger() as ledger:
        sampler(score, x, schedule, torch.Generator().manual_seed(0))
    return ledger.peak


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_memory_does_not_grow_with_the_number_of_steps(sampler):
    few, many = peak_bytes(sampler, 20), peak_bytes(sampler, 200)
    assert many <= 1.1 * few
    assert few > 0


@pytest.mark.parametrize("level_steps", [300, 100])
def test_flow_log_densities_equal_the_exact_mixtures(level_steps):
    generator = torch.Generator().manual_seed(4)
    schedule = LinearSchedule()
    truth = MixtureScore(torch.randn(6, 2, generator=generator), 0.3, schedule)
    x = truth.centres.repeat(20, 1) + 0.3 * torch.randn(120, 2, generator=generator)
    found = flow_log_prob(truth, x, schedule, FineGrid()(schedule, level_steps))
    exact = truth.log_prob(x, torch.tensor(0))
    # N(0, I) in place of p_K is worth up to about 0.05 nats; Heun's error is far smaller.
    assert float((found - exact).abs().max()) < 0.1
    assert abs(float((found - exact).mean())) < 0.01


def test_impossible_samplers_are_refused():
    schedule = LinearSchedule()
    with pytest.raises(UserError, match=r"steps must be in \[1, 300\], got 0"):
        EulerMaruyama(0)(gaussian(schedule), torch.randn(2, 2), schedule)
    with pytest.raises(UserError, match="corrections must be at least 1"):
        PredictorCorrector(corrections=0)
    with pytest.raises(UserError, match=r"ratio must be in \(0, 1\), got 1"):
        PredictorCorrector(ratio=1.0)
