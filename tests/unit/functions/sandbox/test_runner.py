"""The limits: what goes beyond them is refused in time, its process is gone, and the next script is none the worse for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.functions.sandbox.scripts import javascript, jq, run

from batuta_core.decider.known import Script
from batuta_core.model.error import Unavailable
from batuta_server.sandbox import limits, runner
from batuta_server.sandbox.process import Process
from batuta_server.sandbox.runner import Sandbox


@pytest.fixture
def mine() -> Iterator[Sandbox]:
    found = Sandbox()
    found.begin()
    yield found
    found.close()


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of time that a test can wait for."""
    monkeypatch.setattr(runner, "TIME_S", 0.4)


def pid_of(sandbox: Sandbox) -> int:
    return sandbox._idle[-1].pid


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_as_good_as_new(sandbox: Sandbox, old: int) -> None:
    assert not is_running(old)
    assert run(sandbox, javascript("[1, 2].map(x => x + $.a)", {"a": 1})).value == [2, 3]
    assert run(sandbox, jq(".a", {"a": 1})).value == [1]


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize(
    "script",
    [
        javascript("while (true) {}"),
        javascript("for (;;) try { (function f() { f() })() } catch (e) {}"),
        javascript("/(a+)+$/.test('a'.repeat(40) + '!')"),
        javascript("/^(([a-z])+.)+[A-Z]([a-z])+$/.test('a'.repeat(60))"),
        javascript("(function f() { return Promise.resolve().then(f) })()"),
        javascript("({get a() { for (;;) {} }})"),
        javascript("new Proxy({}, {ownKeys() { for (;;) {} }})"),
        javascript("let n = 3n; for (;;) n = n * n % (2n ** 100000n)"),
        jq("def f: f; f"),
        jq("last(range(1e12))"),
        jq("until(false; .)"),
        jq('[limit(50; repeat("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!" | try test("(a+)+$") catch 0))]'),
    ],
    ids=lambda script: script.source[:30],
)
def test_what_takes_too_long_is_killed(mine: Sandbox, script: Script) -> None:
    old, began = pid_of(mine), time.monotonic()
    result = run(mine, script)
    assert time.monotonic() - began < 4
    assert result.is_late
    assert (result.error or "").endswith("seconds, interrupted.")
    is_as_good_as_new(mine, old)


@pytest.mark.usefixtures("_soon")
def test_a_process_that_does_not_even_read_is_killed(mine: Sandbox) -> None:
    """As one that a script has taken over might: what is asked is more than a pipe holds."""
    old = pid_of(mine)
    os.kill(old, signal.SIGSTOP)
    asked = threading.Thread(target=run, args=(mine, javascript("1", "x" * 1_000_000)))
    asked.start()
    asked.join(3)
    is_stuck = asked.is_alive()
    if is_stuck:
        os.kill(old, signal.SIGKILL)
        asked.join()
    assert not is_stuck
    is_as_good_as_new(mine, old)


