"""The bound on log-densities, against the Fisher divergences that it differs by."""

import torch

from lightning_modules.functional.diffusion_bound import diffusion_bound
from lightning_modules.functional.schedule import LinearSchedule
from lightning_modules.functional.score import Score


class Linear(Score):
    """s(x) = −c x."""

    def __init__(self, c: float) -> None:
        super().__init__()
        self.c = c

    def forward(self, x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return -self.c * x


def bound(c: float, x: torch.Tensor, schedule: LinearSchedule) -> torch.Tensor:
    return diffusion_bound(Linear(c), x, schedule, torch.Generator().manual_seed(1))


def test_bounds_differ_by_the_fisher_divergences_of_standard_normal_data():
    """The true score of N(0, I) is −x at every level, and E‖(1 − c) x‖² = d (1 − c)²."""
    schedule, d, n = LinearSchedule(40, 0.005, 0.2), 3, 20_000
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    for c in (0.5, 1.2):
        gap = bound(1.0, x, schedule) - bound(c, x, schedule)
        wanted = float(0.5 * schedule.beta.sum() * d * (1 - c) ** 2)
        error = float(gap.std() / n**0.5)
        assert abs(float(gap.mean()) - wanted) < 4 * error
        assert 4 * error < 0.2 * wanted  # the test can tell
