"""Values that JSON lacks, for what a task and a trigger say to their later selves: times, spans, sets, tuples."""

__all__ = ["pack", "unpack"]

_MARK = "__airdock__"


def pack(value, name="value"):
    """The value as JSON. TypeError says where in `name` there is something that can't be carried."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        packed = {}
        for key, each in value.items():
            if not isinstance(key, str):
                raise TypeError("%s has the key %r; keys are text" % (name, key))
            packed[key] = pack(each, "%s[%r]" % (name, key))
        return {_MARK: "dict", "value": packed} if _MARK in packed else packed
    if isinstance(value, (list, tuple, set, frozenset)):
        kind = type(value).__name__
        items = [pack(each, "%s[%d]" % (name, index)) for index, each in enumerate(value)]
        return items if isinstance(value, list) else {_MARK: kind if kind in _BUILT else "tuple", "value": items}
    return _pack_other(value, name)


def _pack_other(value, name):
    names = [kind.__name__ for kind in type(value).__mro__]
    if "datetime" in names:
        return {_MARK: "datetime", "value": value.isoformat()}
    if "timedelta" in names:
        return {_MARK: "timedelta", "value": [value.days, value.seconds, value.microseconds]}
    if "date" in names:
        return {_MARK: "date", "value": value.isoformat()}
    if "time" in names:
        return {_MARK: "time", "value": value.isoformat()}
    if "PurePath" in names:
        return str(value)
    if "Enum" in names:
        return pack(value.value, name)
    if "bytes" in names:
        return {_MARK: "bytes", "value": value.decode("latin-1")}
    raise TypeError("%s is a %s, which can't be kept; give text, numbers, times, lists and dicts" % (name, names[0]))


def unpack(value):
    """What `pack` was given; its classes may be the standard library's where they were somebody's own."""
    if isinstance(value, list):
        return [unpack(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_MARK)
    if kind == "dict":
        return {key: unpack(each) for key, each in value["value"].items()}
    if kind in _BUILT:
        return _BUILT[kind](unpack(each) for each in value["value"])
    if kind == "bytes":
        return value["value"].encode("latin-1")
    if kind in ("datetime", "timedelta", "date", "time"):
        import datetime

        made = getattr(datetime, kind)
        return made(*value["value"]) if kind == "timedelta" else made.fromisoformat(value["value"])
    return {key: unpack(each) for key, each in value.items()}


_BUILT = {"tuple": tuple, "set": set, "frozenset": frozenset}
