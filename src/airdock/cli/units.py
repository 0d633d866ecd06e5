"""Sizes, durations and ages as people read and write them, with Docker's words and roundings where Docker has them."""

import re
from datetime import timedelta
from typing import Final

__all__ = ["parse_size", "render_age", "render_memory", "render_seconds", "render_short", "render_size"]

_SIZE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[kmgtp])?(?:i?b)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DECIMAL: Final = ("B", "kB", "MB", "GB", "TB", "PB")

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE


def parse_size(text: str) -> int:
    """Bytes of "512m", "1.5g", "64MiB", "1024": steps of 1024, as `docker run --memory` reads them.

    Raises ValueError.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a size such as 512m or 2g, got {text!r}")
    return int(float(match["number"]) * 1024 ** _POWERS[(match["unit"] or "").lower()])


def render_size(count: int) -> str:
    """Bytes in steps of 1000 with three digits, as `docker image ls` prints them: "117MB", "5.61MB"."""
    value, power = float(count), 0
    while value >= 1000 and power < len(_DECIMAL) - 1:
        value /= 1000
        power += 1
    return f"{value:.3g}{_DECIMAL[power]}" if value < 999.5 else f"{value:.0f}{_DECIMAL[power]}"


def render_memory(count: int) -> str:
    """Bytes of memory in MiB, which is what limits are given in: "103 MiB", "7.4 MiB"."""
    mebibytes = count / 2**20
    return f"{mebibytes:.1f} MiB" if mebibytes < 10 else f"{mebibytes:.0f} MiB"


def render_seconds(seconds: float) -> str:
    """A duration short enough for a column: "4 ms", "0.42 s", "12.3 s", "3m 05s", "2h 10m"."""
    if seconds < 0.0995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02}s"
    return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02}m"


def render_age(age: timedelta) -> str:
    """How long something has been, in Docker's words: "About a minute", "3 hours"."""
    seconds = max(int(age.total_seconds()), 0)
    minutes, hours = seconds // _MINUTE, (seconds + _HOUR // 2) // _HOUR
    days = hours // 24
    if seconds < 1:
        return "Less than a second"
    if seconds < _MINUTE:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    return f"{days // 30} months" if days < 730 else f"{days // 365} years"


def render_short(digest: str) -> str:
    """The first twelve digits of a digest, enough to name it on one machine."""
    return digest.rpartition(":")[2][:12]
