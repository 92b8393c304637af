"""Models and data built again from the files of a run: the one file here that knows the rooms.

`elbolab.run` imports it when a run is first asked for what takes torch and Lightning.
"""

import inspect
import json
import logging
import tempfile
import warnings
from argparse import ArgumentError
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Generator

import lightning_cli
from elbolab.checks import check_at_least_one, check_seed
from elbolab.class_errors import explain_class, option_names
from elbolab.command_line import instantiate
from elbolab.errors import UserError
from elbolab.own_arrays import checked_images, checked_points, scaled
from elbolab.parser_errors import explain
from elbolab.run_directory import RunDirectory
from lightning_modules.checkpoints import read_checkpoint
from lightning_modules.stored_options import check_names, name_classes

__all__ = ["ask_examples", "ask_samples", "build_data", "build_model", "check_again"]

ANSWERS = ("sample", "reconstruct", "elbo", "log_likelihood", "log_prob")
"""Questions that a model answers where it has a method of that name."""

MISFITS = (ArgumentError, AttributeError, KeyError, RuntimeError, TypeError, ValueError)
"""What building something from options that are not its own ends with."""


PLACES = ("root", "path", "vae_run")
"""Options of data modules that say where something lies."""

ONE_PROCESS = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
"""The trainer of a test in Python; its figures do not depend on the number of processes."""


def build_model(path: Path, config: Mapping[str, Any], device: str) -> LightningModule:
    """The model of a checkpoint in evaluation mode, built from the options that it carries.

    Args:
        path: The checkpoint.
        config: The run's configuration, which names the model where the checkpoint does not.
        device: Where it shall live.

    Raises:
        UserError: If the checkpoint is damaged, no model's, or no longer fits its class.
    """
    saved = read_checkpoint(path)
    if not isinstance(saved, dict) or "state_dict" not in saved:
        raise UserError(f"{path} is no checkpoint of a LightningModule: it has no state_dict.")
    model_class = _model_class(path, saved, config)
    try:
        with isolate_rng():  # the first weights, which are drawn to be overwritten
            model = model_class.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except MISFITS as error:
        version = saved.get("pytorch-lightning_version")
        raise UserError(
            f"checkpoint {path} (Lightning {version}) does not fit {model_class.__name__} as it is "
            f"now: {_one_line(error)}"
        ) from error
    try:
        return model.eval().to(device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"no device {device}: {_one_line(error)}") from error


def _model_class(
    path: Path, saved: Mapping[str, Any], config: Mapping[str, Any]
) -> type[LightningModule]:
    options, configured = _mapping(saved, "hyper_parameters"), _mapping(config, "model")
    name_classes(configured)  # what the run's own configuration names may be imported
    check_names(options, f"checkpoint {path}")
    name = options.get("_class_path") or configured.get("class_path")
    if not isinstance(name, str):
        raise UserError(
            f"checkpoint {path} does not say of which class its model is: it was fitted in Python; "
            f"load it with that class, MyModel.load_from_checkpoint('{path}')."
        )
    return _class(name, "LightningModule", f"checkpoint {path}")


