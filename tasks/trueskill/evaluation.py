"""How good predictions were, each made before its match was seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from tasks.arrays import Floats, Ints
from tasks.trueskill.closed_form import Chances
from tasks.trueskill.model import RatedMatch

__all__ = ["FIRST", "Calibration", "Forecast", "calibration"]

FIRST = 50
"""Matches that count as a season's beginning."""


@dataclass(frozen=True)
class Forecast:
    """Predictions and what happened.

    Args:
        chances: ``(matches, 3)``: probabilities that the first team wins, of a draw, that the
            second wins. Without draws in the model the middle column is 0.
        outcome: Column of what happened.
        draws: Whether draws are outcomes.
    """

    chances: Floats
    outcome: Ints
    draws: bool

    @classmethod
    def of(
        cls, chances: Sequence[Chances], matches: Sequence[RatedMatch], draws: bool
    ) -> "Forecast":
        """Puts predictions and results side by side."""
        return cls(np.array(chances), np.array([1 - match.y for match in matches]), draws)

    @property
    def correct(self) -> Floats:
        """1 where the likeliest outcome happened; its share of a tie, ½ for a coin's toss."""
        best = np.isclose(self.chances, self.chances.max(1, keepdims=True), rtol=0, atol=1e-12)
        return self._happened(best.astype(float)) / best.sum(1)

    @property
    def log_loss(self) -> Floats:
        """−log of the probability of what happened, in nats."""
        return -np.log(np.maximum(self._happened(self.chances), np.finfo(float).tiny))

    @property
    def brier(self) -> Floats:
        """Squared error of the probability, in [0, 1]; summed over three outcomes, in [0, 2]."""
        error = self.chances - np.eye(3)[self.outcome]
        return (error**2).sum(1) / (1 if self.draws else 2)

    @property
    def home(self) -> Floats:
        """1 where always betting on the first team is right."""
        return (self.outcome == 0).astype(float)

    @property
    def random_rate(self) -> float:
        """What guessing is right in: ½, or ⅓ with draws."""
        return 1 / 3 if self.draws else 1 / 2

    def scores(self) -> dict[str, float]:
        """Means over all matches, and over the first `FIRST` of a season that has as many."""
        beginning = {f"prediction_rate_first_{FIRST}": self.correct[:FIRST].mean()}
        return {
            "prediction_rate": self.correct.mean(),
            "log_loss": self.log_loss.mean(),
            "brier": self.brier.mean(),
            **(beginning if len(self.outcome) >= FIRST else {}),
        }

    def baselines(self) -> dict[str, float]:
        """What needs no model: always the first team, and guessing."""
        return {"always_home_rate": self.home.mean(), "random_rate": self.random_rate}

    def _happened(self, values: Floats) -> Floats:
        return np.take_along_axis(values, self.outcome[:, None], 1)[:, 0]


@dataclass(frozen=True)
class Calibration:
    """Predicted probabilities in bins, and how often the predicted happened.

    Attributes:
        predicted: Mean probability in each bin that holds any.
        observed: Share that happened.
        low: Lower end of its 95 % Clopper–Pearson interval.
        high: Upper end.
        count: Predictions in each bin.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    count: Ints


def calibration(forecast: Forecast, bins: int = 10) -> Calibration:
    """Bins predicted probabilities by size, ``bins`` of equal width on [0, 1].

    Without draws the probability is that of the first team; with draws every match counts three
    times, once for each outcome.
    """
    columns = 3 if forecast.draws else 1
    p = forecast.chances[:, :columns].ravel()
    happened = (forecast.outcome[:, None] == np.arange(columns)).ravel()
    place = np.minimum((p * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    full = count > 0
    hits = np.bincount(place, happened, minlength=bins)[full]
    n = count[full]
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), n - hits + 1, 0.025), 0.0)
    high = np.where(hits < n, betaincinv(hits + 1, np.maximum(n - hits, 1), 0.975), 1.0)
    predicted = np.bincount(place, p, minlength=bins)[full] / n
    return Calibration(predicted, hits / n, low, high, n)
