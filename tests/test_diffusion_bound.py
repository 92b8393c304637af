"""The bound on log-densities: tight where it can be, below what it bounds everywhere else."""

import math

import pytest
import torch

from lightning_modules.functional.diffusion_bound import diffusion_bound
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.schedule import LinearSchedule

DATA = torch.tensor(0)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(c: float):
    """s(x) = −c x."""
    return lambda x, k: -c * x


def mean_and_error(values: torch.Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


@pytest.mark.parametrize("steps", [1, 7, 40])
def test_for_the_exact_score_of_a_normal_density_it_is_the_log_density(steps):
    """However few the steps: p(x_{k−1}|x_k) is then the true reverse process."""
    schedule = LinearSchedule(steps, 0.1, 0.95)
    x = torch.tensor([[0.3, -1.2, 2.0]]).expand(4000, 3)
    mean, error = mean_and_error(diffusion_bound(linear(1.0), x, schedule, seeded(1)))
    exact = float(-0.5 * (x[0].square() + math.log(2 * math.pi)).sum())
    assert abs(mean - exact) < 4 * error + 1e-9


def test_bounds_differ_by_the_fisher_divergences_of_standard_normal_data():
    """The true score of N(0, I) is −x at every level, and E‖(1 − c) x‖² = d (1 − c)²."""
    schedule, d, n = LinearSchedule(40, 0.005, 0.2), 3, 20_000
    x = torch.randn(n, d, generator=seeded())
    weight = (schedule.beta / (1 - schedule.beta)).sum()
    for c in (0.5, 1.2):
        bounds = [diffusion_bound(linear(s), x, schedule, seeded(1)) for s in (1.0, c)]
        mean, error = mean_and_error(bounds[0] - bounds[1])
        wanted = float(0.5 * weight * d * (1 - c) ** 2)
        assert abs(mean - wanted) < 4 * error
        assert 4 * error < 0.2 * wanted  # the test can tell


def mixture_points(n: int, schedule) -> tuple[MixtureScore, torch.Tensor]:
    generator = seeded(2)
    truth = MixtureScore(torch.randn(6, 2, generator=generator), 0.3, schedule)
    chosen = truth.centres[torch.randint(6, (n,), generator=generator)]
    return truth, chosen + 0.3 * torch.randn(n, 2, generator=generator)


@pytest.mark.parametrize("steps", [10, 60])
def test_with_the_exact_score_of_a_mixture_its_mean_stays_below_the_log_density(steps):
    """The coarser the steps the lower; a rectangle rule would rise above."""
    schedule = LinearSchedule(steps, 1e-4 * 300 / steps, min(0.04 * 300 / steps, 0.9))
    truth, x = mixture_points(30_000, schedule)
    gap = truth.log_prob(x, DATA) - diffusion_bound(truth, x, schedule, seeded(3))
    mean, error = mean_and_error(gap)
    assert mean > 3 * error


def test_with_the_default_schedule_it_is_within_a_tenth_of_a_nat_of_a_mixture():
    schedule = LinearSchedule()
    truth, x = mixture_points(4000, schedule)
    gap = truth.log_prob(x, DATA) - diffusion_bound(truth, x, schedule, seeded(3))
    mean, error = mean_and_error(gap)
    assert -4 * error < mean < 0.1 + 4 * error


def test_with_any_other_score_it_is_lower():
    schedule = LinearSchedule(60, 0.001, 0.2)
    truth, x = mixture_points(4000, schedule)
    best = diffusion_bound(truth, x, schedule, seeded(3))
    for wrong in (linear(1.0), linear(0.0), lambda x, k: 1.1 * truth(x, k)):
        mean, error = mean_and_error(best - diffusion_bound(wrong, x, schedule, seeded(3)))
        assert mean > 4 * error


def test_points_may_have_any_shape():
    schedule, x = LinearSchedule(20, 0.05, 0.5), torch.randn(5, 2, 3, generator=seeded())
    flat = diffusion_bound(linear(0.7), x.flatten(1), schedule, seeded(1))
    shaped = diffusion_bound(linear(0.7), x, schedule, seeded(1))
    torch.testing.assert_close(shaped, flat)
