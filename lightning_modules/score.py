"""Score models: a network learns ∇ log p_k at every noise level k of a forward process."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Generator, Tensor
from torch.nn import Parameter
from torch.optim import Adam
from torch.optim.swa_utils import AveragedModel

from elbolab.checks import check_in
from elbolab.errors import UserError
from elbolab.whole_run import WholeRun
from lightning_modules.checkpoints import keep_plain_hyperparameters
from lightning_modules.functional.levels import (
    FineGrid,
    LevelShares,
    LevelWeight,
    UniformLevels,
    VarianceWeight,
    draw_levels,
    levels_at,
)
from lightning_modules.functional.noise import ContentNoise, noise_like
from lightning_modules.functional.precision import uncast
from lightning_modules.functional.probability_flow import flow_log_prob
from lightning_modules.functional.samplers import EulerMaruyama, Sampler
from lightning_modules.functional.schedule import LinearSchedule, Schedule
from lightning_modules.functional.score import DifferentiableScore
from lightning_modules.functional.score_matching import Hyvarinen, Noised, ScoreLoss, hyvarinen
from lightning_modules.nets.score_net import ScoreMLP, ScoreNet
from lightning_modules.trainable import TrainableModule

__all__ = ["ScoreModel"]


class ScoreModel(TrainableModule):
    """A score network s(x, k) for vectors x ∈ R^d, trained by score matching, sampled backwards.

    Network, schedule, loss, weighting of the noise levels and sampler are objects of their own;
    another one is a ``class_path`` in the YAML. Samples and evaluation use the exponential moving
    average of the weights.

    Steps return the level ``k`` of each example and the values there, weighted with λ_k; the
    Hyvärinen monitor logs them. In evaluation level and noise are functions of the example, so that
    figures depend neither on batches nor on processes, and nothing is in half precision.

    Args:
        shape: Shape of one example, ``(d,)``; the command line takes it from the data.
        net: The score network, built with d and the schedule.
        schedule: The forward process.
        loss: What training minimises.
        weight: λ_k, the weight of noise level k in loss and metrics.
        levels: p_k, the share of noise level k among the training examples; evaluation takes equal
            shares.
        sampler: How ``sample`` walks back from noise to data.
        ema_decay: Share of the averaged weights that a step keeps, in [0, 1); less in the first
            steps, which would otherwise be remembered for long; 0 averages nothing.
        flow_steps: Steps of the integration in ``log_prob``, see `FineGrid`; all K by default.
        optimizer: Builds the optimiser from the parameters.
        lr_scheduler: Builds a schedule from the optimiser, stepped once per epoch.

    Raises:
        UserError: If the shape is no vector's or the decay is out of range.
    """

    whole_run = WholeRun(
        figures=("callbacks.monitors.hyvarinen.HyvarinenMonitor",),
        monitor="val/hyvarinen",
        mode="min",
        pictures=("callbacks.pictures.trajectory.ScoreTrajectories",),
    )

    def __init__(
        self,
        shape: Sequence[int],
        net: Callable[[int, Schedule], ScoreNet] = ScoreMLP,
        schedule: Callable[[], Schedule] = LinearSchedule,
        loss: Callable[[], ScoreLoss] = Hyvarinen,
        weight: Callable[[], LevelWeight] = VarianceWeight,
        levels: Callable[[], LevelShares] = UniformLevels,
        sampler: Callable[[], Sampler] = EulerMaruyama,
        ema_decay: float = 0.999,
        flow_steps: int | None = None,
        optimizer: OptimizerCallable = lambda p: Adam(p, lr=2e-3, fused=True),
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.save_hyperparameters()
        keep_plain_hyperparameters(self)
        if len(shape) != 1 or shape[0] < 1:
            raise UserError(f"a score model takes vectors, shape (d,), got {tuple(shape)}.")
        check_in("[0, 1)", ema_decay=ema_decay)
        self.shape = torch.Size(shape)
        self.schedule, self.loss, self.sampler = schedule(), loss(), sampler()
        self.weight, self.levels, self.flow_steps = weight(), levels(), flow_steps
        check_in(
            f"[1, {self.schedule.steps}]",
            **{"flow_steps": flow_steps, "sampler.steps": self.sampler.steps},
        )
        self.sampler.grid(self.schedule, self.sampler.steps)  # refuses what the schedule has not
        self.net = net(math.prod(shape), self.schedule)
        self.average = AveragedModel(self.net, multi_avg_fn=partial(_average, ema_decay))
        self.average.requires_grad_(False)

    @property
    def score(self) -> DifferentiableScore:
        """The learned score field: the network with averaged weights."""
        return cast(DifferentiableScore, self.average.module)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` points ``(n, d)`` in data space."""
        x = self.noise(n, generator)
        return self.sampler(self.score, x, self.schedule, generator)

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """log p_0(x), ``(B,)``, in nats for x ``(B, d)``, by the probability-flow ODE."""
        levels = FineGrid()(self.schedule, self.flow_steps)
        return flow_log_prob(self.score, x, self.schedule, levels)

    def noise(self, n: int, generator: Generator | None = None) -> Tensor:
        """``n`` points of N(0, I), ``(n, d)``, on the module's device, where sampling starts."""
        return noise_like(self.schedule.beta.new_empty(n, *self.shape), generator)

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Any]:
        x, score = batch[0], self.given(self.net, batch)
        k = draw_levels(len(x), self.levels(self.schedule))
        noised = Noised.of(x, k, self.schedule, noise_like(x))
        values = self.weight(k, self.schedule) * self.loss(score, noised)
        by_level = {self.loss.name: values.detach()}
        return {"loss": values.mean(), "k": k, "by_level": by_level}

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Any]:
        return self.evaluate(batch[0], self.given(self.score, batch))

    @uncast
    def evaluate(self, x: Tensor, score: DifferentiableScore) -> dict[str, Any]:
        """Each example x ``(B, d)`` judged at one level of its own, all levels equally likely."""
        noise = ContentNoise.of_points(x)
        k = levels_at(noise.uniform(()), UniformLevels()(self.schedule))
        noised = Noised.of(x, k, self.schedule, noise.normal(x.shape[1:], draw=1).to(x))
        weight, values = self.weight(k, self.schedule), self.judge(score, noised.x, k)
        return {"k": k, "by_level": {name: weight * value for name, value in values.items()}}

    def given(self, net: DifferentiableScore, batch: tuple[Tensor, ...]) -> DifferentiableScore:
        """The score field of what a batch says of its examples beside x; here nothing."""
        return net

    def judge(self, score: DifferentiableScore, x_k: Tensor, k: Tensor) -> dict[str, Tensor]:
        """How good a score is at points x_k ``(B, d)`` of levels k: names → ``(B,)``, unweighted.

        Here the Hyvärinen loss with the exact trace, whatever the training minimises.
        """
        return {"hyvarinen": hyvarinen(*score.with_trace(x_k, k))}

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Any]:
        return self.validation_step(batch, batch_idx)

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        return {"log_prob": self.log_prob(batch[0])}

    def trained_parameters(self) -> Iterable[Parameter]:
        return self.net.parameters()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        built = super().configure_optimizers()
        optimizer: Any = built["optimizer"] if isinstance(built, dict) else built
        # With the step, so that every checkpoint has it.
        optimizer.register_step_post_hook(lambda *_: self.average.update_parameters(self.net))
        return built


def _average(decay: float, averaged: Any, current: Any, steps: Tensor | int) -> None:
    """Moves averages towards the weights by 1 − min(decay, (1 + n)/(10 + n)), n steps averaged."""
    n = int(steps)
    share = 1 - min(decay, (1 + n) / (10 + n))
    for average, weight in zip(averaged, current, strict=True):
        average.lerp_(weight, share)
