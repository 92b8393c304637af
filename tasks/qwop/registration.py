"""Makes the environment known to Gymnasium, whichever of the two is imported first."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["ENVIRONMENT", "register", "register_in_time"]

ENVIRONMENT = "QWOP-v0"


def register_in_time() -> None:
    """Registers the environment now, or as soon as Gymnasium is imported.

    Importing Gymnasium takes longer than the help of a command may.
    """
    if "gymnasium" in sys.modules:
        register()
    else:
        sys.meta_path.insert(0, _UntilGymnasium())


def register() -> None:
    """Registers the environment, once."""
    from gymnasium.envs import registration

    if ENVIRONMENT not in registration.registry:
        registration.register(ENVIRONMENT, entry_point="tasks.qwop.environment:QWOPEnv")


class _UntilGymnasium(MetaPathFinder):
    """Watches imports until Gymnasium's, has it done as ever, and registers after it."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def and_register(module: ModuleType) -> None:
            execute(module)
            register()

        spec.loader.exec_module = and_register
        return spec
