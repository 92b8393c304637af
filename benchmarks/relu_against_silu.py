"""Why score networks are smooth: ReLU against SiLU, the same network and the same loss.

    python benchmarks/relu_against_silu.py     (writes relu_against_silu.png)

Trains two small networks on the spiral of configs/spiral_score.yaml with the Hyvärinen loss at one
noise level, prints where they end and draws how. For both the loss measures the distance to the
true score, but for ReLU its gradient is wrong: the slope is constant between kinks, so that the
gradient of the divergence misses how the kinks move. That network stays near s = 0, as far from the
truth as if it had seen no data.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Generator, Tensor
from torch.optim import Adam

from callbacks.pictures.score_field import plane
from datamodules.spiral import SpiralDataModule
from elbolab.pictures import new_figure
from elbolab.seeding import derive_seed
from lightning_modules.functional.levels import VarianceWeight
from lightning_modules.functional.mixture import MixtureScore
from lightning_modules.functional.noise import noise_like
from lightning_modules.functional.schedule import LinearSchedule, diffuse
from lightning_modules.functional.score import DifferentiableScore
from lightning_modules.functional.score_matching import hyvarinen
from lightning_modules.nets.activations import Activation, ReLU, SiLU
from lightning_modules.nets.score_net import ScoreMLP

ACTIVATIONS: dict[str, Callable[[], Activation]] = {"SiLU": SiLU, "ReLU": ReLU}
HIDDEN = (64, 64)
BATCH = 500
LEARNING_RATE = 2e-3
WEIGHT = VarianceWeight(0.05)
EVERY = 20
"""Steps between two points of a curve."""


class CurvePoint(NamedTuple):
    """How far a network is from the true score, measured twice; the two should agree.

    Attributes:
        step: Training steps so far.
        excess: The loss over the true score's, weighted, in nats.
        fisher: Half the Fisher divergence, weighted, in nats.
    """

    step: int
    excess: float
    fisher: float


class ActivationStudy:
    """Trains networks on the spiral at one noise level.

    Args:
        level: The noise level k.
        steps: Training steps of each network.
        seed: Of everything.
    """

    def __init__(self, level: int, steps: int, seed: int = 0) -> None:
        self.level, self.steps, self.seed = level, steps, seed
        self.data, self.schedule = SpiralDataModule(), LinearSchedule(300, 1e-4, 0.04)
        self.truth = MixtureScore(self.data.centres, self.data.sigma_0, self.schedule)

    def train(self, activation: Callable[[], Activation]) -> tuple[ScoreMLP, list[CurvePoint]]:
        """A network with this activation after all steps, and its curve."""
        generator = Generator().manual_seed(derive_seed(self.seed, "activations"))
        torch.manual_seed(self.seed)
        net = ScoreMLP(2, self.schedule, HIDDEN, activation)
        optimizer = Adam(net.parameters(), lr=LEARNING_RATE)
        k = torch.full((BATCH,), self.level)
        curve = []
        for step in range(self.steps):
            x = self.data.draw(BATCH, generator)
            x_k = diffuse(x, k, self.schedule, noise_like(x, generator))
            s, trace = net.with_trace(x_k, k)
            loss = WEIGHT(k, self.schedule) * hyvarinen(s, trace)
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
            if step % EVERY == 0:
                curve.append(self._point(step, loss, s, x_k, k))
        return net, curve

    @torch.no_grad()
    def _point(self, step: int, loss: Tensor, s: Tensor, x: Tensor, k: Tensor) -> CurvePoint:
        true, trace = self.truth.with_trace(x, k)
        weight = WEIGHT(k, self.schedule)
        excess = (loss - weight * hyvarinen(true, trace)).mean()
        return CurvePoint(
            step, float(excess), float((0.5 * weight * (s - true).square().sum(1)).mean())
        )


@torch.no_grad()
def picture(
    curves: dict[str, list[CurvePoint]],
    fields: dict[str, DifferentiableScore],
    truth: DifferentiableScore,
    level: int,
) -> Figure:
    """The curves of all networks, and the fields that they and the truth end with."""
    figure = new_figure(13.5, 3.7)
    axes, *panels = figure.subplots(1, 2 + len(fields))
    points, k = plane(19, torch.device("cpu")), torch.tensor(level)
    longest = float(truth(points, k).norm(dim=1).max())
    for (name, curve), colour in zip(curves.items(), ("tab:blue", "tab:red"), strict=True):
        steps, excess, fisher = zip(*curve, strict=True)
        axes.plot(steps, excess, color=colour, lw=0.8, label=f"{name}: loss − true score's loss")
        axes.plot(steps, fisher, color=colour, lw=2, label=f"{name}: ½ Fisher divergence")
    axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="λ-weighted nats", title=f"Training at k = {level}")
    axes.legend(fontsize=6.5)
    axes.grid(alpha=0.3)
    for panel, (name, field) in zip(panels, (fields | {"true": truth}).items(), strict=True):
        _arrows(panel, points, field(points, k), longest * 10)
        panel.set_title(f"{name}, k = {level}", fontsize=9)
    return figure


def _arrows(axes: Axes, points: Tensor, s: Tensor, scale: float) -> None:
    (x, y), (u, v) = points.T.numpy(), s.T.numpy()
    axes.quiver(x, y, u, v, scale=scale, width=0.005)
    axes.set_aspect("equal")


def main() -> None:
    """Trains both, prints the last point of each curve and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--level", type=int, default=40, help="noise level k")
    parser.add_argument("--output", default="relu_against_silu.png")
    options = parser.parse_args()
    study = ActivationStudy(options.level, options.steps)
    trained = {name: study.train(build) for name, build in ACTIVATIONS.items()}
    print("| | loss − true score's loss | ½ Fisher divergence |")
    print("|---|---|---|")
    for name, (_, curve) in trained.items():
        print(f"| {name} | {curve[-1].excess:.4f} | {curve[-1].fisher:.4f} |")
    curves = {name: curve for name, (_, curve) in trained.items()}
    fields: dict[str, DifferentiableScore] = {name: net for name, (net, _) in trained.items()}
    path = Path(options.output)
    picture(curves, fields, study.truth, options.level).savefig(path)
    print(f"Drawn in {path}.")


if __name__ == "__main__":
    main()
