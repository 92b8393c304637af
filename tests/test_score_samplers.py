"""Samplers with the analytic score of a Gaussian: known marginals, orders, memory."""

import weakref
from itertools import pairwise

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from datamodules.spiral import spiral_centres
from elbolab.errors import UserError
from lightning_modules.functional.levels import FineGrid, GivenGrid
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.probability_flow import flow_log_prob
from lightning_modules.functional.samplers import (
    EulerMaruyama,
    HeunFlow,
    PredictorCorrector,
    Sampler,
)
from lightning_modules.functional.schedule import CosineSchedule, LinearSchedule

MEAN, SIGMA = torch.tensor([[0.8, -0.5]]), 0.4


def subclasses(base: type[Sampler]) -> list[type[Sampler]]:
    """All samplers of the package, however they descend from the base."""
    own = [c for c in base.__subclasses__() if c.__module__ == Sampler.__module__]
    return own + [more for c in own for more in subclasses(c)]


SAMPLERS = [sampler() for sampler in subclasses(Sampler)]


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
    samples = sampler(gaussian(schedule), x, schedule, generator)
    # Starting from N(0, I) instead of x_K costs √ᾱ_K |m| ≤ 0.045, of which the way back leaves
    # the share SIGMA √ᾱ_K; what is left is noise, and 300 steps of discretisation in the spread.
    assert ((samples.mean(0) - MEAN[0]).abs() < 4 * SIGMA / n**0.5 + 0.02).all()
    assert ((samples.std(0) / SIGMA - 1).abs() < 4 / (2 * n) ** 0.5 + 0.02).all()
    assert abs(float(torch.corrcoef(samples.T)[0, 1])) < 4 / n**0.5


def long_schedule() -> LinearSchedule:
    """The default's β per unit of time, on 3,200 levels."""
    return LinearSchedule(3200, 1e-4 * 300 / 3200, 0.04 * 300 / 3200)


def point_error(sampler: Sampler, schedule=None, sigma=SIGMA) -> float:
    """Distance to the exact end of the flow, which maps quantiles of a Gaussian to quantiles."""
    schedule = schedule or long_schedule()
    x = torch.tensor([[1.0, 0.5], [-0.7, 1.2]])
    alpha = schedule.alpha_bar[-1]
    spread = (alpha * sigma**2 + 1 - alpha).sqrt()
    exact = MEAN + sigma * (x - alpha.sqrt() * MEAN) / spread
    reached = sampler(MixtureScore(MEAN.double(), sigma, schedule), x, schedule)
    return float((reached - exact).abs().max())


def moment_error(sampler: Sampler) -> float:
    """How far mean and variance of the samples are from the data's, without drawing any.

    For a Gaussian every step is x → a x + b + Σ_i c_i ε_i; a, b and c are found by trying.
    """
    schedule, m = long_schedule(), MEAN[0, 0]
    score = MixtureScore(m.double().view(1, 1), SIGMA, schedule)
    alpha = schedule.alpha_bar[-1]
    mean, variance = alpha.sqrt() * m, alpha * SIGMA**2 + 1 - alpha
    for k, j in pairwise(sampler.grid(schedule, sampler.steps)):
        jump, draws = schedule.jump(k, j), []

        def step(at: list[float], loud: int | None = None, jump=jump, draws=draws):
            draws.clear()

            def noise(x):
                draws.append(None)
                return torch.full_like(x, float(len(draws) - 1 == loud))

            return sampler.step(score, torch.tensor(at)[:, None], jump, noise)[:, 0]

        b, sum_of_both = step([0.0, 1.0])
        a, calls = sum_of_both - b, len(draws)
        spread = sum((step([0.0], i)[0] - b) ** 2 for i in range(calls))
        mean, variance = a * mean + b, a**2 * variance + spread
    return float((mean - m).abs() + (variance - SIGMA**2).abs())


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_samplers_converge_with_the_order_that_they_declare(sampler):
    error = moment_error if sampler.stochastic else point_error
    coarse, fine = (error(type(sampler)(steps)) for steps in (400, 1600))
    measured = float(torch.tensor(coarse / fine).log2()) / 2
    assert measured == pytest.approx(sampler.order, abs=0.11)


