r"""Telling in-distribution images from others by a density model: scores, threshold, errors.

A score says how normal an image is, higher is more normal. Images below the threshold are flagged:

.. math:: \tau = \bar s - 3\,\mathrm{std}(s) \quad\text{over calibration images}

Symbols: L = log p(x) in nats; s scores, ``(N,)``; inside and outside, scores of in- and of
out-of-distribution images. A type I error is an inside image that is flagged, a type II error an
outside image that is not.

Source: for the scores Nalisnick et al., *Detecting out-of-distribution inputs to deep generative
models using typicality*, 2019; Serrà et al., *Input complexity and out-of-distribution detection
with likelihood-based generative models*, 2020.
"""

import io
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = [
    "AnomalyScore",
    "ComplexityScore",
    "LikelihoodScore",
    "TypicalityScore",
    "anomaly_threshold",
    "auroc",
    "error_figures",
    "flagged_counts",
    "fpr_at_tpr",
    "png_nats",
]

DEVIATIONS = 3.0
"""Standard deviations between the calibration scores' mean and the threshold."""


class AnomalyScore(ABC):
    """How normal an image is; higher is more normal."""

    name: ClassVar[str]
    """What its figures are called, ``test/<name>/auroc``: the class unless it says otherwise."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = cls.__name__

    @abstractmethod
    def __call__(self, log_likelihood: Tensor, images: Tensor, calibration: Tensor) -> Tensor:
        """Scores ``(N,)``.

        Args:
            log_likelihood: L of each image, ``(N,)``, in nats.
            images: The images, bytes ``(N, c, h, w)``.
            calibration: L of in-distribution images that the model has not seen, ``(M,)``.
        """


class LikelihoodScore(AnomalyScore):
    """s = L: improbable images are anomalous."""

    name = "Likelihood"

    def __call__(self, log_likelihood: Tensor, images: Tensor, calibration: Tensor) -> Tensor:
        return log_likelihood


class TypicalityScore(AnomalyScore):
    """s = −|L − E L|: images that are far too probable are as anomalous as improbable ones."""

    name = "Typicality"

    def __call__(self, log_likelihood: Tensor, images: Tensor, calibration: Tensor) -> Tensor:
        return -(log_likelihood - calibration.mean()).abs()


class ComplexityScore(AnomalyScore):
    """s = L + C(x), C the nats of the image's PNG file: −s is the anomaly −L less complexity.

    Smooth images are probable under every model; s asks how much better than a general-purpose
    code the model describes the image. It is a log-likelihood ratio of model and code.
    """

    name = "LikelihoodAndComplexity"

    def __call__(self, log_likelihood: Tensor, images: Tensor, calibration: Tensor) -> Tensor:
        return log_likelihood + png_nats(images).to(log_likelihood)


def png_nats(images: Tensor) -> Tensor:
    """C(x) = 8 ln 2 · bytes of the PNG file of each image, ``(N,)``; images uint8 ``(N, c, h, w)``.

    One or three channels; with any other number they are laid side by side.
    """
    sizes = [_png_bytes(image) for image in images.cpu().numpy()]
    return 8 * math.log(2) * torch.tensor(sizes, dtype=torch.float64)


def _png_bytes(image: np.ndarray) -> int:
    pixels = image.transpose(1, 2, 0) if len(image) == 3 else np.hstack(list(image))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png", optimize=True)
    return buffer.tell()


def anomaly_threshold(scores: Tensor) -> Tensor:
    """τ = mean − 3 standard deviations of calibration scores ``(M,)``, M ≥ 2."""
    return scores.mean() - DEVIATIONS * scores.std()


def auroc(inside: Tensor, outside: Tensor) -> Tensor:
    """P(s > s') + ½ P(s = s') for scores s inside and s' outside: 1 separates, ½ is chance.

    The area under the ROC curve, exact with ties (the Mann-Whitney statistic).
    """
    ordered = outside.sort().values
    below = torch.searchsorted(ordered, inside)
    not_above = torch.searchsorted(ordered, inside, right=True)
    return (below + not_above).double().mean() / (2 * len(outside))


def fpr_at_tpr(inside: Tensor, outside: Tensor, tpr: float) -> Tensor:
    """Share of outside images that pass the highest threshold that a share ``tpr`` inside passes.

    The positives of this figure are the in-distribution images, as in the literature.
    """
    needed = math.ceil(tpr * len(inside))
    return (outside >= inside.sort(descending=True).values[needed - 1]).double().mean()


def error_figures(inside: Tensor, outside: Tensor, threshold: Tensor) -> dict[str, Tensor]:
    """Counts and rates of both errors at a threshold, and figures that need none, by name."""
    type_i, type_ii = inside < threshold, outside >= threshold
    return {
        "threshold": threshold,
        "type_i_errors": type_i.sum().double(),
        "type_i_rate": type_i.double().mean(),
        "type_ii_errors": type_ii.sum().double(),
        "type_ii_rate": type_ii.double().mean(),
        "auroc": auroc(inside, outside),
        "fpr_at_95_tpr": fpr_at_tpr(inside, outside, 0.95),
    }


def flagged_counts(scores: Tensor, thresholds: Tensor) -> Tensor:
    """How many of ``scores`` lie below each of ``thresholds`` ``(T,)``: ``(T,)``."""
    return torch.searchsorted(scores.sort().values, thresholds)
