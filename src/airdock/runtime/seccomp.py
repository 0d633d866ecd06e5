"""The seccomp filter of a container: the default profile, compiled once, and how a process takes it on."""

import ctypes
import functools
import os
from collections.abc import Collection

from airdock.errors import IsolationError
from airdock.runtime.seccomp_bpf import (
    ALLOW,
    EPERM,
    Answer,
    Instruction,
    compile_arch,
    compile_filter,
    refuse,
)
from airdock.runtime.seccomp_numbers import load_numbers
from airdock.runtime.seccomp_profile import PROFILE, STRICTER, Compare, Rule

__all__ = ["ARCHES", "default_filter", "install", "kernel_version"]

ARCHES: dict[str, dict[str, int]] = {
    "x86_64": {"x86_64": 0xC000_003E, "i386": 0x4000_0003},
    "aarch64": {"aarch64": 0xC000_00B7},
}
"""AUDIT_ARCH_* of what may run on each machine: 32-bit programs of x86 too, of ARM not. The x32 calls of x86_64 have
numbers beyond the table's and get ENOSYS, as on kernels built without them."""

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1


def kernel_version(release: str) -> tuple[int, int]:
    """Major and minor number of a kernel release such as "6.1.0-18-amd64"; (0, 0) where it can't be read."""
    major, _, rest = release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def default_filter(
    arch: str | None = None,
    capabilities: Collection[str] = (),
    kernel: tuple[int, int] | None = None,
) -> bytes:
    """The default profile as a BPF program for `install`.

    `arch` is uname's machine, `capabilities` are those of the container ("CAP_CHOWN"), `kernel` is major and minor;
    this machine's where None. Compiled once for each combination. Raises IsolationError for an architecture without
    a table.
    """
    machine = os.uname()
    program = _compiled(arch or machine.machine, frozenset(capabilities), kernel or kernel_version(machine.release))
    if arch in (None, machine.machine):
        _seccomp_call()  # looked up here, once, so that children forked later find it ready
    return program


def install(program: bytes, *, may_gain: bool = False) -> None:
    """Put this thread and all it will ever start under `program`, for good; sets no_new_privs first, or with `may_gain`
    uses CAP_SYS_ADMIN instead, so that set-user-id programs still work.

    Raises OSError where the kernel refuses. Source: seccomp(2).
    """
    code = ctypes.create_string_buffer(program, len(program))
    table = _Program(len(program) // 8, ctypes.addressof(code))
    libc, number = _seccomp_call()
    if not may_gain and libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    if libc.syscall(number, SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(table)) != 0:
        raise OSError(ctypes.get_errno(), "seccomp(SECCOMP_SET_MODE_FILTER)")


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


@functools.cache
def _seccomp_call() -> tuple[ctypes.CDLL, int]:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p]
    libc.syscall.restype = ctypes.c_long
    return libc, load_numbers(os.uname().machine)["seccomp"]


@functools.cache
def _compiled(arch: str, capabilities: frozenset[str], kernel: tuple[int, int]) -> bytes:
    if arch not in ARCHES:
        raise IsolationError(
            f"no seccomp profile for {arch}: expected one of {', '.join(ARCHES)}",
            hint="run on x86_64 or aarch64",
        )
    rules = [rule for rule in PROFILE if _holds(rule, arch, capabilities, kernel)]
    parts = {audit: _part(table, rules) for table, audit in ARCHES[arch].items()}
    return compile_filter(parts)


def _holds(rule: Rule, arch: str, capabilities: frozenset[str], kernel: tuple[int, int]) -> bool:
    return (
        (not rule.needs or rule.needs in capabilities)
        and (not rule.excludes or rule.excludes not in capabilities)
        and rule.arch in ("", arch)
        and kernel >= rule.min_kernel
    )


def _part(table: str, rules: list[Rule]) -> list[Instruction]:
    by_name: dict[str, list[Rule]] = {}
    for rule in rules:
        for name in rule.names.split():
            by_name.setdefault(name, []).append(rule)
    by_name |= {rule.names: [other for other in STRICTER if other.names == rule.names] for rule in STRICTER}
    return compile_arch({number: _answer(by_name.get(name, [])) for name, number in load_numbers(table).items()})


def _answer(rules: list[Rule]) -> Answer:
    """What a call gets by all its rules: an unconditional permission wins, then conditional ones, then the errno."""
    allowing = [rule for rule in rules if rule.errno == 0]
    if any(not rule.compares for rule in allowing):
        return ALLOW
    alternatives: list[tuple[Compare, ...]] = [rule.compares for rule in allowing]
    if alternatives:
        return tuple(alternatives)
    return refuse(next((rule.errno for rule in rules if rule.errno), EPERM))
