"""Schedules, the exact mixture and derivatives of score fields against independent truths."""

import math
from itertools import pairwise

import pytest
import torch
from torch.autograd import grad
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from elbolab.errors import UserError
from lightning_modules.functional.levels import EvenGrid, FineLevels, UniformLevels, draw_levels
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.sample_quality import distance_to_path, sliced_wasserstein
from lightning_modules.functional.schedule import CosineSchedule, LinearSchedule, diffuse
from lightning_modules.functional.score import DifferentiableScore
from lightning_modules.nets.activations import ReLU, SiLU
from lightning_modules.nets.embeddings import FourierTime, LogSNR, RawTime
from lightning_modules.nets.inputs import DampedFourier, Identity
from lightning_modules.nets.score_net import ScoreMLP


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def mixture(schedule=None, components=7, sigma_0=0.2, d=2) -> MixtureScore:
    generator = torch.Generator().manual_seed(0)
    centres = 1.5 * torch.randn(components, d, generator=generator)
    return MixtureScore(centres, sigma_0, schedule or LinearSchedule())


def some_points(n=40, d=2, spread=2.0):
    return spread * torch.randn(n, d, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "make", [LinearSchedule, CosineSchedule, lambda: LinearSchedule(1, 0.95)], ids=range(3)
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_alpha_bar_is_the_product_and_transitions_compose(make, dtype):
    torch.set_default_dtype(dtype)
    schedule = make()
    product = torch.cumprod(1 - schedule.beta, 0)
    torch.testing.assert_close(schedule.alpha_bar, product)
    torch.testing.assert_close(schedule.noise_variance, 1 - product)
    assert float(schedule.alpha_bar[0]) == 1
    assert ((schedule.beta[1:] > 0) & (schedule.beta[1:] < 1)).all()
    for k in {1, schedule.steps}:
        assert float(schedule.transition(k, k - 1)) == pytest.approx(
            float(schedule.beta[k]), rel=1e-4
        )


def test_the_defaults_end_in_noise():
    assert float(LinearSchedule().alpha_bar[-1]) == pytest.approx(0.0022, abs=5e-5)
    assert float(CosineSchedule().alpha_bar[-1]) < 1e-4


def test_small_noise_variances_are_exact_in_single_precision():
    torch.set_default_dtype(torch.float32)
    assert float(LinearSchedule().noise_variance[1]) == pytest.approx(1e-4, rel=1e-6)


@pytest.mark.parametrize("steps", [1, 7, 30, 299, 300])
def test_a_grid_goes_from_the_top_to_the_data_in_about_equal_jumps(steps):
    grid = EvenGrid()(LinearSchedule(), steps)
    jumps = [k - j for k, j in pairwise(grid)]
    assert (grid[0], grid[-1], len(jumps)) == (300, 0, steps)
    assert max(jumps) - min(jumps) <= 1
    assert min(jumps) > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearSchedule(0), "must be at least 1, got 0"),
        (lambda: CosineSchedule(0), "must be at least 1, got 0"),
        (lambda: LinearSchedule(10, 0.0), r"beta_min must be in \(0, 1\)"),
        (lambda: LinearSchedule(10, 0.1, 1.0), r"beta_max must be in \(0, 1\)"),
        (lambda: LinearSchedule(10, math.nan), r"beta_min must be in \(0, 1\)"),
        (lambda: CosineSchedule(10, -0.1), "offset must be above 0"),
        (lambda: EvenGrid()(LinearSchedule(), 301), r"steps must be in \[1, 300\], got 301"),
    ],
)
def test_impossible_schedules_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_schedule_that_ends_too_early_warns_of_its_samples():
    with pytest.warns(UserWarning, match=r"ᾱ_K = 0\.\d+, above 0\.1.*samples.*blurred"):
        LinearSchedule(30)


def test_forward_samples_have_the_moments_of_the_marginal():
    schedule, truth, n = LinearSchedule(), mixture(), 200_000
    generator = torch.Generator().manual_seed(2)
    chosen = torch.randint(len(truth.centres), (n,), generator=generator)
    x = truth.centres[chosen] + truth.sigma_0 * torch.randn(n, 2, generator=generator)
    for level in (1, 60, 300):
        k = torch.full((n,), level)
        x_k = diffuse(x, k, schedule, torch.randn(n, 2, generator=generator))
        alpha = math.prod(1 - float(b) for b in schedule.beta[1 : level + 1])
        mean = alpha**0.5 * truth.centres.mean(0)
        variance = alpha * (truth.centres.var(0, unbiased=False) + 0.04) + 1 - alpha
        error = (variance / n).sqrt()
        assert ((x_k.mean(0) - mean).abs() < 4 * error).all()
        # Of these mixtures the fourth moment is below that of a Gaussian of equal variance.
        assert ((x_k.var(0) - variance).abs() < 4 * variance * (2 / n) ** 0.5).all()


@pytest.mark.parametrize("level", [0, 1, 40, 300])
def test_exact_densities_integrate_to_one_and_equal_torchs_own(level):
    truth, k = mixture(), torch.tensor(level)
    line = torch.linspace(-8, 8, 401)
    grid = torch.cartesian_prod(line, line)
    total = truth.log_prob(grid, k).exp().sum() * (16 / 400) ** 2
    assert float(total) == pytest.approx(1, abs=1e-6)
    alpha = float(truth.schedule.alpha_bar[level])
    spread = (alpha * truth.sigma_0**2 + 1 - alpha) ** 0.5
    parts = Independent(Normal(alpha**0.5 * truth.centres, spread), 1)
    same = MixtureSameFamily(Categorical(torch.ones(len(truth.centres))), parts)
    x = some_points()
    torch.testing.assert_close(truth.log_prob(x, k), same.log_prob(x))


