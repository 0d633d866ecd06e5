"""Our compiler against libseccomp's, which runc, Docker and Podman use: the same profile, call by call."""

import ctypes
import ctypes.util
import itertools
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from airdock.runtime.seccomp import ARCHES, default_filter
from airdock.runtime.seccomp_bpf import ALLOW, EPERM, refuse
from airdock.runtime.seccomp_numbers import load_numbers

PUBLISHED = Path(__file__).parents[3] / "shared/data/seccomp-default.json"
CAPABILITIES = ("CAP_CHOWN", "CAP_SYS_CHROOT")
COMPARE = {"SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_EQ": 4, "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7}
X86, X86_64 = ARCHES["x86_64"]["i386"], ARCHES["x86_64"]["x86_64"]
STRICTER = {("i386", "socketcall")}
FIRST_ARGUMENTS = (0, 1, 2, 8, 37, 38, 39, 40, 41, 0x20000, 0x20008, 0xFFFF_FFFF, 0x1000_0011, 17)


class ArgumentCompare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


@pytest.fixture(scope="module")
def library() -> Any:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("libseccomp is not installed (apt-get install libseccomp2)")
    if not PUBLISHED.exists():
        pytest.skip("seccomp-default.json, Docker's published profile, is not beside this repository")
    if os.uname().machine != "x86_64":
        pytest.skip("the peer's filter is compared on x86_64")
    library = ctypes.CDLL(name)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    compares = ctypes.POINTER(ArgumentCompare)
    library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, compares]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    return library


def wanted(rule: dict[str, Any]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    return (
        all(name in CAPABILITIES for name in includes.get("caps", ()))
        and ("arches" not in includes or "amd64" in includes["arches"])
        and not any(name in CAPABILITIES for name in excludes.get("caps", ()))
        and "amd64" not in excludes.get("arches", ())
    )


def peer_program(library: Any) -> bytes:
    """The published profile as libseccomp compiles it, for x86_64 and 32-bit x86."""
    context = library.seccomp_init(refuse(EPERM))
    try:
        library.seccomp_arch_add(context, X86)
        for rule in filter(wanted, json.loads(PUBLISHED.read_text())["syscalls"]):
            action = ALLOW if rule["action"] == "SCMP_ACT_ALLOW" else refuse(rule["errnoRet"])
            given = rule.get("args") or []
            compares = (ArgumentCompare * max(1, len(given)))(
                *((one["index"], COMPARE[one["op"]], one["value"], one.get("valueTwo", 0)) for one in given)
            )
            for name in rule["names"]:
                number = library.seccomp_syscall_resolve_name(name.encode())
                if number != -1:  # otherwise it is newer than this libseccomp
                    library.seccomp_rule_add_array(context, action, number, len(given), compares)
        descriptor = os.memfd_create("filter")
        try:
            assert library.seccomp_export_bpf(context, descriptor) == 0
            return os.pread(descriptor, 1 << 20, 0)
        finally:
            os.close(descriptor)
    finally:
        library.seccomp_release(context)


def interpret(program: bytes, arch: int, number: int, arguments: tuple[int, ...]) -> int:
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*arguments, *[0] * 6)[:6])
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator = at = 0
    while True:
        operation, if_true, if_false, k = code[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x54:
                accumulator &= k
            case 0x06:
                return k
            case 0x05:
                at += k
            case 0x15:
                at += if_true if accumulator == k else if_false
            case 0x25:
                at += if_true if accumulator > k else if_false
            case 0x35:
                at += if_true if accumulator >= k else if_false
            case other:
                raise AssertionError(f"unknown instruction {other:#x}")


def test_every_call_is_answered_as_by_libseccomp(library: Any) -> None:
    peer, ours = peer_program(library), default_filter("x86_64", CAPABILITIES)
    library.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    differences = {}
    for table, audit in ARCHES["x86_64"].items():
        for name, number in load_numbers(table).items():
            is_known = library.seccomp_syscall_resolve_name_arch(audit, name.encode()) == number
            if not is_known or (table, name) in STRICTER:
                continue
            for first, upper in itertools.product(FIRST_ARGUMENTS, (0, 1 << 32)):
                if upper and (table == "i386" or name == "socket"):
                    continue  # 32-bit calls have no upper halves; for `socket` we ignore them, which is stricter
                arguments = (first | upper, 2, 3)
                answers = [interpret(program, audit, number, arguments) for program in (peer, ours)]
                if answers[0] != answers[1]:
                    differences[table, name, first | upper] = [hex(answer) for answer in answers]
    assert differences == {}
