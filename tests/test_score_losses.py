"""The three losses: one minimiser, signs included, on Gaussian data where it is known."""

import math
from functools import partial

import pytest
import torch

from elbolab.errors import UserError
from lightning_modules.functional.levels import UniformWeight, VarianceWeight
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.noise import noise_like
from lightning_modules.functional.schedule import LinearSchedule, diffuse
from lightning_modules.functional.score import DifferentiableScore
from lightning_modules.functional.score_matching import (
    Denoising,
    Hyvarinen,
    Noised,
    Sliced,
    hyvarinen,
)
from lightning_modules.nets.activations import ReLU, SiLU
from lightning_modules.nets.inputs import Identity
from lightning_modules.nets.score_net import ScoreMLP

LOSSES = [Hyvarinen(), Sliced(), Sliced(3), Denoising()]
LEVEL = 80


def apply(loss, score, x, k, schedule, generator=None):
    """A loss of data x, all noise from one generator, that of the points first."""
    noise = partial(noise_like, generator=generator)
    return loss(score, Noised.of(x, k, schedule, noise(x)), noise)


class LinearField(DifferentiableScore):
    """s(x) = A x + b: for Gaussian data the true score is one of these."""

    def __init__(self, d: int):
        super().__init__()
        self.A = torch.nn.Parameter(torch.zeros(d, d))
        self.b = torch.nn.Parameter(torch.zeros(d))

    def forward(self, x, k):
        return x @ self.A.T + self.b


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def gaussian_data(n=40_000):
    """Data of N(m, S) with correlated dimensions."""
    torch.manual_seed(0)
    factor = torch.tensor([[1.0, 0.0], [0.6, 0.5]])
    mean = torch.tensor([0.7, -0.3])
    return mean + torch.randn(n, 2) @ factor.T, mean, factor @ factor.T


def minimiser(loss, x, schedule):
    """A and b at the minimum of a loss that is quadratic in them: one Newton step from 0."""
    field = LinearField(2)
    k = torch.full((len(x),), LEVEL)
    generator = torch.Generator().manual_seed(1)
    parameters = (field.A, field.b)
    flat = lambda: apply(loss, field, x, k, schedule, generator.manual_seed(1)).mean()  # noqa: E731
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(flat(), parameters)])
    columns = []
    for i in range(6):
        with torch.no_grad():
            field.A.view(-1)[i : i + 1].add_(1.0) if i < 4 else field.b[i - 4 : i - 3].add_(1.0)
        moved = torch.cat([g.flatten() for g in torch.autograd.grad(flat(), parameters)])
        columns.append(moved - gradient)
        with torch.no_grad():
            field.A.zero_()
            field.b.zero_()
    solution = -torch.linalg.solve(torch.stack(columns, 1), gradient)
    return solution[:4].view(2, 2), solution[4:]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_each_loss_recovers_the_true_score_of_a_gaussian(loss):
    x, mean, covariance = gaussian_data()
    schedule = LinearSchedule()
    alpha = schedule.alpha_bar[LEVEL]
    precision = torch.linalg.inv(alpha * covariance + (1 - alpha) * torch.eye(2))
    A, b = minimiser(loss, x, schedule)  # noqa: N806
    # s* = −P (x − √ᾱ m). 40,000 points: errors of some P √(d/n) ~ 0.015.
    torch.testing.assert_close(A, -precision, atol=0.05, rtol=0)
    torch.testing.assert_close(b, precision @ (alpha.sqrt() * mean), atol=0.05, rtol=0)


def test_denoising_targets_point_from_the_noisy_point_to_the_clean_one():
    class Target(DifferentiableScore):
        """(√ᾱ x − x̃)/(1 − ᾱ), as the reference has it, for one known x."""

        def forward(self, x, k):
            alpha = schedule.alpha_bar[k].unsqueeze(1)
            return (alpha.sqrt() * clean - x) / (1 - alpha)

    schedule, clean = LinearSchedule(), torch.tensor([[0.5, -1.0]])
    k = torch.arange(1, 301)
    loss = apply(Denoising(), Target(), clean.expand(300, 2), k, schedule)
    assert float(loss.max()) < 1e-12


@pytest.mark.parametrize("projections", [1, 4])
def test_the_sliced_loss_is_unbiased_for_the_exact_one(projections):
    torch.manual_seed(2)
    schedule = LinearSchedule()
    net = ScoreMLP(3, schedule, [16, 16])
    x, k = torch.randn(1, 3).expand(40_000, 3), torch.tensor([50]).expand(40_000)
    seed = torch.Generator().manual_seed
    # The same noise ε comes first.
    sliced = apply(Sliced(projections), net, x, k, schedule, seed(3)).detach()
    exact = apply(Hyvarinen(), net, x, k, schedule, seed(3)).detach()
    difference = sliced - exact
    error = difference.std() / len(x) ** 0.5
    assert abs(float(difference.mean())) < 4 * float(error)
    assert float(error) > 0


