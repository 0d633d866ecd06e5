"""Profiles that users write: which rules count here, and what the compiled filter answers, run by a small machine."""

import struct
from typing import Any

import pytest

from airdock.errors import ContainerError
from airdock.runtime.seccomp import ARCHES
from airdock.runtime.seccomp_file import compile_profile, render_default, resolve_profile
from airdock.runtime.seccomp_numbers import load_numbers

ALLOW = 0x7FFF_0000
NUMBERS = load_numbers("x86_64")


def answer(program: bytes, name: str, *arguments: int) -> int:
    """What a filter returns for a call on x86_64."""
    given = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", NUMBERS[name], 0xC000_003E, 0, *given)
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at = value = 0
    while True:
        kind, if_true, if_false, k = code[at]
        at += 1
        match kind:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, k)
            case 0x54:
                value &= k
            case 0x06:
                return int(k)
            case 0x05:
                at += k
            case _:
                fits = {0x15: value == k, 0x25: value > k, 0x35: value >= k}[kind]
                at += if_true if fits else if_false


def rule(names: str, action: str, **more: Any) -> dict[str, Any]:
    return {"names": names.split(), "action": f"SCMP_ACT_{action}", **more}


def test_actions_and_conditions() -> None:
    args = [{"index": 0, "value": 5, "op": "SCMP_CMP_GE"}, {"index": 1, "value": 7, "op": "SCMP_CMP_NE"}]
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            rule("mkdir", "ERRNO", errnoRet=95),
            rule("reboot", "KILL_PROCESS"),
            rule("ioctl", "ERRNO", args=args),
            rule("read", "LOG", args=[{"index": 2, "value": 0xF0, "valueTwo": 0x30, "op": "SCMP_CMP_MASKED_EQ"}]),
        ],
    }
    program = compile_profile(profile, ARCHES["x86_64"])
    assert answer(program, "mkdir") == 0x5_0000 | 95
    assert answer(program, "reboot") == 0x8000_0000
    assert answer(program, "write") == ALLOW
    assert [answer(program, "ioctl", *given) for given in [(4, 0), (5, 0), (9, 7), (1 << 40, 8)]] == [
        ALLOW,
        0x5_0001,
        ALLOW,
        0x5_0001,
    ]
    assert answer(program, "read", 0, 0, 0x3F) == 0x7FFC_0000
    assert answer(program, "read", 0, 0, 0x4F) == ALLOW


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        ({}, True),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"includes": {"arches": ["amd64"]}}, True),
        ({"includes": {"arches": ["s390x"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "7.0"}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
    ],
)
def test_which_rules_count(words: dict[str, Any], counts: bool) -> None:
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule("read", "ALLOW", **words)]}
    found = resolve_profile(profile, capabilities=["CAP_CHOWN"], arch="x86_64", kernel=(6, 1))
    assert bool(found["syscalls"]) is counts


def test_the_default_profile_survives_the_way_through_the_specification() -> None:
    rendered = render_default(capabilities=["CAP_CHOWN"], arch="x86_64", kernel=(6, 1))
    program = compile_profile(rendered, ARCHES["x86_64"])
    assert answer(program, "read") == ALLOW
    assert answer(program, "mount") == 0x5_0001
    assert answer(program, "clone3") == 0x5_0000 | 38
    assert answer(program, "clone", 0x1000_0000) == 0x5_0001
    assert answer(program, "socket", 38) == 0x5_0001


@pytest.mark.parametrize(
    "profile",
    [
        {"defaultAction": "SCMP_ACT_NOTIFY"},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("read", "ERRNO", args=[{"index": 0, "op": "?"}])]},
    ],
)
def test_what_a_filter_can_not_do_is_refused(profile: dict[str, Any]) -> None:
    with pytest.raises(ContainerError, match="expected a seccomp"):
        compile_profile(profile, ARCHES["x86_64"])
