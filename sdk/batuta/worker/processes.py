"""Child processes for functions that keep a CPU busy. Each runs one call at a time and is kept for the next.

A child is told nothing while its function runs; it is killed when the attempt times out or the worker stops. One that dies by
itself (a crash, the system's memory limit) fails the call it ran, no other. Children are spawned: a fork of a process
with threads may hang. They watch over their parent and end with it, however it ended.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import operator
import os
import signal
import threading
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

from batuta.binding import Binding
from batuta.context import LogLine, TaskContext, TaskLink
from batuta.task_function import TaskFunction, task_function
from batuta.worker.invoke import Outcome, call, failed

_NAME = "batuta-task"
_JOIN_S = 2.0  # a killed process is gone in milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a child needs to know: where the function is, and the fields of its context."""

    module: str
    name: str
    task_input: Any
    fields: dict[str, Any]


def job_of(function: TaskFunction, task_input: Any, context: TaskContext) -> Job:
    fields = {name: value for name, value in vars(context).items() if not name.startswith("_")}
    return Job(module=function.function.__module__, name=function.function.__qualname__, task_input=task_input, fields=fields)


def is_child() -> bool:
    """Whether this process is one of these: its import of the worker's script must not start another worker."""
    return multiprocessing.current_process().name.startswith(_NAME)


@dataclass(slots=True, eq=False)
class _Child:
    connection: Connection = field(init=False)
    process: Any = field(init=False)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), name=_NAME, daemon=True)
        self.process.start()
        theirs.close()

    def kill(self) -> None:
        self.process.kill()


class Children:
    """The calls come from threads, one for each that is under way; ``kill`` and ``close`` from the worker's loop, which must not
    wait. So ``_lock`` is never held while a process is spawned: that takes long, tens of milliseconds on an idle machine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spawning = threading.Lock()  # multiprocessing promises nothing to threads that spawn at once
        self._idle: list[_Child] = []
        self._busy: dict[int, _Child] = {}  # by the id of the context
        self._is_closed = False

    def call(self, job: Job, context: TaskContext, link: TaskLink) -> Outcome:
        """Blocks until the function has ended or its process is gone."""
        child = self._begin(context)
        if child is None:
            return failed("cancelled before it began")
        try:
            outcome = _converse(child, job, link)
        except (EOFError, OSError):
            child.process.join(_JOIN_S)
            outcome = failed(f"its process died with exit code {child.process.exitcode}")
        except BaseException:
            self._end(context, child, is_sound=False)
            raise
        self._end(context, child)
        return outcome

    def _begin(self, context: TaskContext) -> _Child | None:
        """A child that is busy with the task from now on; None when the task is over."""
        with self._lock:
            if context.is_over or self._is_closed:
                return None
            if self._idle:
                child = self._busy[id(context)] = self._idle.pop()
                return child
        with self._spawning:
            child = _Child()
        with self._lock:
            self._busy[id(context)] = child
            is_wanted = not context.is_over and not self._is_closed  # who kills has said so before
        if is_wanted:
            return child
        self._end(context, child)
        return None

    def _end(self, context: TaskContext, child: _Child, *, is_sound: bool = True) -> None:
        with self._lock:
            del self._busy[id(context)]
            if is_sound and child.process.is_alive() and not self._is_closed and not context.is_over:
                self._idle.append(child)
            else:
                child.kill()
                child.connection.close()

    def kill(self, context: TaskContext) -> None:
        """The process that works on this task, if there is one."""
        with self._lock:
            child = self._busy.get(id(context))
            if child is not None:
                child.kill()

    def close(self) -> None:
        """Kills all of them."""
        with self._lock:
            self._is_closed = True
            for child in (*self._idle, *self._busy.values()):
                child.kill()
            self._idle.clear()


def _converse(child: _Child, job: Job, link: TaskLink) -> Outcome:
    child.connection.send(job)
    while True:
        match child.connection.recv():
            case "heartbeat":
                link.heartbeat()
            case LogLine() as line:
                link.show(line)
            case Outcome() as outcome:
                return outcome


# --- in the child


class _PipeLink:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, words: Any) -> None:
        with self._lock:
            self._connection.send(words)

    def heartbeat(self) -> None:
        self.send("heartbeat")

    def show(self, line: LogLine) -> None:
        self.send(line)


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the worker decides what it means
    threading.Thread(target=_end_with_parent, name="batuta-parent", daemon=True).start()
    link = _PipeLink(connection)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            link.send(_run(job, link))
        except OSError:
            return  # the worker is gone


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a function that runs on would work for nobody


def _run(job: Job, link: TaskLink) -> Outcome:
    try:
        function, binding = _found(job.module, job.name)
    except (ImportError, AttributeError, TypeError) as error:
        return failed(f"{job.module}.{job.name} cannot be found in another process: {error}")
    context = TaskContext(**job.fields, link=link)
    outcome = call(function, binding, job.task_input, context)
    return replace(outcome, log=(*context.take_lines(), *outcome.log))


@functools.cache
def _found(module: str, name: str) -> tuple[TaskFunction, Binding]:
    function = task_function(operator.attrgetter(name)(importlib.import_module(module)))
    return function, Binding(function.function, function.shown_name)