def test_the_true_scores_loss_is_minus_half_its_square_and_excess_is_half_the_fisher_divergence():
    torch.manual_seed(4)
    schedule, n = LinearSchedule(), 100_000
    truth = MixtureScore(torch.randn(5, 2), 0.3, schedule)
    x = truth.centres[torch.randint(5, (n,))] + 0.3 * torch.randn(n, 2)
    k = torch.full((n,), 30)
    x_k = diffuse(x, k, schedule, torch.randn(n, 2))
    true, trace = truth.with_trace(x_k, k)
    at_truth = hyvarinen(true, trace)
    gap = at_truth + 0.5 * true.square().sum(1)
    assert abs(float(gap.mean())) < 4 * float(gap.std()) / n**0.5
    net = ScoreMLP(2, schedule, [16])
    with torch.no_grad():
        s, learned_trace = net.with_trace(x_k, k)
    difference = hyvarinen(s, learned_trace) - at_truth - 0.5 * (s - true).square().sum(1)
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / n**0.5


def test_weights():
    schedule, k = LinearSchedule(), torch.tensor([1, 300])
    assert UniformWeight()(k, schedule).tolist() == [1, 1]
    alpha = math.prod(1 - float(b) for b in schedule.beta[1:])
    weights = VarianceWeight(0.1)(k, schedule)
    assert float(weights[0]) == pytest.approx((1 - 1e-4) * 0.01 + 1e-4)
    assert float(weights[1]) == pytest.approx(alpha * 0.01 + 1 - alpha)
    with pytest.raises(UserError, match="resolution"):
        VarianceWeight(-1)
    with pytest.raises(UserError, match="projections must be at least 1"):
        Sliced(0)


def bias_gradients(activation) -> tuple[float, float, float]:
    """d E[tr J]/d b for one bias: by autograd, by finite differences, and the latter's error."""
    torch.manual_seed(5)
    net = ScoreMLP(2, LinearSchedule(), [16, 16], activation, inputs=Identity)
    x, k = torch.randn(100_000, 2), torch.tensor(100)
    unit, h = int(net.first.weight[:, :2].norm(dim=1).argmax()), 0.05
    trace = net.with_trace(x, k)[1].mean()
    (slopes,) = torch.autograd.grad(trace, net.first.bias, materialize_grads=True)
    with torch.no_grad():
        net.first.bias[unit] += h
        above = net.with_trace(x, k)[1]
        net.first.bias[unit] -= 2 * h
        change = (above - net.with_trace(x, k)[1]) / (2 * h)
    return float(slopes[unit]), float(change.mean()), float(change.std()) / len(x) ** 0.5


def test_the_gradient_of_the_divergence_misses_how_kinks_move():
    slope, wanted, error = bias_gradients(SiLU)
    assert slope == pytest.approx(wanted, rel=0.01)
    slope, wanted, error = bias_gradients(ReLU)
    assert slope == 0
    assert abs(wanted) > 8 * error


def distance_after_training(activation) -> tuple[float, float]:
    """½E‖s − s*‖² and ½E‖s*‖² after 150 steps, at one level."""
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(5)
    schedule = LinearSchedule()
    truth = MixtureScore(torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.5]]), 0.3, schedule)
    net = ScoreMLP(2, schedule, [48, 48], activation, inputs=Identity, resolution=0.3)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)

    def data(n):
        return truth.centres[torch.randint(3, (n,))] + 0.3 * torch.randn(n, 2)

    for _ in range(150):
        optimizer.zero_grad()
        apply(Hyvarinen(), net, data(256), torch.full((256,), 10), schedule).mean().backward()
        optimizer.step()
    x, k = data(5000), torch.full((5000,), 10)
    x_k = diffuse(x, k, schedule, torch.randn(5000, 2))
    with torch.no_grad():
        s, true = net(x_k, k), truth(x_k, k)
    return float(0.5 * (s - true).square().mean()), float(0.5 * true.square().mean())


def test_relu_learns_nothing_where_silu_learns_the_score():
    distance, of_nothing = distance_after_training(ReLU)
    smooth_distance, _ = distance_after_training(SiLU)
    assert smooth_distance < 0.5 * of_nothing
    assert distance > 0.8 * of_nothing
