"""What a person sets: the command line of the task, the constants and what is simulated."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from elbolab.checks import check_at_least_one, check_in
from elbolab.errors import UserError
from tasks.cavi.methods import Algorithm, FullPass

__all__ = [
    "CAVIOptions",
    "Constants",
    "Simulation",
    "check_positive",
    "check_probabilities",
]

MOST_EVENTS = 10**8
"""Numbers (events times dimensions) that are simulated at most: 0.8 GB."""

MOST_RESTARTS = 10**4

EXTREMES = "[1e-40, 1e40]"
"""Where constants of the model may lie: τ times the square of a position stays a number."""

LARGEST_NUMBER = 1e100
"""The largest coordinate of a position."""


@dataclass(frozen=True)
class Constants:
    """The scalars of the model; all positive, and in `EXTREMES`.

    Args:
        tau: τ, precision of positions around their epicentre, in 1/unit² of the positions.
        rho: ρ, prior precision of the epicentres, in 1/unit².
        alpha: α, prior shape of the strengths' rates.
        beta: β, prior rate of the strengths' rates.

    Raises:
        UserError: If one is not.
    """

    tau: float = 1.0
    rho: float = 0.01
    alpha: float = 1.0
    beta: float = 0.1

    def __post_init__(self) -> None:
        check_positive(**vars(self))


def check_positive(**values: float) -> None:
    """Refuses constants of the model that are not positive, or so extreme that products overflow.

    Raises:
        UserError: Naming the first that is.
    """
    check_in("(0, inf)", **values)
    check_in(EXTREMES, **values)


def check_probabilities(probabilities: Iterable[float]) -> None:
    """Refuses weights π that are not positive or do not add up to 1.

    Raises:
        UserError: Naming them.
    """
    given = list(probabilities)
    if not all(p > 0 for p in given) or abs(math.fsum(given) - 1) > 1e-6:
        raise UserError(f"weights must be positive and add up to 1, got {given}.")


@dataclass(frozen=True)
class Simulation:
    """What is drawn from the model where no file is given.

    Args:
        events: How many.
        components: Super-epicentres, of equal weight unless weights are given.
        dimensions: Of a position. Default: 2, or 1 for log-normal distances.

    Raises:
        UserError: If one is below 1, or there are more than can be held.
    """

    events: int = 1000
    components: int = 4
    dimensions: int | None = None

    def __post_init__(self) -> None:
        sizes = {f"simulation.{name}": value for name, value in vars(self).items()}
        check_at_least_one(**sizes)
        most = max(self.events, self.components) * (self.dimensions or 1)
        if most > MOST_EVENTS:
            raise UserError(
                f"simulation of {self.events} events of {self.components} components in "
                f"{self.dimensions or 2} dimensions is too large: at most {MOST_EVENTS} numbers."
            )


@dataclass(frozen=True)
class CAVIOptions:
    """The command line of ``task cavi``.

    Args:
        data: A CSV with a header line; default: events simulated from the model.
        position: Its columns of positions; one column of distances for density log-normal.
        strength: Its column of counts.
        density: Of positions around their epicentre; log-normal is that of positive distances, and
            all positions of the model, μ, ν and τ included, are then logarithms.
        components: K, or several of which the one with the highest ELBO is taken.
        tau: Precision of positions around their epicentre, in 1/unit².
        rho: Prior precision of the epicentres, in 1/unit².
        alpha: Prior shape of the strengths' rates.
        beta: Prior rate of the strengths' rates.
        nu: Prior mean of the epicentres. Default: the data's; of simulated events 0.
        weights: Of the components: uniform, learned with a Dirichlet prior, or a list of them.
        concentration: Of the Dirichlet prior of learned weights.
        restarts: Starts by k-means++, of which the best is kept.
        algorithm: FullPass, Streaming (reads the file in chunks, again in every pass) or
            Stochastic. Default: FullPass.
        trace: Keep the ELBO after each pass, or after each coordinate update.
        assign: A CSV of new events with the same columns, to be assigned to the epicentres.
        simulation: What is simulated.

    Raises:
        UserError: If a value is impossible, or two of them contradict each other.
    """

    data: str | None = None
    position: list[str] | None = None
    strength: str | None = None
    density: Literal["normal", "log-normal"] = "normal"
    components: int | list[int] = 4
    tau: float = 1.0
    rho: float = 0.01
    alpha: float = 1.0
    beta: float = 0.1
    nu: list[float] | None = None
    weights: Literal["uniform", "learn"] | list[float] = "uniform"
    concentration: float = 1.0
    restarts: int = 10
    algorithm: Algorithm = FullPass()  # noqa: RUF009  frozen
    trace: Literal["passes", "updates"] = "passes"
    assign: str | None = None
    simulation: Simulation = Simulation()

    def __post_init__(self) -> None:
        check_at_least_one(components=self.components, restarts=self.restarts)
        check_in(f"[1, {MOST_RESTARTS}]", restarts=self.restarts)
        check_positive(concentration=self.concentration)
        check_in(f"[-{LARGEST_NUMBER}, {LARGEST_NUMBER}]", nu=self.nu)
        _ = self.constants
        if not self.counts:
            raise UserError("components must name at least one number, got an empty list.")
        self._check_data()
        if isinstance(self.weights, list):
            check_probabilities(self.weights)
            self._check_weights(self.weights)

    def _check_data(self) -> None:
        if "" in (self.data, self.assign):
            raise UserError("data and assign must name a file, got ''.")
        if self.data is None and (self.position or self.strength or self.assign):
            raise UserError("position, strength and assign need a file: add --data FILE.")
        if self.data is not None and not (self.position and self.strength):
            raise UserError(
                "position and strength must name columns of the data, such as "
                "--position '[long, lat]' --strength stations."
            )
        columns = [*(self.position or []), self.strength]
        if len(set(columns)) < len(columns):
            raise UserError(f"position and strength name a column twice: {columns}.")
        if self.nu is not None and len(self.nu) != self.dimensions:
            raise UserError(f"nu must have {self.dimensions} numbers, got {self.nu}.")

    def _check_weights(self, weights: list[float]) -> None:
        wanted = [("components", k) for k in self.counts]
        if self.data is None:
            wanted.append(("simulation.components", self.simulation.components))
        for name, k in wanted:
            if k != len(weights):
                raise UserError(f"weights must be {k} numbers for {name} {k}, got {weights}.")

    @property
    def constants(self) -> Constants:
        """τ, ρ, α and β."""
        return Constants(self.tau, self.rho, self.alpha, self.beta)

    @property
    def counts(self) -> list[int]:
        """Every K that is asked for, once."""
        several = self.components if isinstance(self.components, list) else [self.components]
        return sorted(set(several))

    @property
    def log(self) -> bool:
        """Whether positions are logarithms of distances."""
        return self.density == "log-normal"

    @property
    def dimensions(self) -> int:
        """D of a position."""
        if self.position:
            return len(self.position)
        return self.simulation.dimensions or (1 if self.log else 2)
