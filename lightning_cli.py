"""Lightning's command line with this framework's rules; imported only when it is needed.

Importing Lightning takes seconds, so `cli.py` answers ``--help`` and ``task`` without it. Every
override of `LightningCLI` lives here.
"""

import os
from contextlib import ExitStack
from typing import Any, cast

from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_only
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar, TQDMProgressBar
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI

from callbacks.run.checkpoints import SafeCheckpointIO, check_fits
from callbacks.run.failures import failures_in_one_line
from callbacks.run.own_callbacks import with_own_callbacks
from callbacks.run.predictions import PredictionWriter, add_prediction_options
from callbacks.run.profiling import Unprofiled, check_for_gpus_once
from callbacks.run.provenance_record import ProvenanceRecord
from callbacks.run.resume import ExactResume
from callbacks.run.run_record import RunLogger, RunRecord
from callbacks.run.training_loop import LeanLoop
from callbacks.run.typed_options import (
    TypedOptions,
    check_goes_on,
    check_written,
    options_changed,
)
from callbacks.trainer_facts import in_trial
from elbolab.beginning import import_rooms, quieten
from elbolab.command_line import parse
from elbolab.denormals import flush_denormals
from elbolab.errors import UserError
from elbolab.option_checks import FIGURES_HELP, FigureOption, check_trainer, figure_formats
from elbolab.parser_errors import explain
from elbolab.run_choice import (
    choose_checkpoint,
    choose_run,
    claim_run,
    default_run,
    requeued,
    with_run_config,
)
from elbolab.run_directory import RunDirectory
from lightning_modules.checkpoints import read_checkpoint
from lightning_modules.stored_options import name_classes

__all__ = ["ElbolabCLI", "run"]

CHOSEN_RUN = "ELBOLAB_CHOSEN_RUN"
"""Environment variable by which a fit's first process tells the others its run directory."""

PROGRESS_REFRESH = 50
"""Batches between two updates of the progress bar: one at every batch slows small models down."""


def run(args: list[str]) -> None:
    """Runs ``fit``, ``validate``, ``test`` or ``predict`` with what a person typed.

    Raises:
        UserError: If the arguments cannot be parsed, or what they ask for cannot be had.
    """
    flush_denormals()  # first: torch's threads take it over when they start
    quieten()
    check_for_gpus_once()
    import_rooms()
    strict: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}
    ElbolabCLI(
        model_class=LightningModule,
        datamodule_class=LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_callback=None,  # RunRecord writes it, when nothing can go wrong any more
        seed_everything_default=0,
        auto_configure_optimizers=False,  # optimisers are the modules' own typed callables
        parser_kwargs=strict | {name: dict(strict) for name in ElbolabCLI.subcommands()},
        args=with_run_config(args),
    )


