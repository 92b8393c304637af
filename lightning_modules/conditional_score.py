"""Diffusion in the latent space of a VAE, one label at a time."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Generator, Tensor

from elbolab.checks import check_in
from elbolab.errors import UserError
from elbolab.whole_run import WholeRun
from lightning_modules.functional.diffusion_bound import diffusion_bound
from lightning_modules.functional.schedule import Schedule
from lightning_modules.functional.score import (
    DifferentiableScore,
    ScoreField,
    check_guidance,
    guided,
)
from lightning_modules.latent_score import LatentScore
from lightning_modules.nets.labelled_net import LabelledScoreMLP

__all__ = ["ConditionalScore"]


class ConditionalScore(LatentScore):
    """`LatentScore` whose network sees a label, and in some examples none: s(u, k, y), s(u, k, ∅).

    Sampling combines the two by classifier-free guidance, see `functional.score.guided`.

    Args:
        net: The score network, built with d and the schedule.
        label_dropout: Share of the training examples whose label is ∅, in [0, 1].
        guidance: w of samples that ask for none; at least −1, 0 for none.
        kwargs: Those of `ScoreModel`.

    Raises:
        UserError: If a value is out of range.
    """

    whole_run = WholeRun(
        figures=("callbacks.monitors.hyvarinen.HyvarinenMonitor",),
        monitor="val/hyvarinen",
        mode="min",
        pictures=(
            "callbacks.pictures.images.SampleGrid",
            "callbacks.pictures.latent_pictures.LatentProcess",
            "callbacks.pictures.images.DigitRows",
        ),
    )

    def __init__(
        self,
        *args: Any,
        net: Callable[[int, Schedule], LabelledScoreMLP] = LabelledScoreMLP,
        label_dropout: float = 0.1,
        guidance: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, net=net, **kwargs)
        check_in("[0, 1]", label_dropout=label_dropout)
        check_guidance(guidance)
        self.label_dropout, self.guidance = label_dropout, guidance

    @property
    def classes(self) -> int:
        """The number of labels; ∅ is the label of that number."""
        return cast(LabelledScoreMLP, self.net).classes

    def given(self, net: DifferentiableScore, batch: tuple[Tensor, ...]) -> DifferentiableScore:
        """The score field of the batch's labels, some of them dropped in training."""
        y = self.checked(batch[1])
        if self.training:
            dropped = torch.rand(len(y), device=y.device) < self.label_dropout
            y = y.masked_fill(dropped, self.classes)
        return cast(LabelledScoreMLP, net).given(y)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: Generator | None = None,
        y: int | Sequence[int] | Tensor | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """``n`` images ``(n, *image shape)`` in [0, 1].

        Args:
            n: How many.
            generator: Of all noise.
            y: One label for all, or one for each of the n; without any, samples of s(u, k, ∅).
            guidance: w; by default the model's.

        Raises:
            UserError: If a label is unknown, their number is not n, or the guidance no number.
        """
        return self.codec.decode(self.sample_latents(n, generator, y, guidance))

    @torch.no_grad()
    def sample_latents(
        self,
        n: int,
        generator: Generator | None = None,
        y: int | Sequence[int] | Tensor | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """As `sample`, before decoding: standardised latents ``(n, d)``."""
        weight = self.guidance if guidance is None else guidance
        check_guidance(weight)
        score = self.score if y is None else self._guided(self._labels(y, n), weight)
        return self.sampler(score, self.noise(n, generator), self.schedule, generator)

    @torch.no_grad()
    def label_bounds(self, x: Tensor, generator: Generator) -> Tensor:
        """Lower bounds on log p(u|y) for every y, ``(B, classes)``, in nats.

        See `functional.diffusion_bound`; by Bayes' theorem the largest is the likeliest label.

        Args:
            x: Latents u, ``(B, d)``.
            generator: Of the noise, which is the same for all labels.
        """
        seed = int(torch.randint(2**62, (), generator=generator))
        bounds = []
        for label in range(self.classes):
            score = self._labelled(self._labels(label, len(x)))
            noise = Generator().manual_seed(seed)
            bounds.append(diffusion_bound(score, x, self.schedule, noise))
        return torch.stack(bounds, 1)

    def checked(self, y: Tensor) -> Tensor:
        """Labels as they are.

        Raises:
            UserError: If one is no whole number or not among the model's.
        """
        if y.is_floating_point() or y.dtype == torch.bool:
            raise UserError(f"labels must be whole numbers, got {y.flatten()[0].item()}.")
        if bool(((y < 0) | (y >= self.classes)).any()):
            wrong = sorted(set(y[(y < 0) | (y >= self.classes)].tolist()))
            raise UserError(f"labels must be in 0 … {self.classes - 1}, got {wrong[0]}.")
        return y

    def _labels(self, y: int | Sequence[int] | Tensor, n: int) -> Tensor:
        labels = self.checked(torch.as_tensor(y, device=self.device))
        if labels.dim() > 0 and labels.shape != (n,):
            raise UserError(f"{n} samples take one label or {n}, got {labels.numel()}.")
        return labels.expand(n)

    def _guided(self, y: Tensor, weight: float) -> ScoreField:
        return guided(self._labelled(y), self.score, weight)

    def _labelled(self, y: Tensor) -> DifferentiableScore:
        return cast(LabelledScoreMLP, self.score).given(y)
