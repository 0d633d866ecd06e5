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


def find_mistakes(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    """What is wrong with the value, each as "expected …, found …" with the place in it. True allows all, False none."""
    if isinstance(schema, bool):
        if not schema:
            yield _placed(f"expected nothing, found {value!r}", path)
        return
    for keyword, wanted in schema.items():
        check = _CHECKS.get(keyword)
        if check is not None:
            yield from check(value, wanted, schema, path)


def _placed(mistake: str, path: str) -> str:
    return f"{mistake} at {path}" if path else mistake


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one in JSON, where 1 is 1.0 and not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return bool(one == other)


def _fails(value: Any, schema: Any) -> bool:
    return next(find_mistakes(value, schema), None) is not None


_Found = Iterator[str]
_Check = Callable[[Any, Any, Mapping[str, Any], str], _Found]


def _simple(says: Callable[[Any, Any], str | None]) -> _Check:
    """A check that needs the value and what is wanted of it only; it says None for what is right."""

    def check(value: Any, wanted: Any, _schema: Mapping[str, Any], path: str) -> _Found:
        mistake = says(value, wanted)
        if mistake is not None:
            yield _placed(mistake, path)

    return check


def _type(value: Any, wanted: Any) -> str | None:
    kinds = wanted if isinstance(wanted, list | tuple) else [wanted]
    if any(kind in _KINDS and _KINDS[kind](value) for kind in kinds):
        return None
    return f"expected {' or '.join(map(str, kinds))}, found {value!r}"


def _enum(value: Any, wanted: Any) -> str | None:
    if any(_same(value, each) for each in wanted):
        return None
    return f"expected one of {', '.join(map(repr, wanted))}, found {value!r}"


def _const(value: Any, wanted: Any) -> str | None:
    return None if _same(value, wanted) else f"expected {wanted!r}, found {value!r}"


def _bound(text: str, holds: Callable[[Any, Any], bool]) -> _Check:
    def says(value: Any, wanted: Any) -> str | None:
        is_wrong = _is_number(value) and not holds(value, wanted)
        return f"expected {text} {wanted}, found {value!r}" if is_wrong else None

    return _simple(says)


def _size(kinds: Any, text: str, holds: Callable[[int, int], bool]) -> _Check:
    def says(value: Any, wanted: Any) -> str | None:
        is_wrong = isinstance(value, kinds) and not holds(len(value), wanted)
        return f"expected {text} {wanted}, found {len(value)}" if is_wrong else None

    return _simple(says)


def _multiple(value: Any, wanted: Any) -> str | None:
    if not _is_number(value) or abs(value / wanted - round(value / wanted)) < 1e-9:
        return None
    return f"expected a multiple of {wanted}, found {value!r}"


def _pattern(value: Any, wanted: Any) -> str | None:
    if not isinstance(value, str) or re.search(wanted, value):
        return None
    return f"expected text that matches {wanted}, found {value!r}"


def _unique(value: Any, wanted: Any) -> str | None:
    if not wanted or not isinstance(value, list | tuple):
        return None
    is_twice = any(_same(each, other) for index, each in enumerate(value) for other in value[:index])
    return "expected items that differ, found one twice" if is_twice else None


def _required(value: Any, wanted: Any) -> str | None:
    missing = [name for name in wanted if name not in value] if isinstance(value, Mapping) else []
    return f"expected a value for {', '.join(map(repr, missing))}, found none" if missing else None


def _dependent(value: Any, wanted: Any) -> str | None:
    needed = [each for name, more in wanted.items() if isinstance(value, Mapping) and name in value for each in more]
    return _required(value, needed)


def _any_of(value: Any, wanted: Any) -> str | None:
    if not all(_fails(value, schema) for schema in wanted):
        return None
    return f"expected one of {len(wanted)} forms, found {value!r}, which is none of them"


def _one_of(value: Any, wanted: Any) -> str | None:
    count = sum(not _fails(value, schema) for schema in wanted)
    if count == 1:
        return None
    return f"expected exactly one of {len(wanted)} forms, found {value!r}, which is {count} of them"


def _not(value: Any, wanted: Any) -> str | None:
    return None if _fails(value, wanted) else f"expected something else, found {value!r}"


def _read_time(text: str) -> object:
    return time.fromisoformat(text.replace("Z", "+00:00"))


def _read_moment(text: str) -> object:
    if len(text) < len("2020-01-01T00:00"):
        raise ValueError(text)
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _read_date(text: str) -> object:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _read_mail(text: str) -> object:
    if "@" not in text:
        raise ValueError(text)
    return text


def _read_address(text: str, kind: str = "IPv4Address") -> object:
    import ipaddress  # hardly any param is one

    return getattr(ipaddress, kind)(text)


def _read_uuid(text: str) -> None:
    """As RFC 4122 writes it: `uuid` itself also takes braces, and hyphens anywhere."""
    from uuid import UUID

    if str(UUID(text)) != text.lower():
        raise ValueError(text)


_FORMATS: Final[Mapping[str, Callable[[str], object]]] = {
    "date": _read_date,
    "time": _read_time,
    "date-time": _read_moment,
    "email": _read_mail,
    "idn-email": _read_mail,
    "ipv4": _read_address,
    "ipv6": lambda text: _read_address(text, "IPv6Address"),
    "regex": re.compile,
    "uuid": _read_uuid,
}


def _format(value: Any, wanted: Any) -> str | None:
    read = _FORMATS.get(wanted)
    if not isinstance(value, str) or read is None:
        return None
    try:
        read(value)
    except (ValueError, re.error):
        return f"expected a {wanted}, found {value!r}"
    return None


def _items(value: Any, wanted: Any, schema: Mapping[str, Any], path: str) -> _Found:
    if isinstance(value, list | tuple):
        for index in range(len(schema.get("prefixItems", ())), len(value)):
            yield from find_mistakes(value[index], wanted, f"{path}[{index}]")


def _prefix_items(value: Any, wanted: Any, _schema: Mapping[str, Any], path: str) -> _Found:
    if isinstance(value, list | tuple):
        for index, (each, schema) in enumerate(zip(value, wanted, strict=False)):
            yield from find_mistakes(each, schema, f"{path}[{index}]")


def _contains(value: Any, wanted: Any, schema: Mapping[str, Any], path: str) -> _Found:
    if isinstance(value, list | tuple):
        count = sum(not _fails(each, wanted) for each in value)
        least, most = schema.get("minContains", 1), schema.get("maxContains", count)
        if not least <= count <= most:
            yield _placed(f"expected from {least} to {most} items of one form, found {count}", path)


def _inner(value: Mapping[str, Any], name: str, schema: Any, path: str) -> _Found:
    return find_mistakes(value[name], schema, f"{path}.{name}" if path else str(name))


def _properties(value: Any, wanted: Any, _schema: Mapping[str, Any], path: str) -> _Found:
    for name, schema in wanted.items() if isinstance(value, Mapping) else ():
        if name in value:
            yield from _inner(value, name, schema, path)


def _pattern_properties(value: Any, wanted: Any, _schema: Mapping[str, Any], path: str) -> _Found:
    for name in value if isinstance(value, Mapping) else ():
        for pattern, schema in wanted.items():
            if re.search(pattern, name):
                yield from _inner(value, name, schema, path)


def _property_names(value: Any, wanted: Any, _schema: Mapping[str, Any], path: str) -> _Found:
    for name in value if isinstance(value, Mapping) else ():
        yield from find_mistakes(name, wanted, path)


def _additional(value: Any, wanted: Any, schema: Mapping[str, Any], path: str) -> _Found:
    patterns = schema.get("patternProperties", ())
    for name in value if isinstance(value, Mapping) else ():
        if name in schema.get("properties", ()) or any(re.search(each, name) for each in patterns):
            continue
        if wanted is False:
            yield _placed(f"expected no {name!r}, found one", path)
        else:
            yield from _inner(value, name, wanted, path)


def _all_of(value: Any, wanted: Any, _schema: Mapping[str, Any], path: str) -> _Found:
    for schema in wanted:
        yield from find_mistakes(value, schema, path)


def _if(value: Any, wanted: Any, schema: Mapping[str, Any], path: str) -> _Found:
    yield from find_mistakes(value, schema.get("else" if _fails(value, wanted) else "then", True), path)


_CHECKS: Final[Mapping[str, _Check]] = {
    "type": _simple(_type),
    "enum": _simple(_enum),
    "const": _simple(_const),
    "minimum": _bound("at least", lambda value, wanted: value >= wanted),
    "maximum": _bound("at most", lambda value, wanted: value <= wanted),
    "exclusiveMinimum": _bound("more than", lambda value, wanted: value > wanted),
    "exclusiveMaximum": _bound("less than", lambda value, wanted: value < wanted),
    "multipleOf": _simple(_multiple),
    "minLength": _size(str, "a length of at least", lambda size, wanted: size >= wanted),
    "maxLength": _size(str, "a length of at most", lambda size, wanted: size <= wanted),
    "minItems": _size((list, tuple), "a number of items of at least", lambda size, wanted: size >= wanted),
    "maxItems": _size((list, tuple), "a number of items of at most", lambda size, wanted: size <= wanted),
    "uniqueItems": _simple(_unique),
    "pattern": _simple(_pattern),
    "format": _simple(_format),
    "items": _items,
    "prefixItems": _prefix_items,
    "contains": _contains,
    "minProperties": _size(Mapping, "a number of values of at least", lambda size, wanted: size >= wanted),
    "maxProperties": _size(Mapping, "a number of values of at most", lambda size, wanted: size <= wanted),
    "patternProperties": _pattern_properties,
    "propertyNames": _property_names,
    "dependentRequired": _simple(_dependent),
    "if": _if,
    "properties": _properties,
    "required": _simple(_required),
    "additionalProperties": _additional,
    "allOf": _all_of,
    "anyOf": _simple(_any_of),
    "oneOf": _simple(_one_of),
    "not": _simple(_not),
}
