"""The filter of system calls: tried on this machine, and its program read for each architecture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.functions.sandbox.scripts import javascript

from batuta_server.sandbox import process as process_module
from batuta_server.sandbox import syscalls
from batuta_server.sandbox.process import Process

TRIED = """
import ctypes, json, mmap, os, resource, signal, socket, sys
from batuta_server.sandbox import syscalls
libc = ctypes.CDLL(None, use_errno=True)
victim, parent = sys.argv[1], os.getppid()
buffer = ctypes.create_string_buffer(64)
vector = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
is_done = syscalls.restrict()
said = {"restricted": is_done}
def tried(name, call):
    try:
        said[name] = os.strerror(ctypes.get_errno()) if call() == -1 else "done"
    except OSError as error:
        said[name] = error.strerror
    ctypes.set_errno(0)
tried("open", lambda: os.open("/etc/passwd", os.O_RDONLY))
tried("stat", lambda: os.stat("/"))
tried("unlink", lambda: os.unlink(victim))
tried("rename", lambda: os.rename(victim, victim + "2"))
tried("truncate", lambda: os.truncate(victim, 0))
tried("chmod", lambda: os.chmod(victim, 0o777))
tried("mkdir", lambda: os.mkdir(victim + "3"))
tried("fork", os.fork)
tried("exec", lambda: os.execv("/bin/true", ["true"]))
tried("kill", lambda: os.kill(parent, 0))
tried("tgkill", lambda: libc.tgkill(parent, parent, 0))
tried("ptrace", lambda: libc.ptrace(16, parent, None, None))
tried("peek", lambda: libc.process_vm_readv(parent, vector, 1, vector, 1, 0))
tried("socket", socket.socket)
tried("pipe", os.pipe)
tried("code", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC))
tried("mprotect", lambda: libc.mprotect(ctypes.c_void_p(ctypes.addressof(buffer) & ~4095), 4096, 7))
tried("prlimit", lambda: libc.prlimit(parent, resource.RLIMIT_CPU, None, buffer))
tried("off", lambda: libc.prctl(22, 0, 0, 0, 0))
tried("memory", lambda: len(bytearray(50_000_000)))
tried("limit", lambda: resource.setrlimit(resource.RLIMIT_CPU, (1000, 2000)))
tried("itself", lambda: libc.tgkill(os.getpid(), libc.gettid(), 0))
os.write(1, json.dumps(said).encode())
"""


def test_nothing_outside_of_itself_can_be_reached(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    done = subprocess.run([sys.executable, "-c", TRIED, str(victim)], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said.pop("restricted") is True
    assert {name: said.pop(name) for name in ("memory", "limit", "itself")} == {"memory": "done", "limit": "done", "itself": "done"}
    assert said == dict.fromkeys(said, "Operation not permitted")
    assert len(said) == 19
    assert victim.read_text() == "precious"


def test_the_process_that_runs_scripts_has_it() -> None:
    started = Process()
    try:
        status = Path(f"/proc/{started.pid}/status").read_text()
    finally:
        started.kill()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status


def test_where_the_filter_does_not_do_scripts_run_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where programs for another processor are translated: the kernel sees the wrong architecture, and kills."""
    broken = "import os, signal\nif sys.argv[1] == '1': os.kill(os.getpid(), signal.SIGSYS)\n"
    before, _, last = process_module._MAIN.rpartition("; ")
    monkeypatch.setattr(process_module, "_MAIN", f"{before}\n{broken}{last}")
    started = Process()
    try:
        assert started.ask(javascript("1 + 1"), 10) == (b"V", b"2")
    finally:
        started.kill()


# --- the program, as the kernel runs it

SAMPLE = {
    "x86_64": {
        "read": 0, "open": 2, "mmap": 9, "mprotect": 10, "execve": 59, "kill": 62, "tgkill": 234, "openat": 257, "prlimit64": 302,
        "read by x32": 1 << 30,
    },
    "aarch64": {"openat": 56, "read": 63, "kill": 129, "tgkill": 131, "execve": 221, "mmap": 222, "mprotect": 226, "prlimit64": 261},
}  # fmt: skip
PID = 4321


def judged(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    words = {0: number, 4: syscalls._ARCH[machine] if architecture is None else architecture}
    words |= {16 + 8 * place: argument & 0xFFFFFFFF for place, argument in enumerate((*arguments, 0, 0, 0)[:3])}
    program, at, held = syscalls.program(machine, PID), 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        match code:
            case 0x20:
                held = words[operand]
            case 0x15:
                at += if_true if held == operand else if_false
            case 0x35:
                at += if_true if held >= operand else if_false
            case 0x45:
                at += if_true if held & operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_what_the_program_says(machine: str) -> None:
    allow, refuse, kill = 0x7FFF0000, 0x00050001, 0x80000000
    number = SAMPLE[machine]
    assert judged(machine, number["read"]) == allow
    assert judged(machine, number["read"], architecture=0x40000003) == kill  # 32 bits
    for name in number.keys() - {"read", "mmap", "mprotect", "tgkill", "prlimit64"}:
        assert judged(machine, number[name]) == refuse, name
    for name in ("mmap", "mprotect"):
        assert [judged(machine, number[name], 0, 0, protection) for protection in (0, 1, 3, 4, 5, 7)] == [allow] * 3 + [refuse] * 3
    assert [judged(machine, number["tgkill"], pid) for pid in (PID, 1, 0, PID + 1)] == [allow, refuse, refuse, refuse]
    assert [judged(machine, number["prlimit64"], pid) for pid in (0, 1, PID)] == [allow, refuse, refuse]
    assert sum(judged(machine, each) == allow for each in range(500)) == len(syscalls._PLAIN[machine]) + 2 + 1  # and prlimit64 of itself
