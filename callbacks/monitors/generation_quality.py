"""A trained classifier judges generated digits: right or wrong, near the data or not."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_utilities.core.rank_zero import rank_zero_info
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Generator, Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from callbacks.contracts import Conditional, LatentBased, LatentImages, require, require_data
from callbacks.publishing import log_figures, publish_pictures
from elbolab.checks import check_in
from elbolab.errors import UserError
from elbolab.pictures import new_figure
from elbolab.run_directory import RunDirectory
from elbolab.seeding import derive_seed
from lightning_modules.checkpoints import trained_checkpoint
from lightning_modules.classifier import DigitClassifier
from lightning_modules.functional.sample_quality import coverage, recall
from lightning_modules.functional.score import check_guidance

__all__ = ["GenerationQuality"]

CHUNK = 2000
"""Images that the judge sees at once."""


class GenerationQuality(Callback):
    """Logs, after a test, how a classifier of real images, the judge, reads generated ones.

    For each set of images ``test/frechet/SET``, the Fréchet distance between the judge's features
    of the set and of the test images, and ``test/recall/SET`` and ``test/coverage/SET`` of the test
    images, see `functional.coverage`. The sets are ``samples`` (without labels), ``vae_prior`` (the
    VAE without the score model), ``training_images`` (real ones: what a perfect model would reach)
    and, for models with labels, ``guidance_W`` for each weight, as many of each digit.

    For models with labels also ``test/conditional_accuracy/guidance_W``: the share of samples that
    the judge reads as the digit asked for, and the same for each digit. ``test/class_share/DIGIT``
    is what the judge reads in the samples without labels; ``test/judge_accuracy`` is its own on the
    test images, which bounds what all the other figures can mean.

    Args:
        judge_run: Run directory of a `DigitClassifier`.
        num_samples: Images in each set, more than 10; for standard errors of 0.1 points 10,000.
        guidance: The weights w.
        seed: Of all noise.

    Raises:
        UserError: If there are too few samples or a weight is no number; before a test, if there is
            no such classifier.
    """

    def __init__(
        self,
        judge_run: str = "runs/digit_classifier",
        num_samples: int = 10_000,
        guidance: Sequence[float] = (0.0, 0.5, 1.0, 2.0),
        seed: int = 0,
    ) -> None:
        check_in("(10, inf)", num_samples=num_samples)
        for weight in guidance:
            check_guidance(weight)
        self.judge_run, self.num_samples = judge_run, num_samples
        self.guidance, self.seed = list(guidance), seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, LatentBased, self)
        if stage == "test":
            self._judge = Judge(self.judge_run, pl_module)

    @torch.no_grad()
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = require(pl_module, LatentBased, self)
        images = require_data(trainer, LatentImages, self).images
        real, labels = _first(images.test_dataloader(), self.num_samples)
        features = self._judge.features(real)
        own = self._judge.right(real, labels.to(features.device)).mean()
        figures = {"judge_accuracy": own}
        if isinstance(pl_module, Conditional):
            figures |= self._conditional(pl_module, features, trainer)
        sets = {
            "samples": module.sample(self.num_samples, self._generator("noise")),
            "vae_prior": module.codec.prior_samples(self.num_samples, self._generator("prior")),
            "training_images": _first(images.train_dataloader(), self.num_samples)[0],
        }
        for name, members in sets.items():
            figures |= self._likeness(name, members, features)
        shares = self._judge.guess(sets["samples"]).bincount(minlength=self._judge.classes)
        figures |= {f"class_share/{y}": share / self.num_samples for y, share in enumerate(shares)}
        log_figures(pl_module, {f"test/{n}": torch.as_tensor(v) for n, v in figures.items()})
        rank_zero_info(f"The judge, {self.judge_run}, is right on {own:.2%} of the test images.")

    def _conditional(
        self, module: Conditional, real: Tensor, trainer: Trainer
    ) -> dict[str, Tensor]:
        y = torch.arange(self.num_samples, device=real.device) % module.classes
        figures: dict[str, Tensor] = {}
        for weight in self.guidance:
            generator = self._generator("noise")
            images = module.sample(self.num_samples, generator, y=y, guidance=weight)
            right, name = self._judge.right(images, y), f"guidance_{weight:g}"
            figures[f"conditional_accuracy/{name}"] = right.mean()
            for digit in range(module.classes):
                accuracy = right[y == digit].mean()
                figures[f"conditional_accuracy_label/{digit}/{name}"] = accuracy
            figures |= self._likeness(name, images, real)
        if self.guidance:
            publish_pictures(trainer, {"guidance_tradeoff": _tradeoff(self.guidance, figures)})
        return figures

    def _likeness(self, name: str, images: Tensor, real: Tensor) -> dict[str, Tensor]:
        features = self._judge.features(images)
        return {
            f"frechet/{name}": frechet_distance(real, features),
            f"recall/{name}": recall(real, features),
            f"coverage/{name}": coverage(real, features),
        }

    def _generator(self, purpose: str) -> Generator:
        # On the CPU whatever the model's device, so that every machine draws the same.
        return Generator().manual_seed(derive_seed(self.seed, purpose))


class Judge:
    """A trained classifier, on the device of the module that it judges.

    Args:
        run: Its run directory.
        module: That module.

    Raises:
        UserError: If there is no such run, or it is no classifier's.
    """

    def __init__(self, run: str, module: LightningModule) -> None:
        directory = RunDirectory(Path(run))
        checkpoint = trained_checkpoint(directory, "digit_classifier")
        path = directory.checkpoint("best")
        if "num_features" not in checkpoint.get("hyper_parameters", {}):
            raise UserError(f"{path} is no checkpoint of a DigitClassifier, so no judge.")
        judge = DigitClassifier.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        self._net = judge.to(module.device).eval()
        self.classes = judge.classes

    def features(self, images: Tensor) -> Tensor:
        """The values of the last hidden layer, ``(n, F)``."""
        return torch.cat([self._net.features(part) for part in self._parts(images)])

    def guess(self, images: Tensor) -> Tensor:
        """The likeliest label of each image, ``(n,)``."""
        return torch.cat([self._net(part).argmax(1) for part in self._parts(images)])

    def _parts(self, images: Tensor) -> tuple[Tensor, ...]:
        # Real images come from the data set's own loaders, on the CPU.
        return images.to(self._net.device).split(CHUNK)

    def right(self, images: Tensor, labels: Tensor) -> Tensor:
        """1 where the guess is the label and 0 elsewhere, ``(n,)``."""
        return (self.guess(images) == labels).double()


def frechet_distance(real: Tensor, generated: Tensor) -> Tensor:
    """Fréchet distance between Gaussians fitted to two sets of features, ``(n, F)`` each."""
    # Every process has all the features: nothing is to be joined. In float64, so on the CPU, which
    # has it everywhere.
    metric = FrechetInceptionDistance(_Features(real.shape[1]), sync_on_compute=False)
    metric.set_dtype(torch.float64)
    metric.update(real.cpu(), real=True)
    metric.update(generated.cpu(), real=False)
    return metric.compute()


class _Features(torch.nn.Identity):
    """A feature extractor as torchmetrics wants it, for features that are there already."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size


