"""Seccomp profiles that users write: Docker's JSON to the specification's `linux.seccomp`, and that to a filter.

Source: opencontainers/runtime-spec, config-linux.md, section Seccomp; Docker's profile format, which adds `includes`
and `excludes` by capability, architecture and kernel.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

from airdock.errors import ContainerError
from airdock.runtime.seccomp_bpf import ALLOW, KILL_PROCESS, Cases, compile_arch, compile_filter, refuse
from airdock.runtime.seccomp_numbers import load_numbers
from airdock.runtime.seccomp_profile import ALL_BITS, PROFILE, Compare, Rule

__all__ = ["compile_profile", "render_default", "resolve_profile"]

_ACTIONS: Final = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": 0x0003_0000,
    "SCMP_ACT_LOG": 0x7FFC_0000,
}
_EPERM: Final = 1
_KEPT: Final = ("action", "args", "errnoRet")
_OPERATORS: Final = {"equal": "SCMP_CMP_EQ", "above": "SCMP_CMP_GT", "below": "SCMP_CMP_LT"}


def resolve_profile(
    profile: Mapping[str, Any], *, capabilities: Collection[str], arch: str, kernel: tuple[int, int]
) -> dict[str, Any]:
    """The `linux.seccomp` of a profile file for a container. `arch` is uname's machine. Raises ContainerError."""
    if "defaultAction" not in profile:
        raise ContainerError(
            "expected a seccomp profile with a defaultAction, found none",
            hint="docs.docker.com/engine/security/seccomp shows the format",
        )
    rules = [
        {"names": list(rule.get("names") or [rule["name"]]), **{key: rule[key] for key in _KEPT if rule.get(key)}}
        for rule in profile.get("syscalls", ())
        if _fits(rule.get("includes") or {}, capabilities, arch, kernel, empty=True)
        and not _fits(rule.get("excludes") or {}, capabilities, arch, kernel, empty=False)
    ]
    kept = {key: profile[key] for key in ("defaultAction", "defaultErrnoRet") if key in profile}
    return {**kept, "syscalls": rules}


def render_default(*, capabilities: Collection[str], arch: str, kernel: tuple[int, int]) -> dict[str, Any]:
    """Airdock's default profile as `linux.seccomp`, for runtimes that compile it themselves."""
    rules = [rule for rule in PROFILE if _holds(rule, capabilities, arch, kernel)]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "architectures": {"x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "aarch64": ["SCMP_ARCH_AARCH64"]}[arch],
        "syscalls": [_rendered(rule) for rule in rules],
    }


def compile_profile(seccomp: Mapping[str, Any], arches: Mapping[str, int]) -> bytes:
    """The BPF program of a `linux.seccomp`; `arches` are AUDIT_ARCH_* values by their tables. Raises ContainerError."""
    otherwise = _action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for rule in seccomp.get("syscalls", ()):
        for name in rule["names"]:
            by_name.setdefault(name, []).append(rule)
    parts = {}
    for table, audit in arches.items():
        answers = {number: _answer(by_name.get(name, ()), otherwise) for name, number in load_numbers(table).items()}
        parts[audit] = compile_arch(answers, otherwise=otherwise, beyond=otherwise)
    return compile_filter(parts)


def _answer(rules: Sequence[Mapping[str, Any]], otherwise: int) -> int | Cases:
    """Of rules without conditions the first counts, after those whose conditions fit."""
    plain = next((_action(rule["action"], rule.get("errnoRet")) for rule in rules if not rule.get("args")), otherwise)
    cases = [
        (compares, _action(rule["action"], rule.get("errnoRet")))
        for rule in rules
        if rule.get("args")
        for compares in _alternatives(rule["args"])
    ]
    return Cases(cases=tuple(cases), otherwise=plain) if cases else plain


def _alternatives(args: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Compare, ...]]:
    return product(*(_compares(arg) for arg in args))


def _compares(arg: Mapping[str, Any]) -> list[Compare]:
    """One condition as comparisons of which any may fit."""
    index, value, second = arg["index"], arg.get("value", 0) & ALL_BITS, arg.get("valueTwo", 0) & ALL_BITS
    equal = Compare(index=index, is_="equal", value=value)
    above, below = Compare(index=index, is_="above", value=value), Compare(index=index, is_="below", value=value)
    match arg["op"]:
        case "SCMP_CMP_EQ":
            return [equal]
        case "SCMP_CMP_NE":
            return [above, below]
        case "SCMP_CMP_GT":
            return [above]
        case "SCMP_CMP_GE":
            return [above, equal]
        case "SCMP_CMP_LT":
            return [below]
        case "SCMP_CMP_LE":
            return [below, equal]
        case "SCMP_CMP_MASKED_EQ":
            return [Compare(index=index, is_="equal", value=second & value, mask=value)]
        case other:
            raise ContainerError(f"expected a seccomp comparison such as SCMP_CMP_EQ, found {other!r}")


def _action(name: str, errno: int | None) -> int:
    number = _EPERM if errno is None else errno
    if name == "SCMP_ACT_ERRNO":
        return refuse(number)
    if name == "SCMP_ACT_TRACE":
        return 0x7FF0_0000 | number
    if name not in _ACTIONS:
        raise ContainerError(f"expected a seccomp action such as SCMP_ACT_ERRNO, found {name!r}")
    return _ACTIONS[name]


def _fits(
    words: Mapping[str, Any], capabilities: Collection[str], arch: str, kernel: tuple[int, int], *, empty: bool
) -> bool:
    """Whether what a rule names is so here; `empty` where it names nothing."""
    told = []
    if caps := words.get("caps"):
        told.append(set(caps) <= set(capabilities) if empty else bool(set(caps) & set(capabilities)))
    if arches := words.get("arches"):
        told.append({"x86_64": "amd64", "aarch64": "arm64"}.get(arch, arch) in arches)
    if least := words.get("minKernel"):
        major, _, minor = least.partition(".")
        told.append(kernel >= (int(major), int(minor)))
    if not told:
        return empty
    return all(told) if empty else any(told)


def _holds(rule: Rule, capabilities: Collection[str], arch: str, kernel: tuple[int, int]) -> bool:
    return (
        (not rule.needs or rule.needs in capabilities)
        and (not rule.excludes or rule.excludes not in capabilities)
        and rule.arch in ("", arch)
        and kernel >= rule.min_kernel
    )


def _rendered(rule: Rule) -> dict[str, Any]:
    action = {"action": "SCMP_ACT_ERRNO", "errnoRet": rule.errno} if rule.errno else {"action": "SCMP_ACT_ALLOW"}
    args = [_rendered_compare(compare) for compare in rule.compares]
    return {"names": rule.names.split(), **action, **({"args": args} if args else {})}


def _rendered_compare(compare: Compare) -> dict[str, Any]:
    if compare.is_ == "equal" and compare.mask != ALL_BITS:
        return {"index": compare.index, "op": "SCMP_CMP_MASKED_EQ", "value": compare.mask, "valueTwo": compare.value}
    return {"index": compare.index, "op": _OPERATORS[compare.is_], "value": compare.value}
