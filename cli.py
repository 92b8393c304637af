"""The one command: ``python cli.py fit|validate|test|predict|task``, or ``elbolab`` once installed.

Kept light: help, tasks and mistyped commands must not wait for torch and Lightning.
"""

import os
import sys
from collections.abc import Sequence

from elbolab.configurations import describe_configurations
from elbolab.errors import UserError, did_you_mean

__all__ = ["main"]

COMMANDS = {
    "fit": "train a model:              fit --config vae",
    "validate": "validation metrics of a run: validate --run_dir runs/vae",
    "test": "test metrics of a run:      test --run_dir runs/vae",
    "predict": "samples and more of a run:  predict --run_dir runs/vae",
    "task": "run a plug-in task; 'task' alone lists them",
    "compare": "figures side by side:      compare runs/*",
    "sweep": "every combination:         sweep --config vae --over model.latent_dim=2,5,20",
    "configs": "list the configurations that come with the program, for --config NAME",
}

HELP = "\n".join(
    [
        "usage: python cli.py COMMAND [options]    (elbolab COMMAND [options] once installed)",
        "",
        "Train, test and look at probabilistic models.",
        "",
        *(f"  {name:9} {text}" for name, text in COMMANDS.items()),
        "",
        "COMMAND --help lists a command's options. Every command owns one run directory;",
        "watch them all in a browser with: tensorboard --logdir runs",
    ]
)


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        args: What was typed after the program's name; ``sys.argv`` by default.

    Returns:
        The exit code: 0, 2 for what a person can mend (said in one line on standard error), 130
        after Ctrl-C. Defects keep their traceback; ``ELBOLAB_TRACEBACK=1`` shows every one.
    """
    typed = list(sys.argv[1:] if args is None else args)
    if os.environ.get("ELBOLAB_TRACEBACK"):
        return _dispatch(typed)
    try:
        return _dispatch(typed)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if args[0] == "task":
        from tasks.command import main as run_task

        return run_task(args[1:])
    if args[0] == "compare":
        from elbolab.compare_command import main as compare

        return compare(args[1:])
    if args[0] == "sweep":
        from elbolab.sweep_command import main as sweep

        return sweep(args[1:])
    if args[0].startswith("-"):
        raise UserError(f"{args[0]}: options come after a command, such as fit {args[0]} ….")
    if args[0] == "configs":
        print(describe_configurations())
        return 0
    if args[0] not in COMMANDS:
        raise UserError(f"no command '{args[0]}'.{did_you_mean(args[0], COMMANDS)}")
    from lightning_cli import run

    run(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
