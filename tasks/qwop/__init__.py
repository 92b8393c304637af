"""QWOP: a planar runner, exactly simulated, and searches that teach it to run.

`task.QWOP` is the command; it imports the simulator when it runs. Without it::

    import gymnasium
    from tasks.qwop import simulate, simulate_batch

    distances = simulate_batch(plans)  # (B, 40) → (B,)
    env = gymnasium.make("QWOP-v0")

The command's help imports this package too, so that NumPy, Numba and Gymnasium are not imported
before they are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tasks.registration import register_in_time

if TYPE_CHECKING:
    from tasks.qwop.environment import QWOPEnv
    from tasks.qwop.simulator import simulate, simulate_batch, trace

__all__ = ["QWOPEnv", "simulate", "simulate_batch", "trace"]

_HOMES = {
    "QWOPEnv": "environment",
    "simulate": "simulator",
    "simulate_batch": "simulator",
    "trace": "simulator",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


register_in_time("QWOP-v0", "tasks.qwop.environment:QWOPEnv")
