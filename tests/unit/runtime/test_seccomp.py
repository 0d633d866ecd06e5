"""The profile against the published one, and the compiled program against the profile, call by call."""

import itertools
import json
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.errors import IsolationError
from airdock.runtime.seccomp import ARCHES, default_filter, kernel_version
from airdock.runtime.seccomp_bpf import ALLOW, ENOSYS, EPERM, KILL_PROCESS, compile_arch, compile_filter, refuse
from airdock.runtime.seccomp_numbers import NUMBERS, load_numbers
from airdock.runtime.seccomp_profile import ALL_BITS, PROFILE, STRICTER, Compare, Rule

PUBLISHED = Path(__file__).parents[4] / "shared/data/seccomp-default.json"
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "i386": Path("/usr/include/x86_64-linux-gnu/asm/unistd_32.h"),
}
DEFAULT_CAPABILITIES = ("CAP_CHOWN", "CAP_SYS_CHROOT")
ALL_CAPABILITIES = tuple({rule.needs for rule in PROFILE if rule.needs})
AUDIT = {table: audit for tables in ARCHES.values() for table, audit in tables.items()}


def interpret(program: bytes, *, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would answer: the classic BPF machine over struct seccomp_data."""
    data = struct.pack("<IIQ6Q", number & 0xFFFF_FFFF, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
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


def fits(rule: Rule, arguments: tuple[int, ...]) -> bool:
    def one(compare: Compare) -> bool:
        value = arguments[compare.index] & compare.mask
        return {
            "below": value < compare.value,
            "equal": value == compare.value,
            "above": value > compare.value,
        }[compare.is_]

    return all(one(compare) for compare in rule.compares)


def expected(machine: str, name: str, capabilities: tuple[str, ...], arguments: tuple[int, ...]) -> int:
    """The answer by the words of the table, with none of the compiler's code."""
    stricter = [rule for rule in STRICTER if rule.names == name]
    rules = stricter or [
        rule
        for rule in PROFILE
        if name in rule.names.split()
        and (not rule.needs or rule.needs in capabilities)
        and (not rule.excludes or rule.excludes not in capabilities)
        and rule.arch in ("", machine)
    ]
    if any(rule.errno == 0 and fits(rule, arguments) for rule in rules):
        return ALLOW
    return refuse(next((rule.errno for rule in rules if rule.errno), EPERM))


ARGUMENTS = [
    tuple(values)
    for first in (0, 1, 8, 37, 38, 39, 40, 41, 0x20000, 0x20008, 0xFFFF_FFFF, 0x7E02_0000, 0x1000_0000, 0x0100_0026)
    for high in (0, 1 << 32, 1 << 63)
    for values in [(first | high, 2, 3, 4, 5, 6)]
]


@pytest.mark.parametrize("machine", ARCHES)
@pytest.mark.parametrize("capabilities", [(), DEFAULT_CAPABILITIES, ("CAP_SYS_ADMIN",), ALL_CAPABILITIES])
def test_every_call_gets_what_the_table_says(machine: str, capabilities: tuple[str, ...]) -> None:
    program = default_filter(machine, capabilities, (6, 1))
    for table, audit in ARCHES[machine].items():
        for name, number in load_numbers(table).items():
            has_conditions = any(name in rule.names.split() and rule.compares for rule in (*PROFILE, *STRICTER))
            for arguments in ARGUMENTS if has_conditions else ARGUMENTS[:1]:
                answer = interpret(program, arch=audit, number=number, arguments=arguments)
                assert answer == expected(machine, name, capabilities, arguments), (table, name, arguments)


@pytest.mark.parametrize("machine", ARCHES)
def test_numbers_without_a_name_are_refused_and_newer_ones_are_unknown(machine: str) -> None:
    program = default_filter(machine)
    for table, audit in ARCHES[machine].items():
        known = load_numbers(table).values()
        newest = max(known)
        for number in set(range(newest)) - set(known):
            assert interpret(program, arch=audit, number=number) == refuse(EPERM)
        for number in (newest + 1, newest + 100, 0x3FFF_FFFF, 0xFFFF_FFFF):
            assert interpret(program, arch=audit, number=number) == refuse(ENOSYS)


def test_x32_calls_are_unknown() -> None:
    program = default_filter("x86_64")
    for name in ("read", "execve", "mount"):
        number = 0x4000_0000 | load_numbers("x86_64")[name]
        assert interpret(program, arch=AUDIT["x86_64"], number=number) == refuse(ENOSYS)


@pytest.mark.parametrize("machine", ARCHES)
def test_programs_of_another_architecture_are_killed(machine: str) -> None:
    program = default_filter(machine)
    for audit in {0x4000_0028, 0xC000_00F3, 0, *AUDIT.values()} - set(ARCHES[machine].values()):
        assert interpret(program, arch=audit, number=0) == KILL_PROCESS


def test_new_namespaces_need_sys_admin() -> None:
    number = load_numbers("x86_64")["clone"]
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        arguments = (flag | 17,)
        plain, admin = default_filter("x86_64"), default_filter("x86_64", ("CAP_SYS_ADMIN",))
        assert interpret(plain, arch=AUDIT["x86_64"], number=number, arguments=arguments) == refuse(EPERM)
        assert interpret(admin, arch=AUDIT["x86_64"], number=number, arguments=arguments) == ALLOW


def test_a_bit_in_the_upper_half_lets_no_socket_family_through() -> None:
    number = load_numbers("x86_64")["socket"]
    for family in (38 | 1 << 32, 40 | 1 << 63):
        answer = interpret(default_filter("x86_64"), arch=AUDIT["x86_64"], number=number, arguments=(family,))
        assert answer == refuse(EPERM)


def test_i386_programs_open_sockets_only_where_the_family_shows() -> None:
    program, numbers = default_filter("x86_64"), load_numbers("i386")
    asked = {call: (numbers["socketcall"], (call,)) for call in (1, 2, 3)} | {"socket": (numbers["socket"], (2,))}
    answers = {
        name: interpret(program, arch=AUDIT["i386"], number=number, arguments=arguments)
        for name, (number, arguments) in asked.items()
    }
    assert answers == {1: refuse(EPERM), 2: ALLOW, 3: ALLOW, "socket": ALLOW}


def test_ptrace_waits_for_the_kernel_that_made_it_safe() -> None:
    number = load_numbers("x86_64")["ptrace"]
    assert interpret(default_filter("x86_64", (), (4, 7)), arch=AUDIT["x86_64"], number=number) == refuse(EPERM)
    assert interpret(default_filter("x86_64", (), (4, 8)), arch=AUDIT["x86_64"], number=number) == ALLOW


@given(
    compare=st.builds(
        Compare,
        index=st.integers(0, 5),
        is_=st.sampled_from(["below", "equal", "above"]),
        value=st.integers(0, ALL_BITS) | st.sampled_from([0, 1, 1 << 32, (1 << 32) - 1, ALL_BITS]),
        mask=st.sampled_from([ALL_BITS, 0xFFFF_FFFF, 0xFFFF_FFFF_0000_0000, 0x7E02_0000, 0x1_0000_0001]),
    ),
    arguments=st.lists(
        st.integers(0, ALL_BITS) | st.sampled_from([0, 1, 1 << 32, (1 << 32) - 1, ALL_BITS]), min_size=6, max_size=6
    ),
    is_near=st.booleans(),
)
def test_comparisons_of_64_bits(compare: Compare, arguments: list[int], is_near: bool) -> None:
    if is_near:
        arguments[compare.index] = compare.value
    program = compile_filter({7: compile_arch({3: ((compare,),)})})
    answer = interpret(program, arch=7, number=3, arguments=tuple(arguments))
    assert (answer == ALLOW) == fits(Rule(names="", compares=(compare,)), tuple(arguments))


def test_all_comparisons_of_an_alternative_must_fit() -> None:
    first = Compare(index=0, is_="equal", value=1 << 40)
    second = Compare(index=1, is_="above", value=5)
    program = compile_filter({7: compile_arch({0: ((first, second), (Compare(index=2, is_="below", value=2),))})})
    for arguments in itertools.product((0, 1 << 40), (5, 6), (1, 2)):
        is_allowed = (arguments[0] == 1 << 40 and arguments[1] > 5) or arguments[2] < 2
        answer = interpret(program, arch=7, number=0, arguments=arguments)
        assert answer == (ALLOW if is_allowed else refuse(EPERM))


def test_jumps_longer_than_a_byte() -> None:
    answers = {number: ALLOW if number % 2 else refuse(number % 90 + 1) for number in range(1200)}
    program = compile_filter({7: compile_arch(answers)})
    assert [interpret(program, arch=7, number=number) for number in range(1200)] == list(answers.values())


def test_a_program_is_compiled_once() -> None:
    assert default_filter("aarch64", ["CAP_CHOWN"]) is default_filter("aarch64", {"CAP_CHOWN"})


def test_unknown_architectures_are_refused_by_name() -> None:
    with pytest.raises(IsolationError, match="no seccomp profile for riscv64: expected one of x86_64, aarch64"):
        default_filter("riscv64")


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.1.0-18-amd64", (6, 1)), ("6.18.44", (6, 18)), ("5.15-rc3", (5, 15)), ("4.19", (4, 19)), ("odd", (0, 0))],
)
def test_kernel_version(release: str, version: tuple[int, int]) -> None:
    assert kernel_version(release) == version


