"""Where tasks run: processes of this machine, or the workers of a Dask cluster, behind
concurrent.futures.Executor.

A task is a function of its arguments alone, so the results are the same wherever and in whatever order they
come. A worker that dies takes only the task it was at with it, which is started again elsewhere and finds its
checkpoint.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from edge_ser.errors import ConfigError, EdgeSerError

ATTEMPTS = 4
T = TypeVar("T")


class LocalProcesses(Executor):
    """``workers`` processes, each of which may be killed without harm to the others.

    ProcessPoolExecutor gives up all its workers when one dies; here each worker is a pool of its own, opened
    again when it breaks.
    """

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers)
        self._of_thread = threading.local()
        self._pools: list[ProcessPoolExecutor] = []
        self._lock = threading.Lock()

    def submit(self, task: Callable[..., T], /, *arguments: Any, **options: Any) -> Future[T]:
        return self._threads.submit(self._run, task, arguments, options)

    def _run(self, task: Callable[..., T], arguments: tuple[Any, ...], options: dict[str, Any]) -> T:
        for _ in range(ATTEMPTS):
            try:
                return self._pool().submit(task, *arguments, **options).result()
            except BrokenProcessPool:
                self._of_thread.pool = None
        raise EdgeSerError(f"a task lost its worker {ATTEMPTS} times; was it killed for want of memory?")

    def _pool(self) -> ProcessPoolExecutor:
        pool: ProcessPoolExecutor | None = getattr(self._of_thread, "pool", None)
        if pool is None:
            # A forked TensorFlow may hang, so workers start afresh.
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(1, context, initializer=end_with_parent)
            self._of_thread.pool = pool
            with self._lock:
                self._pools.append(pool)
        return pool

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def end_with_parent() -> None:
    """End this process as soon as the one that started it is gone.

    Otherwise a worker whose parent was killed trains on, and writes into the folder that the next attempt
    continues.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(sentinel: int = parent.sentinel) -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def open_executor(workers: int, cluster: str | None = None) -> Iterator[Executor]:
    """``workers`` local processes, or all workers of the Dask scheduler at ``cluster`` (tcp://HOST:PORT).

    Raises ConfigError when the cluster cannot be reached or Dask is not installed.
    """
    if cluster is None:
        executor = LocalProcesses(workers)
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)
        return
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise ConfigError("--cluster needs Dask: pip install 'edge-ser[cluster]'") from None
    try:
        client = distributed.Client(cluster, timeout="20s")
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(f"--cluster {cluster}: no scheduler answers there ({error})") from None
    try:
        yield client.get_executor(pure=False, retries=ATTEMPTS)
    finally:
        client.close()
