"""Flags of instructions (`--name`, `--name=value`), and the small formats that their values have."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final

from airdock.errors import DockerfileError

__all__ = ["FlagValue", "nearest", "parse_device", "parse_duration", "parse_flags"]

FlagValue = str | bool | tuple[str, ...]

_DURATION: Final = re.compile(r"([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


def nearest(name: str, known: Iterable[str]) -> str:
    """The hint "did you mean …?" where a known name is close, else ""."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    import difflib  # only for a mistake; costs every build a millisecond

    close = difflib.get_close_matches(name.lower()[:100], by_folded, n=1)
    return f"did you mean {by_folded[close[0]]}?" if close else ""


def parse_flags(flags: Sequence[str], kinds: Mapping[str, type]) -> dict[str, FlagValue]:
    """The flags that were given, by name. `kinds` maps each known name to `str`, `bool`, or `list` (repeatable).

    Raises `DockerfileError` for a flag that is unknown, given twice, without a value, or not a boolean.
    """
    found: dict[str, FlagValue] = {}
    for flag in flags:
        if flag == "--":
            break
        name, equals, value = flag.removeprefix("--").partition("=")
        kind = kinds.get(name)
        if kind is None:
            raise DockerfileError(
                f"unknown flag: --{name}", hint=nearest(f"--{name}", (f"--{known}" for known in kinds))
            )
        if kind is not list and name in found:
            raise DockerfileError(f"expected the flag --{name} once, found it twice")
        if kind is bool:
            found[name] = _parse_boolean(name, value if equals else "true")
            continue
        if not equals:
            raise DockerfileError(f"expected a value for the flag: --{name}=…")
        earlier = found.get(name, ())
        found[name] = (*earlier, value) if kind is list and isinstance(earlier, tuple) else value
    return found


def _parse_boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise DockerfileError(f"expected true or false for the flag --{name}, found {value!r}")
    return value.lower() == "true"


def parse_duration(text: str, *, name: str = "duration") -> int:
    """A duration such as `1m30s` in nanoseconds; 0, or at least a millisecond. Go's notation."""
    if text in ("0", "+0", "-0"):
        return 0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise DockerfileError(f"expected {name} to be a duration such as 30s or 1m30s, found {text!r}")
    parts = _DURATION_PART.findall(text)
    total = int(sum(Fraction(number + "0" if "." in number else number) * _NANOSECONDS[unit] for number, unit in parts))
    if match[1] == "-":
        total = -total
    if total < 0 or 0 < total < 1_000_000:
        raise DockerfileError(f"{name} {text!r} cannot be less than 1ms")
    if total >= 1 << 63:
        raise DockerfileError(f"expected {name} to be below 292 years, found {text!r}")
    return total


def parse_device(text: str) -> tuple[str, bool]:
    """The value of `RUN --device`: the device's name, and whether it must be there."""
    name = ""
    required = False
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if key == "required":
            required = _parse_boolean("device required", value if equals else "true")
            continue
        # A device's own name holds an equals sign too (vendor/class=device); only `name=` is a key.
        given = value if key == "name" and equals else part
        if name:
            raise DockerfileError(f"device name already set to {name}")
        name = given
    if not name:
        raise DockerfileError(f"expected the name of a device, found {text!r}")
    return name, required
