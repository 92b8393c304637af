"""A score network that sees a label beside the point and the noise level."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from elbolab.checks import check_at_least_one
from lightning_modules.functional.schedule import Schedule
from lightning_modules.functional.score import DifferentiableScore
from lightning_modules.nets.activations import Activation, SiLU
from lightning_modules.nets.embeddings import LevelEmbedding, LevelTable
from lightning_modules.nets.inputs import Identity, InputFeatures
from lightning_modules.nets.score_net import ScoreMLP

__all__ = ["GivenLabels", "LabelledScoreMLP"]


class LabelledScoreMLP(ScoreMLP):
    """s(x, k, y): the first layer of `ScoreMLP` adds a learned row A_y to what it makes of x and k.

    That is what an embedding of y, concatenated with x and e(k), amounts to behind the first layer.
    The absent label ∅ has the row 0 and all rows start there, so that a network which never saw a
    label is the unlabelled one for every label, exactly. Called without labels it is s(x, k, ∅).

    Args:
        dim: d.
        schedule: The forward process.
        classes: Number of labels 0, 1, …; ∅ is the label ``classes``.
        hidden: Widths of the hidden layers, at least one.
        activation: Between them; must be smooth for losses with a divergence.
        embedding: e(k), built with the schedule.
        inputs: What is made of x before the first layer, built with d and the schedule.
        resolution: σ, the finest detail of the data; None leaves s = F, as in the base model.

    Raises:
        UserError: If a width, the number of classes or the resolution is out of range.
    """

    def __init__(
        self,
        dim: int,
        schedule: Schedule,
        classes: int = 10,
        hidden: Sequence[int] = (512, 512),
        activation: Callable[[], Activation] = SiLU,
        embedding: Callable[[Schedule], LevelEmbedding] = LevelTable,
        inputs: Callable[[int, Schedule], InputFeatures] = Identity,
        resolution: float | None = 0.5,
    ) -> None:
        super().__init__(dim, schedule, hidden, activation, embedding, inputs, resolution)
        check_at_least_one(classes=classes)
        self.classes = classes
        self.labels = nn.Embedding(classes + 1, hidden[0], padding_idx=classes)
        nn.init.zeros_(self.labels.weight)

    def given(self, y: Tensor) -> DifferentiableScore:
        """The score field of labels y ``(B,)``, one for each point, in {0, …, classes}."""
        return GivenLabels(self, y)


class GivenLabels(DifferentiableScore):
    """s(·, ·, y) with the labels bound: what losses and samplers take.

    Args:
        net: s(x, k, y).
        y: Labels ``(B,)`` of the B points that will be asked for.
    """

    def __init__(self, net: LabelledScoreMLP, y: Tensor) -> None:
        super().__init__()
        self.net, self._added = net, net.labels(y)

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        net = self.net
        return net.shifted(x, k, net.shift(k) + self._added)

    def with_trace(self, x: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        net = self.net
        return net.with_trace_shifted(x, k, net.shift(k) + self._added)

    def pushforward(self, x: Tensor, k: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        net = self.net
        return net.pushforward_shifted(x, k, tangents, net.shift(k) + self._added)