def _mapping(options: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = options.get(name)
    return part if isinstance(part, Mapping) else {}


def _class(name: str, base: str, source: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{source} names what is gone: {explain_class(name, base)}") from error


def build_data(
    source: Path, config: Mapping[str, Any], changes: Mapping[str, Any]
) -> LightningDataModule:
    """The data module of a configuration, prepared and set up for all stages.

    Args:
        source: The run's directory.
        config: Its configuration.
        changes: Options of the data module that win over the configuration's.

    Raises:
        UserError: If the data cannot be had, with the way to say where they are now.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data", required=True)
    name = _mapping(config, "data").get("class_path")
    if not isinstance(name, str):
        raise UserError(f"{source}: its config.yaml names no data.class_path.")
    _class(name, "LightningDataModule", str(source))
    options = {**_mapping(config["data"], "init_args"), **changes}
    try:
        if "seed" in option_names(name):  # which the command line links
            options.setdefault("seed", config.get("seed_everything", 0))
        given = parser.parse_object({"data": {"class_path": name, "init_args": options}})
        with isolate_rng():
            data: LightningDataModule = instantiate(parser, given).data
            data.prepare_data()
            for stage in ("fit", "test"):
                data.setup(stage)
    except (*MISFITS, OSError) as error:
        place = next((place for place in PLACES if place in options), PLACES[0])
        raise UserError(
            f"the data of {source} cannot be had: {_one_line(error).rstrip('.')}. Say what is "
            f"another now, such as elbolab.load('{source}', data={{'{place}': '…'}})."
        ) from error
    return data


def check_again(
    run: RunDirectory, checkpoint: Path, options: Mapping[str, Any]
) -> dict[str, float]:
    """What ``test`` says of a run with other options, in a place of its own that is removed.

    Args:
        run: The run, whose directory is left alone.
        checkpoint: What is tested.
        options: By name, nested as in the configuration.
    """
    with tempfile.TemporaryDirectory(prefix="elbolab-") as folder:
        typed = ["test", "--config", str(run.config), "--ckpt_path", str(checkpoint)]
        trainer = {**ONE_PROCESS, "enable_progress_bar": False, **options.get("trainer", {})}
        typed += ["--run_dir", str(Path(folder) / "run")]
        with _undisturbed():
            lightning_cli.run([*typed, *_typed({**options, "trainer": trainer})])
        return RunDirectory(Path(folder) / "run").read_metrics()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leaves noise, warnings, logging and arithmetic of the process as they were; says nothing."""
    disabled, flushed = logging.root.manager.disable, _flushes_denormals()
    logging.disable(logging.INFO)
    try:
        with isolate_rng(), redirect_stdout(StringIO()), warnings.catch_warnings():
            yield
    finally:
        logging.disable(disabled)
        torch.set_flush_denormal(flushed)


def _flushes_denormals() -> bool:
    return not (torch.full((1,), torch.finfo(torch.float64).tiny, dtype=torch.float64) / 2).any()


def _typed(options: Mapping[str, Any], prefix: str = "--") -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _typed(value, f"{prefix}{name}.")
        else:
            text = str(value) if isinstance(value, str | Path) else json.dumps(value)
            yield f"{prefix}{name}={text}"


def ask_samples(
    model: Any, n: int, seed: int, y: Any, guidance: float | None
) -> NDArray[np.float32]:
    """``n`` samples of a model, those that ``predict`` writes for the same seed.

    Raises:
        UserError: If the model has none, or knows no labels and is given some.
    """
    _check_answers(model, "sample")
    check_at_least_one(n=n)
    check_seed(seed=seed)
    given = {"y": y, "guidance": guidance}
    asked = {name: value for name, value in given.items() if value is not None}
    known = inspect.signature(model.sample).parameters
    for name, value in asked.items():
        if name not in known:
            raise UserError(
                f"{name}={value}: {type(model).__name__} knows no labels; leave it out."
            )
    if guidance is not None and y is None:
        raise UserError(f"guidance={guidance} leads to labels: say which, such as y=7.")
    with torch.no_grad():
        return _array(model.sample(n, Generator().manual_seed(seed), **asked)).astype(np.float32)


def ask_examples(
    model: LightningModule, question: str, examples: Any, batch_size: int, **options: Any
) -> NDArray[Any]:
    """What a model says of each of a person's own examples, in batches.

    Args:
        model: The model.
        question: One of `ANSWERS`.
        examples: Images, or points for ``log_prob``.
        batch_size: Examples at once; their answers do not depend on it.
        options: Of the model's method; None is as good as none.

    Raises:
        UserError: If the model cannot answer, or the examples are not what it takes.
    """
    _check_answers(model, question)
    check_at_least_one(batch_size=batch_size)
    asked = {name: value for name, value in options.items() if value is not None}
    answer = getattr(model, question)
    for name, value in asked.items():
        if name not in inspect.signature(answer).parameters:
            raise UserError(f"{name}={value}: .{question} of {type(model).__name__} draws nothing.")
    checked = _checked(model, question, examples)
    parts = np.array_split(checked, range(batch_size, len(checked), batch_size))
    with torch.no_grad():
        rows = [_array(answer(_tensor(part, model), **asked)) for part in parts]
    return np.concatenate(rows)


def _checked(model: Any, question: str, examples: Any) -> NDArray[Any]:
    if not hasattr(model, "shape"):
        raise UserError(
            f"{type(model).__name__} has no .shape, which says what an example is: ask .model."
        )
    if question == "log_prob":
        return checked_points(examples, model.shape)
    likelihood = getattr(model, "likelihood", None)
    return checked_images(examples, model.shape, *getattr(likelihood, "pixel_range", (0.0, 1.0)))


def _check_answers(model: Any, question: str) -> None:
    can = [name for name in ANSWERS if callable(getattr(model, name, None))]
    if "log_likelihood" in can and "log_prob" in can:
        can.remove("log_prob")  # of something between noise and image
    if question not in can:
        others = ", ".join(f".{name}" for name in can) or "only .model, .data and .test"
        raise UserError(f"{type(model).__name__} has no .{question}: it has {others}.")


def _tensor(examples: NDArray[Any], model: LightningModule) -> torch.Tensor:
    return torch.from_numpy(scaled(examples)).to(model.device)


def _array(answer: torch.Tensor) -> NDArray[Any]:
    return answer.detach().cpu().numpy()


def _one_line(error: Exception) -> str:
    return " ".join(explain(error).split())
