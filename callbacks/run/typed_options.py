"""What a person types wins over the checkpoint from which a fit goes on, or is refused."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping

from elbolab.errors import UserError

__all__ = ["TypedOptions", "check_goes_on", "check_written", "options_changed"]

SHOWN = 40
"""Letters of a value that is shown; a list of callbacks would fill the screen."""

SAVED = "hyper_parameters"
"""Where Lightning's checkpoints keep the options of the model."""


def check_goes_on(checkpoint: Mapping[str, Any], model: LightningModule, source: str) -> None:
    """Refuses what cannot change where a fit goes on, before anything is written.

    Raises:
        UserError: If optimiser or schedule is of another class than the one whose state the
            checkpoint holds, or has another value of an option that is not part of that state.
    """
    states = {
        "optimizer": _first(_first(checkpoint.get("optimizer_states")).get("param_groups")),
        "lr_scheduler": _first(checkpoint.get("lr_schedulers")),
    }
    for name, state in states.items():
        if name not in checkpoint.get(SAVED, {}) or name not in model.hparams:
            continue  # built in Python, where nothing says what it is
        before, now = checkpoint[SAVED][name], model.hparams[name]
        if _class(before) != _class(now):
            raise UserError(
                f"{source} cannot go on with model.{name} {_class(now)}: it holds the state of "
                f"{_class(before)}. Begin a new run for another one."
            )
        for option in _changed(before, now):
            if option not in state or option == "last_epoch":
                raise UserError(
                    f"{source} cannot go on with another {option} of {_class(now)}: leave it as "
                    "it was, or begin a new run."
                )


class TypedOptions(Callback):
    """Gives optimiser and schedule the options that were typed, where a fit goes on.

    Lightning restores both as they were saved, and with them the options of old. A learning rate
    that is typed anew becomes what the schedule starts from; where it stands stays as it was.
    """

    def __init__(self) -> None:
        self._before: Mapping[str, Any] = {}
        self._groups: list[dict[str, Any]] = []
        self._schedules: list[dict[str, Any]] = []

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._before = checkpoint.get(SAVED, {})
        everything: Any = trainer
        for callback in everything.callbacks:
            saved = checkpoint.get("callbacks", {}).get(callback.state_key)
            if isinstance(callback, EarlyStopping) and saved:
                saved["patience"] = callback.patience

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # As they were built, before Lightning restores them.
        self._groups = [
            {name: value for name, value in group.items() if name != "params"}
            for optimizer in trainer.optimizers
            for group in optimizer.param_groups
        ]
        schedules = (config.scheduler for config in trainer.lr_scheduler_configs)
        self._schedules = [dict(schedule.state_dict()) for schedule in schedules]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._set_optimizers(trainer, self._changed("optimizer", pl_module))
        self._set_schedules(trainer, self._changed("lr_scheduler", pl_module))

    def _changed(self, name: str, pl_module: LightningModule) -> list[str]:
        if name not in self._before or name not in pl_module.hparams:
            return []
        return _changed(self._before[name], pl_module.hparams[name])

    def _set_optimizers(self, trainer: Trainer, changed: list[str]) -> None:
        groups = (group for optimizer in trainer.optimizers for group in optimizer.param_groups)
        for group, fresh in zip(groups, self._groups, strict=True):
            group.update({name: fresh[name] for name in changed if name != "lr"})
            if "lr" in changed:
                start = group.get("initial_lr", group["lr"])
                group["lr"] = group["lr"] / start * fresh["lr"] if start else fresh["lr"]
                group.update({"initial_lr": fresh["lr"]} if "initial_lr" in group else {})
        for config in trainer.lr_scheduler_configs if "lr" in changed else ():
            schedule: Any = config.scheduler
            schedule.base_lrs = [group["lr"] for group in self._groups]

    def _set_schedules(self, trainer: Trainer, changed: list[str]) -> None:
        for config, fresh in zip(trainer.lr_scheduler_configs, self._schedules, strict=True):
            config.scheduler.__dict__.update({name: fresh[name] for name in changed})


def options_changed(before: str, now: str) -> list[str]:
    """Which options of a configuration are others now, of those that change what is trained.

    Args:
        before: The configuration of old as YAML.
        now: The present one.
    """
    old, new = (dict(_flat(yaml.safe_load(text))) for text in (before, now))
    length = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_time")
    return [
        f"{name} {_short(new.get(name))} (was {_short(old.get(name))})"
        for name in sorted(old.keys() | new.keys())
        if new.get(name) != old.get(name) and name not in length
    ]


def _short(value: Any) -> str:
    return str(value) if len(str(value)) < SHOWN else "…"


def _flat(options: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(options, Mapping) and options:
        for key, value in options.items():
            inner = name if key == "init_args" else f"{name}.{key}".lstrip(".")
            yield from _flat(value, inner)
    else:
        yield name, options


def _changed(before: Any, now: Any) -> list[str]:
    """Names of the options with another value than before."""
    old, new = _options(before), _options(now)
    return [name for name in new if name in old and new[name] != old[name]]


def _first(items: Any) -> Mapping[str, Any]:
    return items[0] if items else {}


def _class(option: Any) -> str:
    path = option.get("class_path") if isinstance(option, Mapping) else option
    return "none" if path is None else str(path).rsplit(".", 1)[-1]


def _options(option: Any) -> Mapping[str, Any]:
    return option.get("init_args", {}) if isinstance(option, Mapping) else {}


def check_written(text: str) -> None:
    """Refuses a configuration that no later command could read.

    Args:
        text: The configuration as YAML.

    Raises:
        UserError: Naming an option that was given as an object in Python.
    """
    if option := re.search(r"(\w+): Unable to serialize instance (<.+>)", text):
        raise UserError(
            f"{option[1]} is {option[2]}, which config.yaml cannot hold, so that neither test nor "
            "predict could build the model again: give it as class_path and init_args, or as a "
            "lambda that calls the class with names, lambda p: Adam(p, lr=1e-3)."
        )
