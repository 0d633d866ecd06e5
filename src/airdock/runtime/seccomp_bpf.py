"""Compile system call rules into a classic BPF program, as seccomp(2) takes it.

The numbers of an architecture form a line of segments that share one answer; the program finds the segment by binary
search, so a call costs about seven comparisons, and the kernel can tell beforehand which numbers are always allowed.
Calls whose arguments matter end in a block of comparisons. Every piece ends in a return and is entered at its first
instruction only, so pieces are simply put one after the other.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from airdock.runtime.seccomp_profile import ALL_BITS, Compare

__all__ = [
    "ALLOW",
    "ENOSYS",
    "EPERM",
    "KILL_PROCESS",
    "Alternatives",
    "Answer",
    "Cases",
    "Instruction",
    "compile_arch",
    "compile_filter",
    "pack",
    "refuse",
]

EPERM, ENOSYS = 1, 38
ALLOW, KILL_PROCESS = 0x7FFF_0000, 0x8000_0000
"""SECCOMP_RET_*: see seccomp(2)."""

LOAD, AND, RETURN, JUMP, JUMP_EQUAL, JUMP_ABOVE, JUMP_AT_LEAST = 0x20, 0x54, 0x06, 0x05, 0x15, 0x25, 0x35
"""BPF_LD|W|ABS, BPF_ALU|AND|K, BPF_RET|K, BPF_JMP|JA and BPF_JMP|JEQ,JGT,JGE|K."""

NUMBER_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16
"""Offsets in struct seccomp_data; little-endian, so an argument's lower word comes first."""

WORD = 0xFFFF_FFFF
LONGEST_SKIP = 255
LONGEST_PROGRAM = 4096
ELSEWHERE = -1
"""A jump to the end of the alternative, put in when its length is known."""

Alternatives = tuple[tuple[Compare, ...], ...]
"""A call is allowed if all comparisons of any one alternative fit, otherwise refused with EPERM."""


class Cases(NamedTuple):
    """What a call gets by the first case whose comparisons all fit, and `otherwise`: SECCOMP_RET_* values."""

    cases: tuple[tuple[tuple[Compare, ...], int], ...]
    otherwise: int


Answer = int | Alternatives | Cases
"""A SECCOMP_RET_* value, or what the arguments must be."""


class Instruction(NamedTuple):
    """struct sock_filter: `if_true` and `if_false` count the instructions to skip."""

    code: int
    if_true: int
    if_false: int
    k: int


def refuse(errno: int) -> int:
    """The answer that makes the call fail with `errno`."""
    return 0x0005_0000 | errno


def compile_filter(arches: Mapping[int, Sequence[Instruction]]) -> bytes:
    """A whole filter out of each architecture's part, by AUDIT_ARCH_* value; calls of any other end the process."""
    program = [Instruction(LOAD, 0, 0, ARCH_AT)]
    for arch, part in arches.items():
        program += [Instruction(JUMP_EQUAL, 1, 0, arch), Instruction(JUMP, 0, 0, len(part)), *part]
    program.append(Instruction(RETURN, 0, 0, KILL_PROCESS))
    assert len(program) <= LONGEST_PROGRAM
    return pack(program)


def compile_arch(
    answers: Mapping[int, Answer], *, otherwise: int = 0x0005_0000 | EPERM, beyond: int = 0x0005_0000 | ENOSYS
) -> list[Instruction]:
    """One architecture's part: `answers` by system call number, `otherwise` for those between, `beyond` the last.

    ENOSYS is what a kernel without the call says, so programs newer than the table use what came before it.
    """
    segments: list[tuple[int, Answer]] = []
    for number in range(max(answers) + 1):
        answer = answers.get(number, otherwise)
        if not segments or segments[-1][1] != answer:
            segments.append((number, answer))
    segments.append((max(answers) + 1, beyond))
    return [Instruction(LOAD, 0, 0, NUMBER_AT), *_search(segments)]


def pack(program: Sequence[Instruction]) -> bytes:
    """The program as the kernel reads it."""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _search(segments: Sequence[tuple[int, Answer]]) -> list[Instruction]:
    if len(segments) == 1:
        return _leaf(segments[0][1])
    middle = len(segments) // 2
    lower, upper = _search(segments[:middle]), _search(segments[middle:])
    pivot = segments[middle][0]
    if len(lower) <= LONGEST_SKIP:
        return [Instruction(JUMP_AT_LEAST, len(lower), 0, pivot), *lower, *upper]
    return [Instruction(JUMP_AT_LEAST, 0, 1, pivot), Instruction(JUMP, 0, 0, len(lower)), *lower, *upper]


def _leaf(answer: Answer) -> list[Instruction]:
    if isinstance(answer, int):
        return [Instruction(RETURN, 0, 0, answer)]
    if not isinstance(answer, Cases):
        answer = Cases(cases=tuple((alternative, ALLOW) for alternative in answer), otherwise=refuse(EPERM))
    program: list[Instruction] = []
    for compares, value in answer.cases:
        block = [instruction for compare in compares for instruction in _compare(compare)]
        block.append(Instruction(RETURN, 0, 0, value))
        program += [_aimed(instruction, len(block) - at - 1) for at, instruction in enumerate(block)]
    return [*program, Instruction(RETURN, 0, 0, answer.otherwise)]


def _aimed(instruction: Instruction, to_end: int) -> Instruction:
    return instruction._replace(
        if_true=to_end if instruction.if_true == ELSEWHERE else instruction.if_true,
        if_false=to_end if instruction.if_false == ELSEWHERE else instruction.if_false,
    )


def _compare(compare: Compare) -> list[Instruction]:
    """Goes on where `compare` fits, else to the alternative's end. An upper half that is masked away isn't loaded."""
    lower_at = ARGUMENTS_AT + 8 * compare.index
    upper, lower = compare.value >> 32, compare.value & WORD
    upper_mask, lower_mask = (compare.mask & ALL_BITS) >> 32, compare.mask & WORD
    load_lower, load_upper = _load(lower_at, lower_mask), _load(lower_at + 4, upper_mask)
    match compare.is_:
        case "equal":
            high = [*load_upper, Instruction(JUMP_EQUAL, 0, ELSEWHERE, upper)]
            low = [*load_lower, Instruction(JUMP_EQUAL, 0, ELSEWHERE, lower)]
        case "above":
            low = [*load_lower, Instruction(JUMP_ABOVE, 0, ELSEWHERE, lower)]
            decided = Instruction(JUMP_ABOVE, len(low) + 1, 0, upper)
            high = [*load_upper, decided, Instruction(JUMP_EQUAL, 0, ELSEWHERE, upper)]
        case "below":
            low = [*load_lower, Instruction(JUMP_AT_LEAST, ELSEWHERE, 0, lower)]
            decided = Instruction(JUMP_ABOVE, ELSEWHERE, 0, upper)
            high = [*load_upper, decided, Instruction(JUMP_EQUAL, 0, len(low), upper)]
    return [*high, *low] if upper_mask or upper else low


def _load(offset: int, mask: int) -> list[Instruction]:
    load = [Instruction(LOAD, 0, 0, offset)]
    return load if mask == WORD else [*load, Instruction(AND, 0, 0, mask)]
