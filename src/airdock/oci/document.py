"""Reading JSON documents of images: each field is taken by name and type, and what is wrong is told with its place."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from airdock.errors import ImageError

__all__ = [
    "canonical_bytes",
    "load_object",
    "take",
    "take_list",
    "take_media_type",
    "take_object",
    "take_string_map",
    "take_strings",
]

Value = TypeVar("Value")

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")


def canonical_bytes(document: Mapping[str, Any]) -> bytes:
    """The one way a document of ours is written: sorted keys, no blanks, UTF-8. Its digest depends on it."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def load_object(content: bytes | str, what: str) -> dict[str, Any]:
    """The JSON object in `content`; `ImageError` when it is none."""
    try:
        value = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # brackets in brackets without end
        raise ImageError(f"expected {what} to be JSON, found {error}") from error
    if not isinstance(value, dict):
        raise ImageError(f"expected {what} to be a JSON object, found {type(value).__name__}")
    return value


def _refuse(word: str) -> Any:
    """Python would read NaN and Infinity, which are no JSON and which others couldn't read from what we write."""
    raise ValueError(f"{word}, which is no JSON")


def take(document: Mapping[str, Any], key: str, kind: type[Value], default: Value, where: str) -> Value:
    """`document[key]` when it is of `kind`, `default` when it is absent or null."""
    value = document.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ImageError(f"expected {key!r} to be {_named(kind)}, found {value!r}", where=where)
    return value


def take_object(document: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    """An object that has to be there."""
    value = document.get(key)
    if not isinstance(value, dict):
        raise ImageError(f"expected {key!r} to be an object, found {value!r}", where=where)
    return value


def take_list(document: Mapping[str, Any], key: str, make: Callable[[Any], Value], where: str) -> tuple[Value, ...]:
    """A list, each element read by `make`; empty when absent or null."""
    return tuple(make(element) for element in take(document, key, list, [], where))


def take_strings(document: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """A list of texts; empty when absent or null."""
    values: Sequence[Any] = take(document, key, list, [], where)
    _all_strings(values, key, where)
    return tuple(values)


def take_string_map(document: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    """An object from text to text; empty when absent or null."""
    values: dict[str, Any] = take(document, key, dict, {}, where)
    _all_strings(values.values(), key, where)
    return values


def take_media_type(document: Mapping[str, Any], key: str, where: str) -> str:
    """A media type (RFC 6838); empty when absent."""
    value = take(document, key, str, "", where)
    if key in document and not _MEDIA_TYPE.fullmatch(value):
        raise ImageError(f"expected {key!r} to be a media type, found {value!r}", where=where)
    return value


def _all_strings(values: Iterable[Any], key: str, where: str) -> None:
    for value in values:
        if not isinstance(value, str):
            raise ImageError(f"expected {key!r} to hold only texts, found {value!r}", where=where)


def _named(kind: type) -> str:
    return {str: "a text", int: "a number", list: "a list", dict: "an object", bool: "true or false"}[kind]