def test_no_descriptor_and_no_process_is_left_after_many_kills(mine: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    run(mine, javascript("1"))
    before = sorted(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(runner, "TIME_S", 0.1)
    pids = set()
    for source in ("while (true) {}", "'x'.repeat(6e6)", "new Array(5e7).fill(1)") * 3:
        pids.add(pid_of(mine))
        run(mine, javascript(source))
        mine.begin()
    assert len(pids) >= 9
    assert not any(map(is_running, pids - {pid_of(mine)}))  # not as a zombie, either
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_conductors_limit_and_words(mine: Sandbox) -> None:
    began = time.monotonic()
    assert run(mine, javascript("while (true) {}")) == (None, "Script not evaluated within 4 seconds, interrupted.", True)
    assert 4 <= time.monotonic() - began < 6


@pytest.mark.parametrize(
    "script",
    [
        javascript("let a = []; while (1) a.push(new Array(1000).fill(0))"),
        javascript("new Array(5e7).fill(1)"),
        javascript("new Uint8Array(2 ** 30)"),
        javascript("let s = 'x'; const a = []; while (1) { a.push(s + a.length); s += 'x'.repeat(1e6) }"),
        javascript("'x'.repeat(2 ** 29)"),
        javascript("let x = 'y'; for (let i = 0; i < 40; i++) x = [x, x]; JSON.stringify(x)"),
        jq("[range(1e9)]"),
        jq('"a" * 1e9'),
    ],
    ids=lambda script: script.source[:30],
)
def test_what_takes_too_much_memory_is_refused(mine: Sandbox, script: Script) -> None:
    old = pid_of(mine)
    result = run(mine, script)
    assert result.error is not None
    assert result.is_late or "memory" in result.error
    is_as_good_as_new(mine, old)


@pytest.mark.parametrize("script", [javascript("'x'.repeat(6e6)"), jq('"x" * 6000000'), jq("[range(1000000)]")])
def test_a_value_beyond_the_limit_is_refused(mine: Sandbox, script: Script) -> None:
    old = pid_of(mine)
    assert "the limit is 5242880" in (run(mine, script).error or "")
    is_as_good_as_new(mine, old)


def test_a_value_that_is_short_and_takes_much_memory_is_refused(mine: Sandbox) -> None:
    query = "[range(1000) | [{}]] as $shared | [range(800) | $shared]"  # 4 MB of JSON, 130 MB of objects
    assert "take more memory" in (run(mine, jq(query)).error or "")


def test_a_process_is_kept_as_long_as_it_behaves(mine: Sandbox) -> None:
    old = pid_of(mine)
    for script in (javascript("1"), javascript("nope"), jq("."), jq(".[ |"), javascript("throw 1")):
        run(mine, script)
    assert pid_of(mine) == old


def test_several_threads_have_a_process_each(mine: Sandbox) -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda n=n: found.append(run(mine, javascript(f"{n}")).value)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == [str(n) for n in range(8)]
    assert len(mine._idle) <= runner._IDLE_MAX


def test_a_process_that_died_meanwhile_is_replaced(mine: Sandbox) -> None:
    old = pid_of(mine)
    os.kill(old, signal.SIGKILL)
    time.sleep(0.05)
    assert run(mine, javascript("1")).value == 1
    assert not is_running(old)


def test_who_kills_the_process_in_between_is_taken_for_the_kernel(mine: Sandbox) -> None:
    threading.Timer(0.3, os.kill, (pid_of(mine), signal.SIGKILL)).start()
    result = run(mine, javascript("while (true) {}"))
    assert result.error == "Script interrupted: its process was ended by SIGKILL, most likely for want of memory."


def test_nothing_is_left_when_it_is_closed() -> None:
    sandbox = Sandbox()
    run(sandbox, javascript("1"))
    pid = pid_of(sandbox)
    sandbox.close()
    assert not is_running(pid)


def test_where_no_process_can_be_started_it_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable):
        run(Sandbox(), javascript("1"))


def test_a_process_ends_with_whoever_started_it() -> None:
    """Also in the middle of a script: killed, he can kill nobody."""
    code = (
        "import os, threading\n"
        "from batuta_core.decider.known import Language, Script\n"
        "from batuta_server.sandbox.process import Process\n"
        "process = Process()\n"
        "print(process.pid, flush=True)\n"
        "threading.Timer(0.2, os._exit, (0,)).start()\n"
        "process.ask(Script(Language.JAVASCRIPT, 'while (true) {}', '{}', 0, ''), 60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid, end = int(done.stdout), time.monotonic() + limits.OWN_END_S + 4
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running(pid)


def test_the_process_can_open_nothing_and_start_nobody() -> None:
    """Asked of the process itself, in the state in which it runs scripts."""
    code = (
        "import json, os, resource, socket\n"
        "from batuta_server.sandbox import child\n"
        "child._warm_up(); child._confine()\n"
        "said = {}\n"
        "def tried(name, call):\n"
        "    try: call(); said[name] = 'done'\n"
        "    except OSError as error: said[name] = error.strerror\n"
        "tried('open', lambda: open('/etc/passwd'))\n"
        "tried('socket', socket.socket)\n"
        "tried('pipe', os.pipe)\n"
        "said['env'] = dict(os.environ)\n"
        "said['nproc'] = resource.getrlimit(resource.RLIMIT_NPROC)\n"
        "said['memory'] = resource.getrlimit(resource.RLIMIT_AS)\n"
        "said['core'] = resource.getrlimit(resource.RLIMIT_CORE)\n"
        "os.write(1, json.dumps(said).encode())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert {said["open"], said["socket"], said["pipe"]} == {"Too many open files"}
    assert (said["env"], said["nproc"], said["core"]) == ({}, [0, 0], [0, 0])
    assert said["memory"] == [limits.PROCESS_MAX_BYTES] * 2


def test_the_process_sees_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    started = Process()
    try:
        environment = Path(f"/proc/{started.pid}/environ").read_bytes()
        descriptors = os.listdir(f"/proc/{started.pid}/fd")
    finally:
        started.kill()
    assert b"ours" not in environment
    assert len(descriptors) == 4  # the standard three, and where answers go
