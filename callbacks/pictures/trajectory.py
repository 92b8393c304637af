"""A cloud of points on its way through the forward and the reverse process."""

from itertools import pairwise

import torch
from matplotlib.figure import Figure
from pytorch_lightning import LightningModule, Trainer
from torch import Generator, Tensor

from callbacks.contracts import ScoreBased, TrueScore, require
from callbacks.pictures.epoch_picture import ValidationPicture
from callbacks.pictures.point_pictures import Frames, animation, cloud, snapshot_grid
from callbacks.trainer_facts import run_of, writes_files
from elbolab.checks import check_at_least_one, check_in
from elbolab.pictures import new_figure
from elbolab.run_directory import write_atomically
from lightning_modules.functional.noise import noise_like
from lightning_modules.functional.samplers import EulerMaruyama, Sampler
from lightning_modules.functional.schedule import Schedule
from lightning_modules.functional.score import ScoreField

__all__ = ["ScoreTrajectories"]


class ScoreTrajectories(ValidationPicture):
    """Clouds of points on their way: forward, backward, with the true score and with none.

    Drawn are ``forward_process``, ``reverse_trajectory`` (also an animated GIF beside it),
    ``no_score_walk`` (the reverse process without its score term: points only wander) and
    ``samples_compared`` (data, true-score and learned-score samples). For data in the plane; what
    needs the true score is left out where that is unknown.

    Args:
        num_points: Points in each cloud.
        snapshots: Levels shown in a grid, at least 2.
        frames: Frames of the animation, at most so many, at least 2; 0 makes none.
        seed: Of the noise, the same at every drawing.
        every_n_epochs: Epochs between two drawings; the last epoch is always drawn.

    Raises:
        UserError: If a number is too small.
    """

    def __init__(
        self,
        num_points: int = 3000,
        snapshots: int = 6,
        frames: int = 60,
        seed: int = 0,
        every_n_epochs: int = 20,
    ) -> None:
        super().__init__(num_points, every_n_epochs)
        check_at_least_one(num_points=num_points)
        check_in("[2, inf)", snapshots=snapshots, frames=frames or 2)  # 0: no animation
        self.num_points, self.snapshots = num_points, snapshots
        self.frames, self.seed = frames, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, ScoreBased, self)

    def draw_from(
        self, trainer: Trainer, pl_module: LightningModule, examples: tuple[Tensor, ...]
    ) -> dict[str, Figure]:
        module = require(pl_module, ScoreBased, self)
        scores: dict[str, ScoreField] = {"learned score": module.score}
        if isinstance(pl_module, TrueScore):
            scores["true score"] = pl_module.truth
        paths = {name: self._reverse(module, score) for name, score in scores.items()}
        if self.frames and writes_files(trainer):
            moving = {name: _spread(path, self.frames) for name, path in paths.items()}
            write_atomically(run_of(trainer).images / "reverse_trajectory.gif", animation(moving))
        grids = {name: _spread(path, self.snapshots) for name, path in paths.items()}
        after = f"after epoch {trainer.current_epoch + 1}"
        return {
            "forward_process": _forward(examples[0], module.schedule, self.snapshots, self.seed),
            "reverse_trajectory": snapshot_grid(grids, f"From noise to samples, {after}"),
            "no_score_walk": self._no_score(module, grids["learned score"]),
            "samples_compared": _compared(examples[0], paths, after),
        }

    def _reverse(
        self, module: ScoreBased, score: ScoreField, sampler: Sampler | None = None
    ) -> Frames:
        generator = Generator().manual_seed(self.seed)
        x = module.noise(self.num_points, generator)
        path = (sampler or module.sampler).trajectory(score, x, module.schedule, generator)
        return {k: points.float().cpu().numpy() for k, points in path}

    def _no_score(self, module: ScoreBased, with_score: Frames) -> Figure:
        walk = self._reverse(module, lambda x, _: torch.zeros_like(x), EulerMaruyama())
        rows = {"with the score": with_score, "without": _spread(walk, self.snapshots)}
        reach = float(abs(walk[0]).max())
        title = f"Without the score points only wander, as far as {reach:.0f}"
        return snapshot_grid(rows, title, [3.0, reach])


def _spread(path: Frames, n: int) -> Frames:
    """``n`` moments of a path, first and last included, denser towards the end."""
    levels = list(path)
    last = len(levels) - 1
    chosen = {round(last * (1 - (1 - i / (n - 1)) ** 2)) for i in range(n)}
    return {levels[i]: path[levels[i]] for i in sorted(chosen)}


def _forward(data: Tensor, schedule: Schedule, snapshots: int, seed: int) -> Figure:
    """One path of every point, step by step, as q(x_k|x_{k−1}) has it."""
    generator, x = Generator().manual_seed(seed), data
    path = [(0, x.cpu().numpy())]
    for j, k in pairwise(range(schedule.steps + 1)):
        beta = schedule.transition(k, j)
        x = (1 - beta).sqrt() * x + beta.sqrt() * noise_like(x, generator)
        path.append((k, x.cpu().numpy()))
    chosen = _spread(dict(reversed(path)), snapshots)
    shown = {k: chosen[k] for k in sorted(chosen)}
    return snapshot_grid({"data → noise": shown}, "The forward process")


def _compared(data: Tensor, paths: dict[str, Frames], after: str) -> Figure:
    clouds = {"data": data.cpu().numpy()}
    clouds |= {f"samples, {name}": path[0] for name, path in reversed(paths.items())}
    figure = new_figure(3.6 * len(clouds), 4.3)
    for axes, (name, points) in zip(
        figure.subplots(1, len(clouds), sharey=True), clouds.items(), strict=True
    ):
        cloud(axes, points, 2.5)
        axes.set_title(f"{name}: {len(points):,} points", fontsize=9)
    figure.suptitle(f"Data and samples {after}", fontsize=10)
    return figure
