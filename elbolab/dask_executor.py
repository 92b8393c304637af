"""Runs on the workers of a Dask cluster, which share the file system and have this program."""

import os
from concurrent.futures import Future, ThreadPoolExecutor

from elbolab.errors import UserError
from elbolab.sweep import Trial, TrialOutcome, perform

__all__ = ["DaskExecutor"]


class DaskExecutor:
    """Trials as tasks of a cluster.

    Args:
        scheduler: Its address, ``tcp://HOST:PORT``; by default a cluster is begun on this machine.
        jobs: Workers of the cluster that is begun here.

    Raises:
        UserError: If Dask is not installed or the cluster does not answer.
    """

    def __init__(self, scheduler: str | None, jobs: int) -> None:
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise UserError("--executor dask needs Dask: pip install 'elbolab[dask]'.") from error
        self._cluster = None
        try:
            if scheduler is None:
                self._cluster = LocalCluster(
                    n_workers=jobs, threads_per_worker=1, dashboard_address=":0"
                )
            self._client = Client(scheduler or self._cluster, timeout=20)
        except (OSError, ValueError) as error:
            raise UserError(f"no Dask cluster at {scheduler}: {error}.") from error
        self._threads = max(1, (os.cpu_count() or 1) // jobs) if scheduler is None else 1
        self._waiters = ThreadPoolExecutor(64)

    def submit(self, trial: Trial, commands: list[list[str]]) -> "Future[TrialOutcome]":
        """Begins a trial on some worker, in this working directory."""
        task = self._client.submit(
            _there, os.getcwd(), trial, commands, self._threads, pure=False, key=trial.name
        )
        return self._waiters.submit(task.result)

    def stop(self) -> None:
        """Leaves the cluster; one that was begun here ends with all that it runs."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        self._waiters.shutdown(wait=False, cancel_futures=True)


def _there(folder: str, trial: Trial, commands: list[list[str]], threads: int) -> TrialOutcome:
    os.chdir(folder)
    return perform(trial.log, commands, threads)
