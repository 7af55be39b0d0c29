"""The pool of threads that never keeps a process alive."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from batuta.threads import DaemonPool


def test_calls_run_and_answer() -> None:
    pool = DaemonPool("t", 2)
    assert [future.result(5) for future in [pool.submit(pow, 2, number) for number in range(5)]] == [1, 2, 4, 8, 16]
    pool.shutdown()


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_whatever_a_call_raises_is_its_own_answer_and_the_thread_goes_on(error: type[BaseException]) -> None:
    pool = DaemonPool("t", 1)

    def explode() -> None:
        raise error

    with pytest.raises(error):
        pool.submit(explode).result(5)
    assert pool.submit(lambda: 5).result(5) == 5
    pool.shutdown()


def test_threads_are_begun_as_needed_up_to_the_limit_and_no_job_waits_while_one_may_begin() -> None:
    pool = DaemonPool("t", 3)
    together = threading.Barrier(3, timeout=5)
    for _ in range(3):  # idle threads are used again
        for future in [pool.submit(together.wait) for _ in range(3)]:
            future.result(5)
        time.sleep(0.005)
    assert pool._threads == 3
    running = threading.Event()
    futures = [pool.submit(running.wait, 5) for _ in range(10)]
    assert pool._threads == 3
    running.set()
    assert all(future.result(5) for future in futures)
    pool.shutdown()


def test_one_call_after_the_other_takes_one_thread() -> None:
    pool = DaemonPool("t", 5)
    for _ in range(5):
        pool.submit(int).result(5)
        time.sleep(0.005)
    assert pool._threads == 1
    pool.shutdown()


def test_a_cancelled_call_is_not_run() -> None:
    pool = DaemonPool("t", 1)
    gate = threading.Event()
    first, second = pool.submit(gate.wait, 5), pool.submit(int)
    assert second.cancel()
    gate.set()
    assert first.result(5)
    assert pool.submit(lambda: 1).result(5) == 1
    pool.shutdown()


def test_a_closed_pool_takes_nothing_and_its_threads_end() -> None:
    pool = DaemonPool("closing", 2)
    pool.submit(int).result(5)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="are closed"):
        pool.submit(int)
    end = time.monotonic() + 5
    while any(thread.name.startswith("closing") for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.001)
    assert not any(thread.name.startswith("closing") for thread in threading.enumerate())


def test_a_thread_that_never_ends_does_not_keep_the_process() -> None:
    code = "import time; from batuta.threads import DaemonPool; DaemonPool('t', 1).submit(time.sleep, 60); print('end')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True).stdout == "end\n"
