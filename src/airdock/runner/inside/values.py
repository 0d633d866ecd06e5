"""Whether a value is JSON, and if not, what in it isn't and what to do."""

from . import messages

__all__ = ["NotJsonError", "check"]

_PLAIN = (str, int, float, bool, type(None))

_ADVICE = (
    # name of a class among the value's bases, what to do
    ("DataFrame", "write it to a file in /workspace and return the path, or return .to_dict('list')"),
    ("Series", "return .tolist(), or write it to a file in /workspace and return the path"),
    ("ndarray", "return .tolist(), or write it to a file in /workspace and return the path"),
    ("generic", "return .item()"),
    ("date", "return .isoformat()"),
    ("time", "return .isoformat()"),
    ("timedelta", "return .total_seconds()"),
    ("Decimal", "return str() or float() of it"),
    ("UUID", "return str() of it"),
    ("PurePath", "return str() of it"),
    ("bytes", "return .decode(), or write it to a file in /workspace and return the path"),
    ("bytearray", "return .decode(), or write it to a file in /workspace and return the path"),
    ("set", "return list() of it"),
    ("frozenset", "return list() of it"),
    ("dict_keys", "return list() of it"),
    ("dict_values", "return list() of it"),
    ("generator", "return list() of it"),
    ("map", "return list() of it"),
    ("range", "return list() of it"),
    ("Enum", "return .value"),
)


class NotJsonError(Exception):
    """A value can't be passed between tasks."""


def check(value, name, who):
    """NotJsonError unless the value is JSON: text, numbers, booleans, None, lists and dicts of them.

    `name` is what the value is called in the message, `who` begins it. Tuples count as lists, keys that are numbers as
    text.
    """
    try:
        messages.encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        path, fault = _find(value, name, 0) or (name, "can't be written as JSON: %s" % error)
        raise NotJsonError("%s isn't JSON: %s %s" % (who, path, fault)) from None


def _find(value, path, depth):
    """The first part of the value that isn't JSON, and why not."""
    if depth > 100:
        return path, "is nested too deeply, or contains itself"
    if isinstance(value, float) and value - value != 0:
        return path, "is %r, which JSON lacks; return None or text" % value
    if isinstance(value, dict):
        return _find_in_dict(value, path, depth)
    if isinstance(value, (list, tuple, messages.Listed)):
        for index, each in enumerate(value):
            found = _find(each, "%s[%d]" % (path, index), depth + 1)
            if found:
                return found
        return None
    if isinstance(value, _PLAIN):
        return None
    return path, "is %s; %s" % (_kind(value), _advice(value))


def _find_in_dict(value, path, depth):
    for key, each in value.items():
        if not isinstance(key, _PLAIN):
            return path, "has the key %r, %s; keys are text" % (key, _kind(key))
        found = _find(each, "%s[%r]" % (path, key), depth + 1)
        if found:
            return found
    return None


def _kind(value):
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else kind.__module__ + "." + kind.__qualname__
    return "a `%s`" % name


def _advice(value):
    names = [kind.__name__ for kind in type(value).__mro__]
    for name, advice in _ADVICE:
        if name in names:
            return advice
    return "return text, numbers, lists and dicts"
