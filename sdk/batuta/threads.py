"""Threads that never keep a process alive.

Those of ``concurrent.futures`` are joined when the interpreter ends, so that a task's function which never returns would
hold up a shutdown for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Job = tuple[Callable[[], Any], Future[Any]]


class DaemonPool(Executor):
    """Up to ``size`` threads, begun when they are needed and kept."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._spare = 0  # threads that wait, less the jobs that wait for them
        self._is_closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError(f"the threads of {self._name} are closed")
            self._spare -= 1
            if self._spare < 0 and self._threads < self._size:
                self._threads += 1
                self._spare += 1
                threading.Thread(target=self._serve, name=f"{self._name}-{self._threads}", daemon=True).start()
            self._jobs.put((lambda: fn(*args, **kwargs), future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Idle threads end; busy ones end after what they do. Never waits, whatever the arguments say."""
        with self._lock:
            self._is_closed = True
            for _ in range(self._threads):
                self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, future = job
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # a KeyboardInterrupt of a user's function is the caller's to judge
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del job, call, future  # no reference to a caller's data while idle
            with self._lock:
                self._spare += 1
