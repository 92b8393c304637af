"""The command ``python cli.py task cavi``; its work is in `experiment`."""

from typing import Literal

from jsonargparse.typing import lazy_instance

from elbolab.errors import UserError
from tasks.base import TaskContext, TaskResult
from tasks.cavi.methods import Algorithm, FullPass
from tasks.cavi.model import Constants, DirichletWeights, FixedWeights, Weights
from tasks.cavi.simulation import Simulation

__all__ = ["CAVI"]


class CAVI:
    """Finds the super-epicentres of earthquakes by coordinate-ascent variational inference.

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
    """

    def __init__(
        self,
        data: str | None = None,
        position: list[str] | None = None,
        strength: str | None = None,
        density: Literal["normal", "log-normal"] = "normal",
        components: int | list[int] = 4,
        tau: float = 1.0,
        rho: float = 0.01,
        alpha: float = 1.0,
        beta: float = 0.1,
        nu: list[float] | None = None,
        weights: Literal["uniform", "learn"] | list[float] = "uniform",
        concentration: float = 1.0,
        restarts: int = 10,
        algorithm: Algorithm = lazy_instance(FullPass),  # noqa: B008  never changed
        trace: Literal["passes", "updates"] = "passes",
        assign: str | None = None,
        simulation: Simulation = Simulation(),  # noqa: B008  never changed
    ) -> None:
        self.data, self.position, self.strength = data, position, strength
        self.log = density == "log-normal"
        self.components = components if isinstance(components, list) else [components]
        self.constants = Constants(tau, rho, alpha, beta)
        self.nu, self.weights = nu, _weights(weights, concentration)
        self.restarts, self.algorithm = restarts, algorithm
        self.every_update, self.assign = trace == "updates", assign
        self.simulation = simulation
        self._check_numbers()
        self._check_data()
        if isinstance(weights, list):
            self._check_weights(len(weights))

    def _check_numbers(self) -> None:
        if not self.components or min(self.components) < 1:
            raise UserError(f"components must be at least 1, got {self.components}.")
        if self.restarts < 1:
            raise UserError(f"restarts must be at least 1, got {self.restarts}.")

    def _check_data(self) -> None:
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

    def _check_weights(self, count: int) -> None:
        if set(self.components) != {count}:
            raise UserError(f"weights has {count} numbers for {self.components} components.")

    @property
    def dimensions(self) -> int:
        """D of a position."""
        return len(self.position) if self.position else self.simulation.dimensions

    def run(self, context: TaskContext) -> TaskResult:
        """Reads or simulates, fits, chooses, assigns and draws."""
        from tasks.cavi.experiment import run

        return run(self, context)


def _weights(given: str | list[float], concentration: float) -> Weights:
    prior = DirichletWeights(concentration)
    if given == "learn":
        return prior
    return FixedWeights() if given == "uniform" else FixedWeights(tuple(map(float, given)))
