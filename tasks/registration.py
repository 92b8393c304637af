"""Makes a task's environment known to Gymnasium, whichever of the two is imported first."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["register_in_time"]


def register_in_time(environment: str, entry_point: str, **options: Any) -> None:
    """Registers an environment now, or as soon as Gymnasium is imported.

    Importing Gymnasium takes longer than the help of a command may.

    Args:
        environment: Its name with a version, such as ``QWOP-v0``.
        entry_point: ``module:Class``.
        **options: What else ``gymnasium.register`` takes.
    """
    waiting = _UntilGymnasium(environment, entry_point, options)
    if "gymnasium" in sys.modules:
        waiting.register()
    else:
        sys.meta_path.insert(0, waiting)


class _UntilGymnasium(MetaPathFinder):
    """Watches imports until Gymnasium's, has it done as ever, and registers after it."""

    def __init__(self, environment: str, entry_point: str, options: dict[str, Any]) -> None:
        self.environment, self.entry_point, self.options = environment, entry_point, options

    def register(self) -> None:
        """Registers the environment, once."""
        from gymnasium.envs import registration

        if self.environment not in registration.registry:
            registration.register(self.environment, entry_point=self.entry_point, **self.options)

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
            self.register()

        spec.loader.exec_module = and_register
        return spec
