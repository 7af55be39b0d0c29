"""The process that runs scripts: takes them from its standard input one by one, until somebody closes it or kills it.

It can open no file, make no connection and start no process, twice over: by limits, and by a filter of system calls where there is
one. It has an upper bound of memory, and ends itself when a script takes much longer than it may, should whoever started it be no more.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys

from batuta_server.sandbox import javascript, jq_query, syscalls
from batuta_server.sandbox.failure import ScriptFailed
from batuta_server.sandbox.limits import ERROR_MAX_CHARS, OUTPUT_MAX_BYTES, OWN_END_S, PROCESS_MAX_BYTES
from batuta_server.sandbox.protocol import ERROR, LENGTH_BYTES, READY, VALUE, WORN


def main(*, has_filter: bool) -> None:
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing but answers may stand among the answers
    _warm_up()
    if has_filter:
        syscalls.restrict()
    _confine()
    _warm_up()  # now rather than with a user's script: whether the filter lets them run here
    _send(answers, READY, b"")
    while request := _receive(0):
        signal.alarm(OWN_END_S)
        kind, text = _answer(json.loads(request))
        signal.alarm(0)
        _send(answers, kind, text)
        if kind == WORN:
            return
        _grant_cpu()


def _answer(request: list[object]) -> tuple[bytes, bytes]:
    language, source, given, now_ms, seed = request
    assert isinstance(source, str)
    assert isinstance(given, str)
    assert isinstance(now_ms, int)
    try:
        value = jq_query.run(source, given, now_ms) if language == "jq" else javascript.run(source, given, now_ms, str(seed))
        raw = value.encode("utf-8", "surrogatepass")
    except ScriptFailed as error:
        return (WORN if error.is_worn else ERROR), str(error)[:ERROR_MAX_CHARS].encode("utf-8", "replace")
    except MemoryError:
        return WORN, b"the script ran out of memory"
    except Exception as error:  # an engine's own: what it cannot convert, say
        return ERROR, f"the script cannot be run: {error}"[:ERROR_MAX_CHARS].encode("utf-8", "replace")
    if len(raw) > OUTPUT_MAX_BYTES:
        return WORN, f"the script's value has {len(raw)} bytes, the limit is {OUTPUT_MAX_BYTES}".encode()
    return VALUE, raw


def _warm_up() -> None:
    """Whatever is loaded on first use is loaded now: later no file can be opened."""
    _answer(["javascript", "throw new Error([new Date(), Math.random()])", "{}", 0, ""])
    for query in ("[.]", "now", "]"):
        _answer(["jq", query, "{}", 0, ""])
    "\ud800".encode("utf-8", "replace")


def _confine() -> None:
    os.environ.clear()  # what jq calls env
    _limit(resource.RLIMIT_AS, PROCESS_MAX_BYTES)
    _limit(resource.RLIMIT_DATA, PROCESS_MAX_BYTES)
    for what in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        _limit(what, 0)
    _grant_cpu()


def _grant_cpu() -> None:
    """Seconds of CPU for one more script."""
    used_s = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used_s.ru_utime + used_s.ru_stime) + 1 + OWN_END_S
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _limit(what: int, most: int) -> None:
    try:
        resource.setrlimit(what, (most, most))
    except (ValueError, OSError):  # macOS knows not all of them; the time limit holds there, too
        if sys.platform == "linux":
            raise


def _receive(fd: int) -> bytes:
    """b"" at the end."""
    head = _exactly(fd, LENGTH_BYTES)
    return _exactly(fd, int.from_bytes(head, "big")) if head else b""


def _exactly(fd: int, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = os.read(fd, min(count, 1024 * 1024))
        if not part:
            return b""
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _send(fd: int, kind: bytes, text: bytes) -> None:
    rest = memoryview((len(text) + 1).to_bytes(LENGTH_BYTES, "big") + kind + text)
    while rest:
        rest = rest[os.write(fd, rest) :]
