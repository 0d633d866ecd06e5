"""Which values an instance of a mapped task gets."""

__all__ = ["Made", "choose", "items"]


def choose(expanded, map_index):
    """The value of each keyword for one instance: the cross product, in which the last keyword varies fastest.

    A dict stands for the list of its (key, value) pairs. IndexError where there is no such instance.
    """
    for name, each in expanded.items():
        if isinstance(each, (str, bytes)) or not (hasattr(each, "__len__") and hasattr(each, "__getitem__")):
            raise TypeError("expected %r to expand over a list or a dict, found %s" % (name, type(each).__name__))
    chosen = {}
    rest = map_index
    for name in reversed(list(expanded)):
        candidates = expanded[name]
        if not candidates:
            raise IndexError("%r has nothing to expand over" % name)
        rest, index = divmod(rest, len(candidates))
        if isinstance(candidates, dict):
            key = list(candidates)[index]
            chosen[name] = (key, candidates[key])
        else:
            chosen[name] = candidates[index]
    if rest or map_index < 0:
        raise IndexError("there is no instance with map index %d" % map_index)
    return chosen


def items(value):
    """What a task returned as the items that there are to expand over."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, (str, bytes)) or not (hasattr(value, "__len__") and hasattr(value, "__getitem__")):
        raise TypeError("expected a list or a dict to expand over, found %s" % type(value).__name__)
    return value


class Made(object):
    """Items that are made when they are looked at: an instance needs only its own."""

    def __init__(self, count, make):
        self._count = count
        self._make = make

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        if not 0 <= index < self._count:
            raise IndexError("expected an index below %d, found %d" % (self._count, index))
        return self._make(index)
