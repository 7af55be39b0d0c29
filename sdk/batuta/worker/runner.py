"""Runs functions: plain ones in threads, coroutines on an event loop that nothing else uses, heavy ones in child processes."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextvars import Context
from dataclasses import replace
from typing import Any

from batuta.binding import Binding
from batuta.context import TaskContext, TaskLink
from batuta.task_function import TaskFunction
from batuta.threads import DaemonPool
from batuta.worker.invoke import Outcome, call, call_async, failed
from batuta.worker.processes import Children, job_of

logger = logging.getLogger("batuta.worker")

_LOOP_END_S = 2.0  # what cancelled coroutines get to clean up


class UserLoop:
    """The event loop of users' coroutines: the application's own, or one in a thread of its own.

    Never the worker's: a coroutine that blocks must not keep leases from being renewed.
    """

    def __init__(self, application: asyncio.AbstractEventLoop | None) -> None:
        self._is_own = application is None
        self.loop = application or asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="batuta-coroutines", daemon=True)
        self._is_closing = False
        if self._is_own:
            self._thread.start()

    def _serve(self) -> None:
        while not self._is_closing:
            try:
                self.loop.run_forever()
            except BaseException:  # SystemExit in a task that a user's coroutine had started
                logger.exception("something in a coroutine tried to end the event loop, which goes on")
        self.loop.close()

    def close(self) -> None:
        """Cancels what still runs, and waits for it a moment. An application's loop is left alone."""
        if not self._is_own or self._is_closing:
            return
        asyncio.run_coroutine_threadsafe(self._end(), self.loop)
        self._thread.join(_LOOP_END_S + 1)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        if others:
            await asyncio.wait(others, timeout=_LOOP_END_S)
        await self.loop.shutdown_asyncgens()
        self._is_closing = True
        self.loop.stop()


class Run:
    """A function under way. ``done`` belongs to the worker's loop, and no exception ever comes out of it."""

    def __init__(self, context: TaskContext) -> None:
        self._worker_loop = asyncio.get_running_loop()
        self.context = context
        self.done: asyncio.Future[Outcome] = self._worker_loop.create_future()

    def cancel(self, because: str, *, is_over: bool) -> None:
        """Tells the function. ``is_over``: whatever it still does counts for nothing."""
        self.context.cancel(because, is_over=is_over)

    def end(self, outcome: Outcome) -> None:
        """From any thread."""
        whole = replace(outcome, log=(*self.context.take_lines(), *outcome.log))
        try:
            self._worker_loop.call_soon_threadsafe(self._set, whole)
        except RuntimeError:
            logger.debug("a function ended after its worker: %s", self.context.task_id)

    def _set(self, outcome: Outcome) -> None:
        if not self.done.done():
            self.done.set_result(outcome)


class _CoroutineRun(Run):
    def __init__(self, context: TaskContext, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(context)
        self._user_loop = loop
        self._task: asyncio.Task[None] | None = None

    def begin(self, function: TaskFunction, binding: Binding, task_input: Any) -> None:
        async def run() -> None:
            self.end(await call_async(function, binding, task_input, self.context))

        def create() -> None:
            self._task = self._user_loop.create_task(run(), name=self.context.ref)
            self._task.add_done_callback(self._note_cancelled)

        self._user_loop.call_soon_threadsafe(create, context=Context())

    def cancel(self, because: str, *, is_over: bool) -> None:
        super().cancel(because, is_over=is_over)
        self.context.notice()
        try:
            self._user_loop.call_soon_threadsafe(lambda: self._task.cancel() if self._task else None)
        except RuntimeError:  # the application closed its loop: nothing runs there any more
            self._set(failed("cancelled"))

    def _note_cancelled(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # before its first step: else ``call_async`` makes an outcome of it
            self.end(failed("cancelled before it began"))


class _ProcessRun(Run):
    def __init__(self, context: TaskContext, children: Children) -> None:
        super().__init__(context)
        self._children = children

    def cancel(self, because: str, *, is_over: bool) -> None:
        super().cancel(because, is_over=is_over)
        if is_over:
            self._children.kill(self.context)


class Runner:
    """``threads`` must be as many as the places for tasks, so that none that was taken waits for a thread."""

    def __init__(self, threads: DaemonPool, application: asyncio.AbstractEventLoop | None) -> None:
        self._threads = threads
        self._application = application
        self._user_loop: UserLoop | None = None  # made for the first coroutine
        self._children = Children()

    def begin(self, function: TaskFunction, binding: Binding, task_input: Any, context: TaskContext, link: TaskLink) -> Run:
        if function.is_async:
            self._user_loop = self._user_loop or UserLoop(self._application)
            coroutine = _CoroutineRun(context, self._user_loop.loop)
            coroutine.begin(function, binding, task_input)
            return coroutine
        run = _ProcessRun(context, self._children) if function.run_in_process else Run(context)

        def work() -> None:
            try:
                if function.run_in_process:
                    outcome = self._children.call(job_of(function, task_input, context), context, link)
                else:
                    outcome = Context().run(call, function, binding, task_input, context)
            except Exception as error:  # no process could be made, say
                logger.exception("%s could not be run", function.shown_name)
                outcome = failed(f"it could not be run: {error!r}")
            run.end(outcome)

        self._threads.submit(work)
        return run

    def close(self) -> None:
        """Kills the children, cancels the coroutines; threads end with what they run."""
        self._children.close()
        if self._user_loop is not None:
            self._user_loop.close()
        self._threads.shutdown()
