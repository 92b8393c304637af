"""Pictures say what they show: counts, labels, and axes on which it can be seen."""

import numpy as np
import pytest
import torch

from callbacks.monitors.anomaly_pictures import histograms, roc
from callbacks.monitors.hyvarinen import HyvarinenMonitor
from callbacks.pictures.images import DigitRows, SampleGrid
from callbacks.pictures.latent_pictures import _process
from callbacks.pictures.latent_space import label_colour
from callbacks.pictures.point_pictures import samples_picture
from callbacks.pictures.score_field import chosen_levels
from elbolab.pictures import image_rows


class Trained:
    """A trainer after three epochs."""

    current_epoch, max_epochs = 2, 10


class Labelled(torch.nn.Module):
    """Images whose pixels are a tenth of their label, 0.95 without one."""

    guidance, classes = 1.0, 4

    def sample(self, n, generator=None, y=None, guidance=None):
        values = torch.full((n,), 0.95) if y is None else y / 10
        return values.view(-1, 1, 1, 1).expand(-1, 1, 3, 3)


def title(figure) -> str:
    return figure.axes[0].get_title()


def test_samples_of_a_model_with_labels_are_rows_by_label_and_say_where_there_is_none():
    figures = SampleGrid(num_samples=6, columns=5).draw(Trained(), Labelled())
    assert list(figures) == ["samples", "samples_without_labels"]
    assert title(figures["samples"]) == ("5 samples of each label, guidance w = 1, after epoch 3")
    rows = [tick.get_text() for tick in figures["samples"].axes[0].get_yticklabels()]
    assert rows == ["0", "1", "2", "3"]
    sheet = figures["samples"].axes[0].images[0].get_array()
    np.testing.assert_allclose(sheet[::4, 0], [0, 0.1, 0.2, 0.3], atol=1e-6)
    assert title(figures["samples_without_labels"]) == "6 samples without labels after epoch 3"


def test_a_long_row_goes_on_below():
    figure = image_rows({"7": np.zeros((64, 1, 28, 28))}, "64 samples by label")
    width, height = figure.get_size_inches()
    assert width < 4 * height
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["7", "", "", ""]
    uneven = image_rows({"a": np.zeros((3, 1, 2, 2)), "b": np.zeros((5, 1, 2, 2))}, "", 4)
    labels = [tick.get_text() for tick in uneven.axes[0].get_yticklabels()]
    assert labels == ["a", "b", ""]


def test_rows_of_digits_stay_in_their_blocks_however_many_there_are():
    figure = DigitRows(guidance=(0, 1, 2, 3, 4), columns=6).draw(Trained(), Labelled())[
        "digit_rows"
    ]
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == ["0", "1", "2", "3"]


def test_points_are_drawn_as_points():
    assert len(samples_picture(np.ones((7, 2), np.float32), "7 samples").axes) == 1


def test_the_threshold_of_the_histogram_is_in_the_units_of_its_axis():
    inside, outside = torch.linspace(-50, -10, 200), torch.linspace(-500, -40, 300)
    axes = histograms(inside, outside, threshold=-45.0, name="L").axes[0]
    (line,) = axes.get_lines()
    assert line.get_xdata()[0] == 35.0  # below the highest, −10
    assert line.get_label() == "threshold: 35.0 nats below (score -45.0)"
    assert "highest score of -10.0" in axes.get_xlabel()
    for bars in axes.containers:
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)


def test_histograms_hold_every_image_even_where_all_are_alike():
    same = torch.full((30,), -3.0)
    axes = histograms(same, same, threshold=-3.0, name="L").axes[0]
    assert axes.get_xlim()[0] > axes.get_xlim()[1] > 0


def test_the_corner_of_a_good_roc_can_be_seen():
    generator = torch.Generator().manual_seed(0)
    scores = {
        name: (torch.randn(2000, generator=generator) + gap, torch.randn(2000, generator=generator))
        for name, gap in (("good", 4.0), ("better", 6.0))
    }
    whole, corner = roc(scores).axes
    assert corner.get_xscale() == "log"
    apart = []
    for axes in (whole, corner):
        low, high = axes.get_xlim()
        ends = [axes.transData.transform((x, 0.5))[0] for x in (low, high)]
        curves = [line.get_xydata() for line in axes.get_lines()[:2]]
        at = [
            axes.transData.transform((xy[np.abs(xy[:, 1] - 0.99).argmin()][0], 0))[0]
            for xy in curves
        ]
        apart.append(abs(at[0] - at[1]) / abs(ends[1] - ends[0]))
    assert apart[0] < 0.05  # hardly to be told apart
    assert apart[1] > 0.2


def test_the_fall_of_the_fisher_divergence_can_be_seen():
    monitor = HyvarinenMonitor()
    for epoch, fisher in enumerate((1.0, 0.1, 0.01), 1):
        monitor.history["train"].append({"epoch": epoch, "hyvarinen": -900.0})
        monitor.history["val"].append(
            {"epoch": epoch, "hyvarinen": -900.0, "fisher_divergence": fisher}
        )
    losses, divergence = monitor.draw(Trained(), None)["loss_curve"].axes
    assert divergence.get_yscale() == "log"
    assert list(divergence.get_lines()[0].get_ydata()) == [1.0, 0.1, 0.01]
    assert all("fisher" not in text.get_text() for text in losses.get_legend().get_texts())


def test_both_axes_of_the_latent_process_are_named():
    data, labels = torch.randn(40, 3), torch.arange(40) % 4
    figure = _process({300: torch.randn(9, 3), 0: torch.randn(9, 3)}, data, labels, "9 latents")
    assert all("1st direction" in axes.get_xlabel() for axes in figure.axes)
    assert "2nd direction" in figure.axes[0].get_ylabel()


class Stepped:
    """A score model with K = 60."""

    class schedule:  # noqa: N801
        steps = 60


def test_levels_shown_by_default_fit_any_schedule():
    shares = (5 / 300, 120 / 300, 1.0)
    assert chosen_levels(None, shares, Stepped(), None) == [1, 24, 60]
    Stepped.schedule.steps = 300
    assert chosen_levels(None, shares, Stepped(), None) == [5, 120, 300]


def test_ten_labels_have_ten_colours():
    assert len({label_colour(label) for label in range(10)}) == 10
