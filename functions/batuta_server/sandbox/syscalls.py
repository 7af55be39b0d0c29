"""Which system calls the process that runs scripts may make: a seccomp filter, which needs no privileges and cannot be taken off.

Limits of resources leave to whoever breaks out of an engine all calls that need no new descriptor: signals to other processes, a look
into their memory, names of files to delete or to rename. What is allowed here is memory, time, the pipes that are open, and an end.
Whatever else is asked answers EPERM; no memory can be made executable.

Only Linux on x86_64 and arm64 has it. Where it is not to be had the limits stand alone.
"""

from __future__ import annotations

import os
import sys

_EPERM = 1
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | _EPERM
_KILL = 0x80000000
_PROT_EXEC = 4

# Of <linux/audit.h>.
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000  # what numbers of the x32 ABI begin at

# Numbers by <asm/unistd_64.h> and <asm-generic/unistd.h>.
_PLAIN: dict[str, dict[str, int]] = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
        "sched_yield": 24, "mremap": 25, "madvise": 28, "alarm": 37, "setitimer": 38, "getpid": 39, "exit": 60, "gettimeofday": 96,
        "getrusage": 98, "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
        "exit_group": 231, "getrandom": 318,
    },
    "aarch64": {
        "close": 57, "read": 63, "write": 64, "exit": 93, "exit_group": 94, "futex": 98, "setitimer": 103, "clock_gettime": 113,
        "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
        "getrusage": 165, "gettimeofday": 169, "getpid": 172, "gettid": 178, "brk": 214, "munmap": 215, "mremap": 216, "madvise": 233,
        "getrandom": 278,
    },
}  # fmt: skip
_MEMORY = {"x86_64": (9, 10), "aarch64": (222, 226)}  # mmap, mprotect: the protection is their third argument
_TGKILL = {"x86_64": 234, "aarch64": 131}  # how abort() ends: of the process itself alone
_PRLIMIT = {"x86_64": 302, "aarch64": 261}  # likewise

# Of classic BPF: (code, jump if true, jump if false, operand).
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 32  # in struct seccomp_data, the lower half first

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

Instruction = tuple[int, int, int, int]


def restrict() -> bool:
    """From now on, for good. Whether it could be done."""
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in _ARCH:
        return False
    try:
        import ctypes
    except ImportError:
        return False

    class Program(ctypes.Structure):
        _fields_ = (("count", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return False
    code = b"".join(_packed(*instruction) for instruction in program(machine, os.getpid()))
    text = ctypes.create_string_buffer(code, len(code))
    whole = Program(len(code) // 8, ctypes.addressof(text))
    numbers = [ctypes.c_ulong(number) for number in (1, 0, 0, 0)]
    return bool(
        prctl(_PR_SET_NO_NEW_PRIVS, *numbers) == 0
        and prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(whole), *numbers[2:]) == 0
    )


def program(machine: str, pid: int) -> list[Instruction]:
    refuse: Instruction = (_RETURN, 0, 0, _REFUSE)
    allow: Instruction = (_RETURN, 0, 0, _ALLOW)
    found: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, _ARCH[machine]),
        (_RETURN, 0, 0, _KILL),  # calls by another ABI, whose numbers mean others
        (_LOAD, 0, 0, _NUMBER),
        (_IF_AT_LEAST, 0, 1, _X32),
        refuse,
    ]
    for number in _PLAIN[machine].values():
        found += [(_IF_EQUAL, 0, 1, number), allow]
    for number in _MEMORY[machine]:
        found += [(_IF_EQUAL, 0, 4, number), (_LOAD, 0, 0, _THIRD_ARGUMENT), (_IF_ANY_BIT, 0, 1, _PROT_EXEC), refuse, allow]
    for number, whom in ((_TGKILL[machine], pid), (_PRLIMIT[machine], 0)):
        found += [(_IF_EQUAL, 0, 4, number), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_IF_EQUAL, 0, 1, whom), allow, refuse]
    return [*found, refuse]


def _packed(code: int, if_true: int, if_false: int, operand: int) -> bytes:
    return code.to_bytes(2, sys.byteorder) + bytes((if_true, if_false)) + operand.to_bytes(4, sys.byteorder)
