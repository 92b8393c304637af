"""The models as one would write them for a single experiment: the yardstick of training_loop.py."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from datamodules.spiral import spiral_centres
from lightning_modules.functional.schedule import LinearSchedule
from lightning_modules.nets.inputs import DampedFourier
from lightning_modules.nets.score_net import ScoreMLP

__all__ = ["EXPERIMENTS", "LightningDefaults", "TimedExperiment", "batches"]

RESOLUTION = 0.05
KERNELS: Any = torch  # where type checkers do not see them


class HandWrittenVAE(nn.Module):
    """784-256-256-20, Bernoulli pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 40)
        )
        self.decoder = nn.Sequential(
            nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 784)
        )

    def loss(self, x: Tensor) -> Tensor:
        """Negative bound, mean over the batch x ``(B, 784)``."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        return (reconstruction + kl) / len(x)


class HandWrittenScore(nn.Module):
    """The score network of configs/spiral_score.yaml, its Hyvärinen loss and its average.

    The network is this framework's: written for one experiment, forward differentiation by hand
    would look the same, and all else is slower (``python benchmarks/spiral.py``).
    """

    def __init__(self) -> None:
        super().__init__()
        self.schedule = LinearSchedule()
        self.net = ScoreMLP(2, self.schedule, inputs=DampedFourier, resolution=RESOLUTION)
        self.variance = self.schedule.variance(torch.arange(301), RESOLUTION)
        self.shares = (self.variance.log().diff() ** 0.5).cumsum(0)
        self.average = [p.detach().clone() for p in self.net.parameters()]

    def loss(self, x: Tensor) -> Tensor:
        """½‖s‖² + tr J, weighted, mean over the batch of centres x ``(B, 2)``."""
        x = x + 0.05 * torch.randn_like(x)
        u = (torch.arange(len(x)) + torch.rand(len(x))) / len(x)
        k = torch.searchsorted(self.shares / self.shares[-1], u.clamp_max(1 - 1e-6)) + 1
        signal, noise = self.schedule.alpha_bar[k].sqrt(), self.schedule.noise_variance[k].sqrt()
        x_k = signal[:, None] * x + noise[:, None] * torch.randn_like(x)
        s, trace = self.net.with_trace(x_k, k)
        return (self.variance[k] * (0.5 * s.square().sum(1) + trace)).mean()

    def after_step(self) -> None:
        """Moves the averaged weights."""
        with torch.no_grad():
            KERNELS._foreach_lerp_(self.average, list(self.net.parameters()), 1e-3)


class HandWrittenNICE(nn.Module):
    """Four couplings of perceptrons with five hidden layers of 1000, a logistic prior."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [392, 1000, 1000, 1000, 1000, 1000, 392]
        self.shifts = nn.ModuleList()
        for _ in range(4):
            layers: list[nn.Module] = []
            for a, b in pairwise(sizes):
                layers += [nn.Linear(a, b), nn.ReLU()]
            self.shifts.append(nn.Sequential(*layers[:-1]))
        self.scale = nn.Parameter(torch.zeros(784))

    def loss(self, x: Tensor) -> Tensor:
        """Negative log-likelihood, mean over the batch x ``(B, 784)``."""
        y = (255 * x + torch.rand_like(x)) / 256
        even, odd = y[:, 0::2], y[:, 1::2]
        s = 50 * self.scale
        for i, shift in enumerate(self.shifts):
            if i % 2 == 0:
                odd = odd + (-s[1::2]).exp() * shift(even)
            else:
                even = even + (-s[0::2]).exp() * shift(odd)
        z = torch.stack([even, odd], -1).flatten(1) * s.exp()
        return -(F.logsigmoid(z) + F.logsigmoid(-z) + s).sum(1).mean()


class LightningDefaults(pl.LightningModule):
    """A model as Lightning's tutorials would have it: ``self.log`` in every step.

    Args:
        model: One of the above.
        lr: The learning rate.
    """

    def __init__(self, model: Any, lr: float) -> None:
        super().__init__()
        self.model, self.lr = model, lr

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.model.loss(batch[0].flatten(1))
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if hasattr(self.model, "after_step"):
            self.model.after_step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class TimedExperiment(NamedTuple):
    """What is trained, on what, and which configuration is the same experiment."""

    config: str
    model: Callable[[], Any]
    batch: int
    lr: float
    steps: int
    """Of an epoch, unless others are asked for."""
    on_images: bool = True

    def tensor(self, root: str) -> Tensor:
        """All training examples, ``(N, d)``."""
        return images(root) if self.on_images else spiral()

    def dataset(self, root: str) -> Dataset[Any]:
        """The same as people give it to a DataLoader."""
        if self.on_images:
            return MNIST(root, train=True, transform=ToTensor())
        return TensorDataset(spiral())


EXPERIMENTS = {
    "vae": TimedExperiment("configs/vae.yaml", HandWrittenVAE, 64, 1e-3, 859),
    "score": TimedExperiment("configs/spiral_score.yaml", HandWrittenScore, 500, 2e-3, 200, False),
    "nice": TimedExperiment("configs/nice.yaml", HandWrittenNICE, 200, 2e-3, 20),
}


def images(root: str) -> Tensor:
    """MNIST's training images, ``(60000, 784)`` in [0, 1]."""
    raw = Path(root, "MNIST/raw/train-images-idx3-ubyte").read_bytes()[16:]
    return torch.from_numpy(np.frombuffer(raw, np.uint8).copy()).view(-1, 784).float() / 255


def spiral() -> Tensor:
    """The centres around which the spiral's points are drawn, ``(100000, 2)``."""
    return spiral_centres(500, 3.0, 2.0)[torch.arange(100_000) % 500]


def batches(x: Tensor, size: int) -> Iterator[Tensor]:
    """One epoch in random order."""
    return map(partial(torch.Tensor.index_select, x, 0), torch.randperm(len(x)).split(size))
