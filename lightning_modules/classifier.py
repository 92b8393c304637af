"""A small convolutional classifier: the judge of conditional samples."""

from collections.abc import Sequence

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from elbolab.checks import check_at_least_one, check_in
from elbolab.errors import UserError
from elbolab.whole_run import WholeRun
from lightning_modules.checkpoints import keep_plain_hyperparameters
from lightning_modules.trainable import TrainableModule

__all__ = ["DigitClassifier"]


class DigitClassifier(TrainableModule):
    """p(y|x) from two convolutions of 3 × 3, each halved by a maximum, and one hidden layer.

    Steps return for each example the ``cross_entropy`` in nats, whether the guess was ``correct``
    and the ``label``, ``(B,)`` each; the accuracy monitor logs them.

    Args:
        shape: Shape of one image ``(c, h, w)``, h and w at least 4; the command line takes it from
            the data.
        classes: Number of labels 0, 1, …
        channels: Of the two convolutions.
        num_features: Width of the hidden layer, whose values are the features of an image.
        dropout: Share of the features dropped in training, in [0, 1).
        optimizer: Builds the optimiser from the parameters.
        lr_scheduler: Builds a schedule from the optimiser, stepped once per epoch.

    Raises:
        UserError: If the shape is no image's, or a size or the dropout is out of range.
    """

    whole_run = WholeRun(
        figures=("callbacks.monitors.accuracy.AccuracyMonitor",),
        monitor="val/accuracy",
        mode="max",
    )

    def __init__(
        self,
        shape: Sequence[int],
        classes: int = 10,
        channels: tuple[int, int] = (32, 64),
        num_features: int = 128,
        dropout: float = 0.4,
        optimizer: OptimizerCallable = lambda p: Adam(p, lr=1e-3, fused=True),
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.save_hyperparameters()
        keep_plain_hyperparameters(self)
        if len(shape) != 3 or min(shape[1:]) < 4:
            raise UserError(
                f"a classifier takes images (c, h, w) of 4 × 4 pixels or more, got {tuple(shape)}."
            )
        check_at_least_one(classes=classes, channels=channels, num_features=num_features)
        check_in("[0, 1)", dropout=dropout)
        self.shape, self.classes, self.num_features = torch.Size(shape), classes, num_features
        self.features = _feature_layers(self.shape, channels, num_features)
        self.last = nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, classes))

    def forward(self, x: Tensor) -> Tensor:
        """log p(y|x) up to a constant, ``(B, classes)``, for images x ``(B, *shape)`` in [0, 1]."""
        return self.last(self.features(x))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        judged = self._judge(*batch)
        return {**judged, "loss": judged["cross_entropy"].mean()}

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        return self._judge(*batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        return self._judge(*batch)

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Tensor]:
        return {"probabilities": self(batch[0]).softmax(1)}

    def _judge(self, x: Tensor, label: Tensor) -> dict[str, Tensor]:
        if int(label.max()) >= self.classes:
            raise UserError(
                f"label {int(label.max())} is not among the {self.classes} classes of the "
                "classifier: give model.classes."
            )
        logits = self(x).float()
        entropy = F.cross_entropy(logits, label, reduction="none")
        correct = (logits.argmax(1) == label).to(entropy.dtype)
        return {"cross_entropy": entropy, "correct": correct, "label": label}


def _feature_layers(
    shape: Sequence[int], channels: tuple[int, int], num_features: int
) -> nn.Sequential:
    """Images ``(B, c, h, w)`` to features ``(B, num_features)``."""
    first, second = channels
    pooled = (shape[1] // 4) * (shape[2] // 4)
    return nn.Sequential(
        nn.Conv2d(shape[0], first, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * pooled, num_features),
        nn.ReLU(),
    )
