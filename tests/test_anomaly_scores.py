"""Scores and error figures of anomaly detection, against scikit-learn and by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from lightning_modules.functional.anomaly import (
    ComplexityScore,
    LikelihoodScore,
    TypicalityScore,
    anomaly_threshold,
    auroc,
    error_figures,
    fpr_at_tpr,
    png_nats,
)


def two_sets(ties: bool, n: int = 300, m: int = 70) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inside = torch.randn(n, generator=generator).double()
    outside = torch.randn(m, generator=generator).double() * 2 - 1
    return (inside.round(), outside.round()) if ties else (inside, outside)


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_is_scikit_learns(ties):
    inside, outside = two_sets(ties)
    labels = [1] * len(inside) + [0] * len(outside)
    expected = roc_auc_score(labels, torch.cat([inside, outside]))
    assert float(auroc(inside, outside)) == pytest.approx(expected, abs=1e-12)
    assert float(auroc(outside, inside)) == pytest.approx(1 - expected, abs=1e-12)


def test_auroc_of_separated_and_of_equal_scores():
    assert float(auroc(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0]))) == 1
    assert float(auroc(torch.zeros(5), torch.zeros(3))) == 0.5


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("tpr", [0.5, 0.95, 1.0])
def test_false_positives_at_a_share_of_true_ones_are_scikit_learns(ties, tpr):
    inside, outside = two_sets(ties)
    labels = [1] * len(inside) + [0] * len(outside)
    scores = torch.cat([inside, outside])
    fpr, rates, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert float(fpr_at_tpr(inside, outside, tpr)) == pytest.approx(fpr[rates >= tpr][0])


def test_errors_are_counted_on_both_sides_of_the_threshold():
    inside, outside = torch.tensor([0.0, 5.0, 5.0, 9.0]), torch.tensor([4.0, 5.0, 1.0, 2.0, 3.0])
    figures = {k: v.item() for k, v in error_figures(inside, outside, torch.tensor(5.0)).items()}
    assert (figures["type_i_errors"], figures["type_i_rate"]) == (1, 0.25)
    assert (figures["type_ii_errors"], figures["type_ii_rate"]) == (1, pytest.approx(0.2))
    assert figures["threshold"] == 5


def test_threshold_is_three_standard_deviations_below_the_mean():
    scores = two_sets(False)[0]
    expected = np.mean(scores.numpy()) - 3 * np.std(scores.numpy(), ddof=1)
    assert float(anomaly_threshold(scores)) == pytest.approx(expected)


def test_typicality_punishes_what_is_far_too_probable():
    calibration = torch.tensor([90.0, 100.0, 110.0])
    likelihoods = torch.tensor([100.0, 105.0, 160.0, 40.0])
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    assert TypicalityScore()(likelihoods, images, calibration).tolist() == [0, -5, -60, -60]
    assert LikelihoodScore()(likelihoods, images, calibration).tolist() == likelihoods.tolist()


@pytest.mark.parametrize("channels", [1, 3])
def test_complexity_is_the_size_of_a_lossless_file_in_nats(channels):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (1, channels, 20, 20), generator=generator, dtype=torch.uint8)
    blank = torch.zeros_like(noise)
    of_noise, of_blank = png_nats(torch.cat([noise, blank])).tolist()
    # Noise cannot be compressed: 8 ln 2 nats a byte, and a file's frame of less than 120 bytes.
    pixels = channels * 400
    assert 0 < of_noise / (8 * math.log(2)) - pixels < 120
    assert of_blank < of_noise / 3
    likelihood = torch.tensor([0.0, 0.0])
    scores = ComplexityScore()(likelihood, torch.cat([noise, blank]), likelihood)
    torch.testing.assert_close(scores, torch.tensor([of_noise, of_blank]))
