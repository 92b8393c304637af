"""Why score networks are smooth: ReLU against SiLU, the same network and the same loss."""

from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Generator, Tensor
from torch.optim import Adam

from callbacks.contracts import SpiralData, TrueScore, require, spiral_data
from callbacks.pictures.epoch_picture import EpochPicture
from callbacks.pictures.score_field import check_levels, plane
from elbolab.errors import UserError
from elbolab.pictures import new_figure
from elbolab.seeding import derive_seed
from lightning_modules.functional.levels import VarianceWeight
from lightning_modules.functional.schedule import Schedule, diffuse, noise_like
from lightning_modules.functional.score import Score
from lightning_modules.functional.score_matching import hyvarinen
from lightning_modules.nets.activations import Activation, ReLU, SiLU
from lightning_modules.nets.score_net import ScoreMLP

__all__ = ["ReluAgainstSilu"]

WEIGHT = VarianceWeight(0.05)
EVERY = 20
"""Steps between two points of a curve."""

Curve = list[tuple[int, float, float]]
"""(step, loss over the true score's, half the Fisher divergence), which should agree."""


class ReluAgainstSilu(EpochPicture):
    """Trains two small networks with the Hyvärinen loss at the end of a fit and draws what happens.

    For both the loss measures the distance to the true score, but for ReLU its gradient is wrong:
    the slope is constant between kinks, so that the gradient of the divergence misses how the kinks
    move. The network stays near s = 0, as far from the truth as if it had seen no data.

    Args:
        steps: Training steps of each, at least 1.
        batch_size: Points per step, at least 1.
        hidden: Widths of their hidden layers.
        level: Noise level k at which both are trained and shown.
        seed: Of everything.

    Raises:
        UserError: If a number is below 1.
    """

    def __init__(
        self,
        steps: int = 1000,
        batch_size: int = 500,
        hidden: tuple[int, ...] = (64, 64),
        level: int = 40,
        seed: int = 0,
    ) -> None:
        super().__init__(every_n_epochs=1)
        if min(steps, batch_size, level) < 1:
            raise UserError(
                "ReluAgainstSilu: steps, batch_size and level must be at least 1, got "
                f"{steps}, {batch_size} and {level}."
            )
        self.steps, self.batch_size, self.hidden = steps, batch_size, hidden
        self.level, self.seed = level, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        check_levels([self.level], require(pl_module, TrueScore, self), self)

    def due(self, trainer: Trainer) -> bool:
        return False  # once, at the end

    def draw(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Figure]:
        module, data = require(pl_module, TrueScore, self), spiral_data(trainer)
        found = {
            name: self._train(activation, module.schedule, module.truth, data)
            for name, activation in {"SiLU": SiLU, "ReLU": ReLU}.items()
        }
        return {"relu_against_silu": _picture(found, module.truth, self.level, pl_module.device)}

    @torch.enable_grad()
    def _train(
        self,
        activation: Callable[[], Activation],
        schedule: Schedule,
        truth: Score,
        data: SpiralData,
    ) -> tuple[Score, Curve]:
        generator = Generator().manual_seed(derive_seed(self.seed, "activations"))
        k = torch.full((self.batch_size,), self.level, device=schedule.beta.device)
        net = self._network(activation, schedule)
        optimizer = Adam(net.parameters(), lr=2e-3)
        curve: Curve = []
        for step in range(self.steps):
            x = data.draw(self.batch_size, generator).to(k.device)
            x_k = diffuse(x, k, schedule, noise_like(x, generator))
            s, trace = net.with_trace(x_k, k)
            loss = WEIGHT(k, schedule) * hyvarinen(s, trace)
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            if step % EVERY == 0:
                curve.append((step, *_figures(loss, s, x_k, k, truth, schedule)))
        return net, curve

    def _network(self, activation: Callable[[], Activation], schedule: Schedule) -> ScoreMLP:
        """The same initial weights for both, without touching the run's noise."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return ScoreMLP(2, schedule, self.hidden, activation).to(schedule.beta.device)


@torch.no_grad()
def _figures(
    loss: Tensor, s: Tensor, x: Tensor, k: Tensor, truth: Score, schedule: Schedule
) -> tuple[float, float]:
    true, trace = truth.with_trace(x, k)
    weight = WEIGHT(k, schedule)
    excess = (loss - weight * hyvarinen(true, trace)).mean()
    return float(excess), float((0.5 * weight * (s - true).square().sum(1)).mean())


def _picture(
    found: dict[str, tuple[Score, Curve]], truth: Score, level: int, device: torch.device
) -> Figure:
    figure = new_figure(13.5, 3.7)
    curves, *panels = figure.subplots(1, 4)
    points, k = plane(19, device), torch.tensor(level, device=device)
    longest = float(truth(points, k).norm(dim=1).max())
    for (name, (_, curve)), colour in zip(found.items(), ("tab:blue", "tab:red"), strict=True):
        steps, excess, fisher = zip(*curve, strict=True)
        curves.plot(steps, excess, color=colour, lw=0.8, label=f"{name}: loss − true score's loss")
        curves.plot(steps, fisher, color=colour, lw=2, label=f"{name}: ½ Fisher divergence")
    curves.set_yscale("log")
    curves.set(xlabel="step", ylabel="λ-weighted nats", title=f"Training at k = {level}")
    curves.legend(fontsize=6.5)
    curves.grid(alpha=0.3)
    fields = {name: net for name, (net, _) in found.items()} | {"true": truth}
    for axes, (name, field) in zip(panels, fields.items(), strict=True):
        _field(axes, points, field(points, k), longest * 10)
        axes.set_title(f"{name}, k = {level}", fontsize=9)
    return figure


def _field(axes: Axes, points: Tensor, s: Tensor, scale: float) -> None:
    (x, y), (u, v) = points.T.cpu().numpy(), s.T.cpu().numpy()
    axes.quiver(x, y, u, v, scale=scale, width=0.005)
    axes.set_aspect("equal")