def _first(batches: Iterable[Any], n: int) -> tuple[Tensor, Tensor]:
    """The first n images and labels, or all where there are fewer."""
    images, labels, count = [], [], 0
    for x, y in batches:
        images.append(x)
        labels.append(y)
        count += len(x)
        if count >= n:
            break
    return torch.cat(images)[:n], torch.cat(labels)[:n]


def _tradeoff(weights: Sequence[float], figures: dict[str, Tensor]) -> Figure:
    """Accuracy against coverage and Fréchet distance: what guidance buys, and with what."""
    figure = new_figure(9.0, 3.6)
    for axes, quantity in zip(figure.subplots(1, 2), ("frechet", "coverage"), strict=True):
        accuracy, paid = (
            [figures[f"{name}/guidance_{w:g}"].item() for w in weights]
            for name in ("conditional_accuracy", quantity)
        )
        axes.plot(paid, [100 * a for a in accuracy], marker="o")
        for w, x, a in zip(weights, paid, accuracy, strict=True):
            axes.annotate(f"w = {w:g}", (x, 100 * a), xytext=(7, 4), textcoords="offset points")
        axes.margins(x=0.3, y=0.15)
        axes.set(ylabel="read as the digit asked for [%]")
        axes.grid(alpha=0.3)
        axes.set_xlabel({"frechet": "Fréchet distance", "coverage": "coverage"}[quantity])
    figure.suptitle("Guidance buys accuracy with diversity", fontsize=10)
    return figure