@pytest.mark.parametrize("table", HEADERS)
def test_numbers_are_those_of_the_headers(table: str) -> None:
    if not HEADERS[table].exists():
        pytest.skip(f"{HEADERS[table]} is not there: install linux-libc-dev")
    defined = dict(re.findall(r"#define __NR_(\w+) (\d+)", HEADERS[table].read_text()))
    ours = load_numbers(table)
    newest = min(max(map(int, defined.values())), max(ours.values()))
    assert {name: int(number) for name, number in defined.items() if int(number) <= newest} == {
        name: number for name, number in ours.items() if number <= newest and name in defined
    }


def published_rules() -> list[dict[str, object]]:
    if not PUBLISHED.exists():
        pytest.skip("seccomp-default.json, Docker's published profile, is not beside this repository")
    profile = json.loads(PUBLISHED.read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["defaultErrnoRet"] == EPERM
    found: list[dict[str, object]] = profile["syscalls"]
    return found


def from_published(rule: dict, known: set[str]) -> Rule | None:  # type: ignore[type-arg]
    """A published rule in our form; None where it speaks of architectures or calls that we don't have."""
    arches = {"amd64": "x86_64", "arm64": "aarch64"}
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    names = " ".join(sorted(name for name in rule["names"] if name in known))
    ours = [arches[arch] for arch in includes.get("arches", []) if arch in arches]
    if not names or ("arches" in includes and not ours):
        return None
    words = {"SCMP_CMP_LT": "below", "SCMP_CMP_EQ": "equal", "SCMP_CMP_GT": "above", "SCMP_CMP_MASKED_EQ": "equal"}
    return Rule(
        names=names,
        compares=tuple(
            Compare(
                index=argument["index"],
                is_=words[argument["op"]],  # type: ignore[arg-type]
                value=argument.get("valueTwo", 0) if "MASKED" in argument["op"] else argument["value"],
                mask=argument["value"] if "MASKED" in argument["op"] else ALL_BITS,
            )
            for argument in rule.get("args") or []
        ),
        errno=0 if rule["action"] == "SCMP_ACT_ALLOW" else rule["errnoRet"],
        needs="".join(includes.get("caps", [])),
        excludes="".join(excludes.get("caps", [])),
        arch="".join(ours),
        min_kernel=tuple(map(int, includes.get("minKernel", "0.0").split("."))),  # type: ignore[arg-type]
    )


def test_the_profile_is_the_published_one_rule_by_rule() -> None:
    known = {name for runs in NUMBERS.values() for names in runs.values() for name in names.split()}
    theirs = [ours for rule in published_rules() if (ours := from_published(rule, known))]
    # The published profile compares the socket family in 64 bits; see seccomp_profile for why we take 32.
    narrow = 0xFFFF_FFFF
    mine = [
        Rule(
            names=" ".join(sorted(rule.names.split())),
            compares=tuple(
                Compare(
                    index=compare.index,
                    is_=compare.is_,
                    value=compare.value,
                    mask=ALL_BITS if rule.names == "socket" and compare.mask == narrow else compare.mask,
                )
                for compare in rule.compares
            ),
            errno=rule.errno,
            needs=rule.needs,
            excludes=rule.excludes,
            arch=rule.arch,
            min_kernel=rule.min_kernel,
        )
        for rule in PROFILE
    ]
    assert mine == theirs


def test_published_rules_name_no_call_that_we_should_have() -> None:
    """Names that our tables lack are calls of other architectures, which can't be reached here."""
    known = {name for runs in NUMBERS.values() for names in runs.values() for name in names.split()}
    lacking = {name for rule in published_rules() for name in rule["names"]} - known  # type: ignore[attr-defined]
    foreign = re.compile(r"(arm_|s390_|riscv_).*|recv|send|breakpoint|cacheflush|set_tls|sync_file_range2|swapcontext")
    assert [name for name in lacking if not foreign.fullmatch(name)] == []