class ElbolabCLI(LightningCLI):
    """`LightningCLI` in which every command owns one run directory.

    What a person types wins over the run's configuration, and both over a checkpoint.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The original does everything here, the command itself included.
        with ExitStack() as self._held:
            super().__init__(*args, **kwargs)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The commands and the arguments of Trainer's methods that this framework sets itself."""
        own = {"model", "datamodule", "ckpt_path", "weights_only"}
        return {
            "fit": own | {"train_dataloaders", "val_dataloaders"},
            "validate": own | {"dataloaders", "verbose"},
            "test": own | {"dataloaders", "verbose"},
            "predict": own | {"dataloaders", "return_predictions"},
        }

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--seed_everything", type=int, default=0, help="Seed of all noise.")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--run_dir",
            type=str | None,
            help="The run's directory. Default: runs/ and the name of the configuration; fit takes "
            "a new number when that is taken, the other commands take the newest.",
        )
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            help="'best' or 'last' of the run, or a file. fit goes on from it, with 'auto' from "
            "'last' if there is one, else begins; the other commands use it in place of 'best'.",
        )
        parser.add_argument("--figures", type=FigureOption, help=FIGURES_HELP)
        # The data knows the shape of an example; the model need not be told twice.
        parser.link_arguments("data.shape", "model.init_args.shape", apply_on="instantiate")
        parser.link_arguments("seed_everything", "data.init_args.seed")

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            add_prediction_options(parser)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        # The original warns when sys.argv is not empty, which it never is here.
        self._typed = typed = cast(list[str], args)
        options, elsewhere = self._known_options(typed[0])
        self.config = parse(parser, typed, options, elsewhere)
        self._bring_callbacks()

    def _bring_callbacks(self) -> None:
        """Adds what the model brings along and no configuration names, before anything is built."""
        config = self._own_config()
        trainer, model = config.trainer, str(config.model.class_path)
        checkpoints = trainer.enable_checkpointing is not False
        trainer.callbacks = with_own_callbacks(model, trainer.callbacks, checkpoints)

    def _parse_ckpt_path(self) -> None:
        """Nothing: the original lets a checkpoint's hyperparameters override what was typed."""

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except (ValueError, TypeError, MisconfigurationException) as error:
            raise UserError(explain(error)) from error
        self._check_shape()

    def _check_shape(self) -> None:
        """Refuses a shape that was typed and is not the data's, which Lightning would overrule."""
        typed = self._own_config().model.get("init_args", {}).get("shape")
        data = getattr(self.datamodule, "shape", None)
        if typed is not None and data is not None and tuple(typed) != tuple(data):
            raise UserError(
                f"model.shape {list(typed)} is not that of {type(self.datamodule).__name__}, "
                f"{list(data)}: leave it out, the model takes the data's."
            )

    def before_instantiate_classes(self) -> None:
        config = self._own_config()
        check_trainer(vars(config.trainer))
        figure_formats(config.figures)
        if config.ckpt_path is None and self._command == "fit" and requeued():
            config.ckpt_path = "auto"
        name_classes(config.as_dict())
        self.run, self.fresh = self._choose_run(config)
        self.ckpt_path = choose_checkpoint(self._command, config.ckpt_path, self.run)

    def _choose_run(self, config: Any) -> tuple[RunDirectory, bool]:
        """The run's directory, and whether nothing lay there; a fit's first process holds it."""
        default = default_run([str(path) for path in config.config or ()], config.model.class_path)
        if self._command == "fit" and getattr(rank_zero_only, "rank", 0) == 0:
            claim = claim_run(config.run_dir, config.ckpt_path, default)
            self._held.callback(claim.release)
            # Processes that Lightning starts for this fit read the same command line again.
            os.environ[CHOSEN_RUN] = str(claim.run.path)
            self._held.callback(os.environ.pop, CHOSEN_RUN, None)
            return claim.run, claim.fresh
        chosen = os.environ.get(CHOSEN_RUN) if self._command == "fit" else None
        run = choose_run(chosen or config.run_dir, default)
        return run, not run.taken

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        trainer = self._get(self.config_init, "trainer")
        always: dict[str, Any] = {"default_root_dir": str(self.run.path)}
        if trainer.logger in (None, True):
            always["logger"] = RunLogger(self.run)
        always["profiler"] = trainer.profiler or Unprofiled()
        always["plugins"] = [*(trainer.plugins or []), SafeCheckpointIO()]
        always["callbacks"] = [*self._first_callbacks(trainer), *(trainer.callbacks or [])]
        always["callbacks"] += self._last_callbacks()
        return super().instantiate_trainer(**always, **kwargs)

    def _first_callbacks(self, trainer: Any) -> list[Any]:
        given = any(isinstance(c, ProgressBar) for c in trainer.callbacks or [])
        if given or trainer.enable_progress_bar is False:
            return []
        return [TQDMProgressBar(refresh_rate=PROGRESS_REFRESH)]

    def _last_callbacks(self) -> list[Any]:
        """After the experiment's own, so that what those log is recorded and saved."""
        config = self._own_config()
        found: list[Any] = [
            RunRecord(self._shared_config(), figure_formats(config.figures)),
            ExactResume(config.seed_everything),
            LeanLoop(),  # after ExactResume, whose loop it is to be within
            TypedOptions(),
            ProvenanceRecord(self._typed, config.seed_everything),
        ]
        if self._command == "predict":
            labels = [config.labels] if isinstance(config.labels, int) else config.labels
            found.append(
                PredictionWriter(
                    config.num_samples, config.seed_everything, labels, config.guidance
                )
            )
        return found

    def _run_subcommand(self, subcommand: str) -> None:
        if self.ckpt_path is not None:
            step = check_fits(self.ckpt_path, self.model)
            if subcommand == "fit":
                check_goes_on(read_checkpoint(self.ckpt_path), self.model, self.ckpt_path)
            if subcommand != "fit" and isinstance(self.trainer.logger, RunLogger):
                self.trainer.logger.checkpoint_step = step
        self.run.read_metrics()  # a damaged file is better known now than after an epoch
        rank_zero_info(f"Run directory: {self.run.path}")
        if subcommand == "fit" and self.ckpt_path is not None and self.run.config.exists():
            changed = options_changed(self.run.config.read_text(), self._shared_config())
            if changed:
                rank_zero_info(f"Goes on with other options than before: {'; '.join(changed)}.")
        with failures_in_one_line(self.run, self.trainer, self.fresh):
            super()._run_subcommand(subcommand)

    def after_fit(self) -> None:
        """Says where to look."""
        if not in_trial(self.trainer):
            rank_zero_info(
                f"Pictures: {self.run.images}   Metrics: {self.run.metrics}\n"
                f"Curves in a browser: tensorboard --logdir {self.run.path.parent}"
            )

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        if subcommand == "predict":
            kwargs["return_predictions"] = False
        return kwargs | {"ckpt_path": self.ckpt_path, "weights_only": True}

    def _known_options(self, command: str) -> tuple[list[str], dict[str, str]]:
        """The options of a command; and those of all, with a command that has them."""
        options = {
            name: [option for option in parser._option_string_actions if len(option) > 2]
            for name, parser in self._subcommand_parsers.items()
        }
        homes = {option: name for name, known in options.items() for option in known}
        return options.get(command, []), homes

    @property
    def _command(self) -> str:
        return str(self.config["subcommand"])

    def _own_config(self) -> Any:
        return self.config[self._command]

    def _shared_config(self) -> str:
        """The configuration that every command accepts, as YAML."""
        config = self._own_config().clone()
        for key in ("config", "run_dir", "ckpt_path", "num_samples", "labels", "guidance"):
            config.pop(key, None)
        text = self._parser(self._command).dump(config, skip_unset=False, skip_validation=True)
        check_written(text)
        return text
