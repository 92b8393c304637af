"""Where fitness is evaluated: any executor of the kind of ``concurrent.futures``."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

import numpy as np

from elbolab.errors import UserError
from tasks.arrays import Floats
from tasks.qwop.options import ExecutorName
from tasks.qwop.simulator import simulate_batch

__all__ = ["ThisProcess", "evaluate_plans", "open_executor"]

CONNECT_SECONDS = 10
"""After which a scheduler counts as not there."""


class ThisProcess(Executor):
    """Calls at once and in this process, where `simulate_batch` keeps all processors busy."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def evaluate_plans(plans: Floats, executor: Executor, chunk: int) -> Floats:
    """The distances ``(B,)`` of plans ``(B, 40)``, ``chunk`` of them in each call."""
    parts = [plans[start : start + chunk] for start in range(0, len(plans), chunk)]
    return np.concatenate(list(executor.map(simulate_batch, parts)))


@contextmanager
def open_executor(name: ExecutorName, scheduler: str | None) -> Iterator[Executor]:
    """An executor of that name, closed in the end.

    Args:
        name: ``local``, or ``dask``.
        scheduler: Address of Dask's scheduler.

    Raises:
        UserError: If Dask is not installed, or no scheduler answers at the address.
    """
    opened = {"local": lambda _: ThisProcess(), "dask": _dask}[name](scheduler)
    try:
        yield opened
    finally:
        opened.shutdown()


def _dask(scheduler: str) -> Executor:
    try:
        from distributed import Client  # not installed everywhere, and slow to import
    except ImportError as error:
        raise UserError(
            "executor dask needs Dask: install it with pip install 'elbolab[dask]'."
        ) from error
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {scheduler}: start one with dask scheduler, and give "
            "its address, such as tcp://localhost:8786."
        ) from error
    return _ClosingExecutor(client)


class _ClosingExecutor(Executor):
    """Dask's executor, which leaves its client open, with the client closed in the end."""

    def __init__(self, client: Any) -> None:
        self._client, self._executor = client, client.get_executor()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait)
        self._client.close()
