"""A finished run in Python: what it left, its model, its data, and questions to them."""

import html
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from elbolab.errors import UserError, did_you_mean
from elbolab.provenance import read_provenance
from elbolab.run_directory import RunDirectory
from elbolab.run_results import (
    Curve,
    Pictures,
    RunTable,
    read_curves,
    read_pictures,
    read_tables,
)

__all__ = ["Run", "load"]

BATCH_SIZE = 500
"""Examples that a model is asked about at once."""


def load(
    path: str | Path,
    *,
    checkpoint: str = "best",
    device: str = "cpu",
    data: Mapping[str, Any] | None = None,
) -> "Run":
    """A run to be looked at and asked; nothing is read before it is needed.

    Args:
        path: A run directory, of a fit or of a task, or a checkpoint file.
        checkpoint: ``"best"`` or ``"last"`` of a run directory.
        device: Where the model shall live, such as ``"cuda"``.
        data: Options of the data module that are others now, such as ``{"root": "/data"}``.

    Raises:
        UserError: If there is no run.
    """
    given = Path(path).expanduser()
    if checkpoint not in ("best", "last"):
        raise UserError(f"checkpoint must be 'best' or 'last', got {checkpoint!r}: load the file.")
    if given.is_file():
        around = RunDirectory(given.parent.parent)
        run = around if given.parent == around.checkpoints and around.config.exists() else None
        return Run(run or RunDirectory(given), given, device, data or {})
    run = RunDirectory(given)
    if not (run.config.exists() or run.metrics.exists() or run.checkpoints.exists()):
        known = [str(config.parent) for config in given.parent.glob("*/config.yaml")]
        raise UserError(
            f"no run in {given}: it has neither config.yaml nor metrics.json nor checkpoints."
            f"{did_you_mean(str(given), known)}"
        )
    return Run(run, run.checkpoint(checkpoint), device, data or {})


