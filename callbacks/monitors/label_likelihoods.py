"""How likely real examples are to a model with labels, under every label."""

import torch
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Generator, Tensor

from callbacks.contracts import LatentImages, require, require_data
from callbacks.publishing import log_figures, publish_pictures
from elbolab.checks import check_at_least_one
from elbolab.pictures import new_figure
from lightning_modules.conditional_score import ConditionalScore

__all__ = ["LabelLikelihoods"]


class LabelLikelihoods(Callback):
    """Logs, after a test, how often the true label of a latent is the one of the highest bound.

    That is ``test/bayes_accuracy``: by Bayes' theorem argmax_y log p(u|y) is the label that the
    model would guess if all are as frequent; no classifier takes part. The bound on log p(u|y) is
    that of `functional.diffusion_bound`. Drawn is ``label_likelihoods``, its mean below that of the
    best label, for each true label.

    Args:
        num_examples: Test examples, the first ones, at least 1; each costs K evaluations of the
            network for every label.
        seed: Of the noise.

    Raises:
        UserError: If there is no example.
    """

    def __init__(self, num_examples: int = 1000, seed: int = 0) -> None:
        check_at_least_one(num_examples=num_examples)
        self.num_examples, self.seed = num_examples, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        require(pl_module, ConditionalScore, self)

    @torch.no_grad()
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = require(pl_module, ConditionalScore, self)
        examples = require_data(trainer, LatentImages, self).latents("test")
        u, y = (tensor[: self.num_examples].to(module.device) for tensor in examples)
        bounds = module.label_bounds(u, Generator().manual_seed(self.seed))
        right = (bounds.argmax(1) == y).double()
        log_figures(module, {"test/bayes_accuracy": right.mean()})
        below = bounds - bounds.amax(1, keepdim=True)
        rows = [below[y == label].mean(0) for label in range(module.classes)]
        title = f"{len(u)} test latents; the true label is the likeliest for {right.mean():.1%}"
        picture = _heat_map(torch.stack(rows), title)
        publish_pictures(trainer, {"label_likelihoods": picture})


def _heat_map(rows: Tensor, title: str) -> Figure:
    figure = new_figure(6.4, 5.2)
    axes = figure.add_subplot()
    image = axes.imshow(rows.cpu().numpy(), cmap="viridis")
    figure.colorbar(image, label="bound on log p(u|y), below the best label's [nats]")
    ticks = range(len(rows))
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set(xlabel="label given, y", ylabel="true label", title=title)
    axes.title.set_fontsize(9)
    return figure