@pytest.mark.parametrize("d", [2, 5])
def test_the_exact_score_and_trace_are_derivatives_of_the_log_density(d):
    truth = mixture(d=d)
    x, k = some_points(d=d).requires_grad_(), torch.arange(40) * 7 + 1
    (wanted,) = grad(truth.log_prob(x, k).sum(), x, create_graph=True)
    s, trace = truth.with_trace(x, k)
    assert float((s - wanted).abs().max()) < 1e-10 * float(wanted.abs().max())
    torch.testing.assert_close(s, truth(x, k), rtol=1e-12, atol=1e-12)
    columns = [grad(wanted[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(d)]
    torch.testing.assert_close(trace, sum(columns), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_away_all_stays_finite_and_points_home(dtype):
    torch.set_default_dtype(dtype)
    generator = torch.Generator().manual_seed(0)
    truth = MixtureScore(torch.randn(7, 2, generator=generator), 0.05, LinearSchedule())
    x = 50 * torch.tensor([[1.0, 0.0], [-0.6, 0.8]])
    for level in (0, 1, 300):
        k = torch.tensor(level)
        s, trace = truth.with_trace(x, k)
        assert s.isfinite().all()
        assert trace.isfinite().all()
        assert truth.log_prob(x, k).isfinite().all()
        assert ((s * x).sum(1) < 0).all()


NETS = {
    "default": lambda: ScoreMLP(3, LinearSchedule(), [16, 12]),
    "base": lambda: ScoreMLP(3, LinearSchedule(), [16], ReLU, RawTime, Identity, None),
    "deep": lambda: ScoreMLP(3, LinearSchedule(), [8, 8, 8], SiLU, FourierTime, DampedFourier),
    "log_snr": lambda: ScoreMLP(3, LinearSchedule(), [9, 7], SiLU, LogSNR, Identity),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("one_level", [True, False])
def test_hand_carried_derivatives_equal_autograds(name, one_level):
    net = NETS[name]()
    x = some_points(9, 3)
    k = torch.tensor(17) if one_level else torch.randint(1, 301, (9,))
    full = torch.autograd.functional.jacobian(lambda x: net(x, k), x)
    jacobian = torch.stack([full[i, :, i] for i in range(9)])
    s, trace = net.with_trace(x, k)
    torch.testing.assert_close(s, net(x, k))
    torch.testing.assert_close(trace, jacobian.diagonal(dim1=1, dim2=2).sum(1))
    v = torch.randn(4, 9, 3)
    wanted = torch.einsum("bij,nbj->nbi", jacobian, v)
    torch.testing.assert_close(net.pushforward(x, k, v)[1], wanted)
    torch.testing.assert_close(DifferentiableScore.pushforward(net, x, k, v)[1], wanted)


@pytest.mark.parametrize("name", NETS)
def test_parameter_gradients_through_the_trace_equal_autograds(name):
    net = NETS[name]()
    x, k = some_points(9, 3).requires_grad_(), torch.randint(1, 301, (9,))
    s = net(x, k)
    columns = [grad(s[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(3)]
    weights = list(net.parameters())
    loss = (s**4).sum() + (sum(columns) ** 2).sum()
    wanted = grad(loss, weights, materialize_grads=True)
    s, trace = net.with_trace(x, k)
    carried = grad((s**4).sum() + (trace**2).sum(), weights, materialize_grads=True)
    for a, b in zip(carried, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_the_dual_of_silu_passes_gradcheck():
    z = torch.randn(3, 4, 5, requires_grad=True)
    assert torch.autograd.gradcheck(SiLU().dual, (z,))


@pytest.mark.parametrize("shares", [UniformLevels(), FineLevels(), FineLevels(0.1, 1.0)])
def test_levels_are_drawn_in_their_shares(shares):
    torch.manual_seed(0)
    p = shares(LinearSchedule(10, 0.01, 0.7))
    p = p / p.sum()
    draws = torch.cat([draw_levels(7, p) for _ in range(3000)])
    counts = torch.bincount(draws, minlength=11)[1:]
    assert counts.sum() == 21_000
    # Evenly spread, so that they vary less than binomially.
    assert ((counts - 21_000 * p).abs() < 4 * (21_000 * p * (1 - p)).sqrt()).all()


def test_equal_shares_of_as_many_examples_as_levels_give_each_level_once():
    torch.manual_seed(0)
    assert draw_levels(300, UniformLevels()(LinearSchedule())).tolist() == list(range(1, 301))


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection():
    x = some_points(500)
    shift = torch.tensor([0.3, -0.4])
    distance = sliced_wasserstein(x, x + shift, 4000, torch.Generator().manual_seed(0))
    # E(θᵀc)² = |c|²/2 in the plane; the mean of n squares has a relative error of 1/√(2n).
    assert float(distance) == pytest.approx(0.5 / 2**0.5, rel=4 / (2 * 4000) ** 0.5)
    assert float(sliced_wasserstein(x, x.flip(0), 10)) == 0


def test_distance_to_a_path():
    path = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    x = torch.tensor([[0.5, 0.2], [1.3, 0.5], [-3.0, -4.0], [1.0, 2.0]])
    torch.testing.assert_close(distance_to_path(x, path, 2), torch.tensor([0.2, 0.3, 5.0, 1.0]))
    torch.testing.assert_close(distance_to_path(x[2:3], path[:1]), torch.tensor([5.0]))