class Run:
    """What `load` returns; each part is read when it is first asked for, and kept.

    Args:
        directory: The run's directory; of a checkpoint alone, the file.
        checkpoint: The checkpoint of its model.
        device: Where the model shall live.
        data: Options of the data module that win over the configuration's.
    """

    def __init__(
        self, directory: RunDirectory, checkpoint: Path, device: str, data: Mapping[str, Any]
    ) -> None:
        self.path = directory.path
        self._directory, self._checkpoint = directory, checkpoint
        self._device, self._changes = device, dict(data)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{value:.6g}</td></tr>"
            for name, value in self.metrics.items()
        )
        return f"<b>{html.escape(str(self.path))}</b><table>{rows}</table>"

    @cached_property
    def config(self) -> dict[str, Any]:
        """All options, nested as in ``config.yaml``; empty where there is none.

        Raises:
            UserError: If the file is damaged.
        """
        path = self._directory.config
        if not path.exists():
            return {}
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged: {' '.join(str(error).split())}.") from error
        if not isinstance(config, dict):
            raise UserError(f"{path} is damaged: it holds no options.")
        return config

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Figures by name, such as ``test/elbo``; NaN where a task had none."""
        return _numbers(self._directory.read_metrics())

    @cached_property
    def pictures(self) -> Pictures:
        """Name → file of the newest picture of that name; a notebook shows them."""
        return read_pictures(self._directory)

    @cached_property
    def tables(self) -> dict[str, RunTable]:
        """Name → columns by name, of the tables that a task wrote."""
        return read_tables(self._directory)

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """Tag → steps and values, as TensorBoard shows them."""
        return read_curves(self._directory)

    @cached_property
    def provenance(self) -> list[dict[str, Any]]:
        """What made the run: one entry for each command that worked in its directory."""
        return read_provenance(self._directory)

    @cached_property
    def model(self) -> Any:
        """The module with the checkpoint's weights, in evaluation mode.

        It is built from the options in the checkpoint: neither data nor configuration are needed.

        Raises:
            UserError: If there is no checkpoint, it is damaged, or no longer fits its class.
        """
        if not self._checkpoint.exists():
            raise UserError(f"{self._without('model')}{self._other_checkpoint()}")
        return _loading().build_model(self._checkpoint, self._lenient_config(), self._device)

    @cached_property
    def data(self) -> Any:
        """The data module of the configuration, prepared and set up.

        Raises:
            UserError: If the configuration names none, or the data cannot be had.
        """
        self._need_configuration("data")
        return _loading().build_data(self.path, self.config, self._changes)

    def test(self, **options: Any) -> dict[str, float]:
        """The figures of ``python cli.py test``; the run directory is left as it is.

        Args:
            options: The command's, nested where it has dots: ``data={"eval_batch_size": 100}``.

        Raises:
            UserError: As the command.
        """
        self._need_configuration("test()")
        changed = {"data": {**self._changes, **options.pop("data", {})}, **options}
        return _numbers(_loading().check_again(self._directory, self._checkpoint, changed))

    def sample(
        self, n: int, *, y: Any = None, guidance: float | None = None, seed: int = 0
    ) -> NDArray[np.float32]:
        """``n`` draws ``(n, *shape)`` in data space, those of ``predict`` for the same seed.

        Args:
            n: How many.
            y: For models with labels: one for all, or n.
            guidance: How strongly samples keep to them; by default as the model has it.
            seed: Of the noise.

        Raises:
            UserError: If the model has no samples, or knows no labels and is given some.
        """
        return _loading().ask_samples(self.model, n, seed, y, guidance)

    def reconstruct(self, images: Any, *, batch_size: int = BATCH_SIZE) -> NDArray[np.float32]:
        """Images encoded and decoded again, ``(N, c, h, w)`` in [0, 1]; images as for `elbo`."""
        return _loading().ask_examples(self.model, "reconstruct", images, batch_size)

    def elbo(self, images: Any, *, batch_size: int = BATCH_SIZE) -> NDArray[np.float64]:
        """The ELBO of each image in nats, ``(N,)``.

        Args:
            images: Bytes, or floats in [0, 1]: ``(N, c, h, w)``, ``(N, h, w)`` where c is 1, or one
                image; NumPy's, torch's, or whatever NumPy makes an array of.
            batch_size: Images at once; what is said of an image does not depend on the others.

        Raises:
            UserError: If the model has no ELBO, or the images are not what it takes.
        """
        return self._nats("elbo", images, batch_size)

    def log_likelihood(
        self, images: Any, *, samples: int | None = None, batch_size: int = BATCH_SIZE
    ) -> NDArray[np.float64]:
        """The log-likelihood of each image in nats, ``(N,)``.

        Of a VAE by importance weighting, from below; of NICE exactly.

        Args:
            images: As for `elbo`.
            samples: Draws for each image, for a VAE; by default as in its test.
            batch_size: Images at once.

        Raises:
            UserError: If the model has none, or the images are not what it takes.
        """
        return self._nats("log_likelihood", images, batch_size, samples=samples)

    def log_prob(self, points: Any, *, batch_size: int = BATCH_SIZE) -> NDArray[np.float64]:
        """The log-density of points ``(N, d)`` in nats, ``(N,)``, for score models.

        Those of `LatentScore` live among standardised latents.

        Raises:
            UserError: If the model is of images, or the points are not what it takes.
        """
        return self._nats("log_prob", points, batch_size)

    def _nats(self, question: str, examples: Any, size: int, **options: Any) -> NDArray[np.float64]:
        answer = _loading().ask_examples(self.model, question, examples, size, **options)
        return answer.astype(np.float64)

    def _need_configuration(self, wanted: str) -> None:
        if not {"model", "data"} <= self.config.keys():
            raise UserError(self._without(wanted))

    def _without(self, wanted: str) -> str:
        """Why a part is not there."""
        if self.path.is_file():
            return f"{self.path} is a checkpoint alone: for .{wanted} load its run directory."
        if self.config and "model" not in self.config:
            return (
                f"{self.path} is a task's run, which has no .{wanted}: it has .config, .metrics, "
                ".tables, .pictures and .curves."
            )
        if wanted == "model":
            return f"no checkpoint {self._checkpoint}."
        return f"{self.path} has no config.yaml, which .{wanted} needs."

    def _other_checkpoint(self) -> str:
        other = "last" if self._checkpoint.stem == "best" else "best"
        there = self._directory.checkpoint(other).exists()
        return f" Load the other one: elbolab.load(…, checkpoint='{other}')." if there else ""

    def _lenient_config(self) -> dict[str, Any]:
        """The configuration, or nothing where it is damaged: a model can do without."""
        try:
            return self.config
        except UserError:
            return {}


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """JSON has no NaN: what was none is null there."""
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def _loading() -> Any:
    """The functions that need torch and Lightning, which take seconds to import."""
    from elbolab import loading

    return loading
