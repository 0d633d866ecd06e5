"""Which images a `--filter` means: `key=value`, with Docker's keys; values of one key are alternatives.

dangling=true|false     without a name, or with one
label=KEY[=VALUE]       `label!=` for those without it
before=IMAGE            made here before that image, `since=IMAGE` after it
reference=PATTERN       by name, with shell patterns
until=TIME              made here before a time (prune): a date, seconds since the epoch, or an age such as 24h
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from airdock.errors import ImageError
from airdock.images.image import ImageRow
from airdock.images.store import ImageStore
from airdock.oci.pattern import matches_pattern

__all__ = ["FILTERS", "PRUNE_FILTERS", "Filter", "make_filter", "matches_name", "parse_filters", "parse_until"]

Filter = Callable[[ImageRow], bool]

FILTERS: Final = ("dangling", "label", "before", "since", "reference", "until")
PRUNE_FILTERS: Final = ("label", "until")

_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TRUE: Final = {"true": True, "1": True, "false": False, "0": False}


def parse_filters(texts: Iterable[str], known: Sequence[str]) -> dict[str, list[str]]:
    """Filters by key; `label!=` is a key of its own. Raises `ImageError` for a key that isn't among `known`."""
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().lower()
        if not equals or key.removesuffix("!") not in known or (key.endswith("!") and key != "label!"):
            raise ImageError(f"expected a filter KEY=VALUE, found {text!r}", hint=f"the keys are: {', '.join(known)}")
        found.setdefault(key, []).append(value.strip())
    return found


def make_filter(store: ImageStore, filters: Mapping[str, Sequence[str]], *, now: datetime) -> Filter:
    """Whether a row passes all filters. Raises `ImageError` for a value that can't be, and for an unknown image."""
    checks: list[Filter] = []
    for key, values in filters.items():
        if key == "dangling":
            wanted = {_parse_bool(value) for value in values}
            checks.append(lambda row, wanted=wanted: row.is_dangling in wanted)  # type: ignore[misc]
        elif key == "label":
            checks += [_label(value) for value in values]
        elif key == "label!":
            checks += [_without(_label(value)) for value in values]
        elif key in ("before", "since"):
            checks.append(_beside(store, key, values[-1]))
        elif key == "reference":
            checks.append(_named(values))
        else:
            checks.append(_until(parse_until(values[-1], now)))
    return lambda row: all(check(row) for check in checks)


def matches_name(row: ImageRow, wanted: str) -> bool:
    """Whether `image ls WANTED` lists the row: a repository, a name with its tag, or a pattern of either."""
    return bool(row.repository) and (
        matches_pattern(wanted, row.repository) or matches_pattern(wanted, row.name) or _short(wanted, row)
    )


def parse_until(text: str, now: datetime) -> datetime:
    """The time of a date, of seconds since the epoch, or of so long ago ("24h", "1h30m", "10d")."""
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        parts = _AGE.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return now - timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.astimezone()
    except (ValueError, OverflowError) as error:
        raise ImageError(
            f"expected a time, found {text!r}", hint="write an age such as 24h or 10d, or a date such as 2026-01-31"
        ) from error


def _parse_bool(text: str) -> bool:
    if text.lower() not in _TRUE:
        raise ImageError(f"expected dangling=true or dangling=false, found dangling={text}")
    return _TRUE[text.lower()]


def _label(text: str) -> Filter:
    key, equals, value = text.partition("=")
    return lambda row: key in row.labels and (not equals or row.labels[key] == value)


def _without(check: Filter) -> Filter:
    return lambda row: not check(row)


def _beside(store: ImageStore, side: str, name: str) -> Filter:
    digest = store.entry(name).digest
    created = next((row.created for row in store.list() if row.digest == digest), None)
    if created is None:
        raise ImageError(f"expected an image that is listed, found {name!r}")
    if side == "before":
        return lambda row: row.created < created
    return lambda row: row.created > created


def _named(patterns: Sequence[str]) -> Filter:
    return lambda row: any(matches_name(row, pattern) for pattern in patterns)


def _until(time: datetime) -> Filter:
    return lambda row: row.created < time


def _short(wanted: str, row: ImageRow) -> bool:
    """Docker's own names may be written whole."""
    for prefix in ("docker.io/library/", "docker.io/"):
        if wanted.startswith(prefix):
            return matches_name(row, wanted.removeprefix(prefix))
    return False