@pytest.mark.parametrize("steps", [1, 2, 15, 150, 299, 300])
def test_a_fine_grid_visits_as_many_levels_as_asked_the_low_ones_more_often(steps):
    levels = FineGrid()(LinearSchedule(), steps)
    assert (levels[0], levels[-1], len(levels)) == (300, 0, steps + 1)
    jumps = [k - j for k, j in pairwise(levels)]
    assert min(jumps) >= 1
    assert sum(jumps[: len(jumps) // 2]) >= sum(jumps[len(jumps) // 2 :]) or steps < 3


def test_a_fine_grid_is_what_heuns_method_needs_where_data_have_fine_detail():
    schedule, sigma = LinearSchedule(), 0.05
    fine = point_error(HeunFlow(60, grid=lambda: FineGrid(sigma)), schedule, sigma)
    assert fine < 0.3 * point_error(HeunFlow(60), schedule, sigma)


def test_levels_may_be_written_down():
    schedule = LinearSchedule(20, 0.1, 0.3)
    sampler = EulerMaruyama(grid=lambda: GivenGrid([3, 11]))
    path = [k for k, _ in sampler.trajectory(gaussian(schedule), torch.randn(4, 2), schedule)]
    assert path == [20, 11, 3, 0]
    with pytest.raises(UserError, match=r"levels must be in \[0, 20\], got 21"):
        GivenGrid([21])(schedule)
    with pytest.raises(UserError, match="the levels given make 3 steps, not 5"):
        GivenGrid([3, 11])(schedule, 5)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_points_may_have_any_shape(sampler):
    schedule, centres = LinearSchedule(20, 0.1, 0.3), torch.randn(3, 2, 2)
    shaped = MixtureScore(centres, SIGMA, schedule)
    flat = MixtureScore(centres.flatten(1), SIGMA, schedule)
    x, seed = torch.randn(5, 2, 2), torch.Generator().manual_seed
    images = sampler(shaped, x, schedule, seed(1))
    assert images.shape == x.shape
    rows = sampler(flat, x.flatten(1), schedule, seed(1))
    torch.testing.assert_close(images.flatten(1), rows)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
def test_samples_depend_on_start_and_generator_alone(sampler):
    schedule = LinearSchedule(20, 0.1, 0.3)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(3))
    seed = torch.Generator().manual_seed
    first = sampler(gaussian(schedule), x, schedule, seed(1))
    torch.manual_seed(99)
    assert torch.equal(first, sampler(gaussian(schedule), x, schedule, seed(1)))
    other = sampler(gaussian(schedule), x, schedule, seed(2))
    assert torch.equal(first, other) is not sampler.stochastic


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


@pytest.mark.parametrize("steps", [300, 100])
def test_flow_log_densities_equal_the_exact_mixtures(steps):
    generator = torch.Generator().manual_seed(4)
    schedule = LinearSchedule()
    truth = MixtureScore(torch.randn(6, 2, generator=generator), 0.3, schedule)
    x = truth.centres.repeat(20, 1) + 0.3 * torch.randn(120, 2, generator=generator)
    by_flow = flow_log_prob(truth, x, schedule, FineGrid()(schedule, steps))
    exact = truth.log_prob(x, torch.tensor(0))
    # N(0, I) in place of p_K is worth up to about 0.05 nats; the integration's error far less.
    assert float((by_flow - exact).abs().max()) < 0.1
    assert abs(float((by_flow - exact).mean())) < 0.01


def test_flow_log_densities_of_the_shipped_spiral_are_exact_to_their_printed_digits():
    """By the trapezoidal rule on 100 even steps the mean was 0.0127 nats too high."""
    schedule, n = LinearSchedule(), 1500
    generator = torch.Generator().manual_seed(0)
    truth = MixtureScore(spiral_centres(500, 3.0, 2.0).double(), 0.05, schedule)
    chosen = truth.centres[torch.randint(500, (n,), generator=generator)]
    x = chosen + 0.05 * torch.randn(n, 2, generator=generator)
    by_flow = flow_log_prob(truth, x, schedule, FineGrid()(schedule, 100))
    error = by_flow - truth.log_prob(x, torch.tensor(0))
    assert abs(float(error.mean())) < 5e-4 + 3 * float(error.std()) / n**0.5
    assert float(error.std()) / n**0.5 < 3e-4


def test_flow_log_densities_of_images_are_those_of_their_rows():
    schedule, centres = LinearSchedule(50, 0.01, 0.2), torch.randn(3, 2, 2)
    x, levels = torch.randn(5, 2, 2), FineGrid()(schedule, 20)
    shaped = flow_log_prob(MixtureScore(centres, 0.3, schedule), x, schedule, levels)
    rows = MixtureScore(centres.flatten(1), 0.3, schedule)
    torch.testing.assert_close(shaped, flow_log_prob(rows, x.flatten(1), schedule, levels))


def test_impossible_samplers_are_refused():
    schedule = LinearSchedule()
    with pytest.raises(UserError, match=r"steps must be in \[1, 300\], got 0"):
        EulerMaruyama(0)(gaussian(schedule), torch.randn(2, 2), schedule)
    with pytest.raises(UserError, match="corrections must be at least 1"):
        PredictorCorrector(corrections=0)
    with pytest.raises(UserError, match=r"ratio must be in \(0, 1\), got 1"):
        PredictorCorrector(ratio=1.0)
