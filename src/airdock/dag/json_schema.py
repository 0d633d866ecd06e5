"""Whether a value is as a JSON Schema says (draft 2020-12, the keywords that parameters use; others say nothing).

Small on purpose: it runs in every task that has parameters with a schema, where a whole validator is long to import.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any, Final

__all__ = ["find_mistakes"]

_KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "number": lambda value: _is_number(value),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
}


def find_mistakes(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """What is wrong with the value, each as "expected …, found …" with the place in it."""
    where = f" at {path}" if path else ""
    for keyword, wanted in schema.items():
        check = _CHECKS.get(keyword)
        if check is not None:
            for mistake in check(value, wanted, schema, path):
                yield mistake if " at " in mistake and path in mistake else f"{mistake}{where}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fails(value: Any, schema: Mapping[str, Any]) -> bool:
    return next(find_mistakes(value, schema), None) is not None


_Found = Iterator[str]


def _type(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    kinds = wanted if isinstance(wanted, list | tuple) else [wanted]
    if not any(kind in _KINDS and _KINDS[kind](value) for kind in kinds):
        yield f"expected {' or '.join(map(str, kinds))}, found {value!r}"


def _enum(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in wanted):
        yield f"expected one of {', '.join(map(repr, wanted))}, found {value!r}"


def _const(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    if value != wanted:
        yield f"expected {wanted!r}, found {value!r}"


def _bound(says: str, holds: Callable[[Any, Any], bool]) -> Any:
    def check(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
        if _is_number(value) and not holds(value, wanted):
            yield f"expected {says} {wanted}, found {value!r}"

    return check


def _size(kinds: Any, says: str, holds: Callable[[int, int], bool]) -> Any:
    def check(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
        if isinstance(value, kinds) and not holds(len(value), wanted):
            yield f"expected {says} {wanted}, found {len(value)}"

    return check


def _multiple(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    if _is_number(value) and abs(value / wanted - round(value / wanted)) > 1e-9:
        yield f"expected a multiple of {wanted}, found {value!r}"


def _pattern(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    if isinstance(value, str) and re.search(wanted, value) is None:
        yield f"expected text that matches {wanted}, found {value!r}"


def _read_time(text: str) -> object:
    return time.fromisoformat(text.replace("Z", "+00:00"))


def _read_moment(text: str) -> object:
    if len(text) < len("2020-01-01T00:00"):
        raise ValueError(text)
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


_FORMATS: Final[Mapping[str, Callable[[str], object]]] = {
    "date": date.fromisoformat,
    "time": _read_time,
    "date-time": _read_moment,
}


def _format(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    read = _FORMATS.get(wanted)
    if isinstance(value, str) and read is not None:
        try:
            read(value)
        except ValueError:
            yield f"expected a {wanted}, found {value!r}"


def _items(value: Any, wanted: Any, _schema: Mapping[str, Any], path: str) -> _Found:
    if isinstance(value, list | tuple) and isinstance(wanted, Mapping):
        for index, each in enumerate(value):
            yield from find_mistakes(each, wanted, f"{path}[{index}]")


def _unique(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    if wanted and isinstance(value, list | tuple) and any(each in value[:index] for index, each in enumerate(value)):
        yield "expected items that differ, found one twice"


def _properties(value: Any, wanted: Any, _schema: Mapping[str, Any], path: str) -> _Found:
    if isinstance(value, Mapping):
        for name, schema in wanted.items():
            if name in value:
                yield from find_mistakes(value[name], schema, f"{path}.{name}" if path else str(name))


def _required(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    if isinstance(value, Mapping):
        for name in wanted:
            if name not in value:
                yield f"expected a value for {name!r}, found none"


def _additional(value: Any, wanted: Any, schema: Mapping[str, Any], path: str) -> _Found:
    if not isinstance(value, Mapping) or wanted is True:
        return
    for name in [each for each in value if each not in schema.get("properties", {})]:
        if wanted is False:
            yield f"expected no {name!r}, found one"
        else:
            yield from find_mistakes(value[name], wanted, f"{path}.{name}" if path else str(name))


def _all_of(value: Any, wanted: Any, _schema: Mapping[str, Any], path: str) -> _Found:
    for schema in wanted:
        yield from find_mistakes(value, schema, path)


def _any_of(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    if all(_fails(value, schema) for schema in wanted):
        yield f"expected one of {len(wanted)} forms, found {value!r}, which is none of them"


def _one_of(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    count = sum(not _fails(value, schema) for schema in wanted)
    if count != 1:
        yield f"expected exactly one of {len(wanted)} forms, found {value!r}, which is {count} of them"


def _not(value: Any, wanted: Any, _schema: Mapping[str, Any], _path: str) -> _Found:
    if not _fails(value, wanted):
        yield f"expected something else, found {value!r}"


_CHECKS: Final[Mapping[str, Callable[[Any, Any, Mapping[str, Any], str], _Found]]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "minimum": _bound("at least", lambda value, wanted: value >= wanted),
    "maximum": _bound("at most", lambda value, wanted: value <= wanted),
    "exclusiveMinimum": _bound("more than", lambda value, wanted: value > wanted),
    "exclusiveMaximum": _bound("less than", lambda value, wanted: value < wanted),
    "multipleOf": _multiple,
    "minLength": _size(str, "a length of at least", lambda size, wanted: size >= wanted),
    "maxLength": _size(str, "a length of at most", lambda size, wanted: size <= wanted),
    "minItems": _size((list, tuple), "a number of items of at least", lambda size, wanted: size >= wanted),
    "maxItems": _size((list, tuple), "a number of items of at most", lambda size, wanted: size <= wanted),
    "uniqueItems": _unique,
    "pattern": _pattern,
    "format": _format,
    "items": _items,
    "properties": _properties,
    "required": _required,
    "additionalProperties": _additional,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
}
