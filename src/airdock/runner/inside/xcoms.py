"""Where the values of other tasks are read."""

from . import messages

__all__ = ["RETURN_KEY", "Place", "Values"]

RETURN_KEY = "return_value"
_CHUNK = 100


class Place(object):
    """The values of one name in one run."""

    def __init__(self, channel, instance, key, dag_id=None, run_id=None, prior=False):
        self._channel = channel
        self._fields = {"key": key}
        if dag_id not in (None, instance.dag_id) or run_id not in (None, instance.run_id):
            self._fields.update(dag_id=dag_id or instance.dag_id, run_id=run_id or instance.run_id)
        if prior:
            self._fields["prior"] = True

    def pull(self, task_id, indexes, default):
        """The value of one instance, of several (a list of indexes), or with None of the task, however mapped."""
        if indexes is None:
            value = self._ask("xcom_get", task_id, map_index=-1)
            if value is not None:
                return value
            count = self._ask("xcom_count", task_id)  # a mapped task has no value of its own, but a list of them
            return Values(self, task_id, count) if count else default
        if isinstance(indexes, int):
            value = self._ask("xcom_get", task_id, map_index=indexes)
            return default if value is None else value
        return [self.pull(task_id, index, default) for index in indexes]

    def pull_all(self, task_ids, indexes, default):
        """The values of several tasks in one list, as `pull` gives them: of a mapped one all, not a list of them."""
        found = []
        for task_id in task_ids:
            for index in [indexes] if indexes is None or isinstance(indexes, int) else indexes:
                value = self.pull(task_id, index, default)
                found.extend(value if isinstance(value, Values) else [value])
        return found

    def part(self, task_id, start, stop):
        """The values at these places among those that there are, by map index."""
        return self._ask("xcom_part", task_id, start=start, stop=stop)

    def _ask(self, op, task_id, **fields):
        return self._channel.ask(op, task_id=task_id, **dict(self._fields, **fields))


class Values(messages.Listed):
    """What the instances of a mapped task put there, by map index; asked for a hundred at a time, as it is needed."""

    def __init__(self, place, task_id, count):
        self._place = place
        self._task_id = task_id
        self._count = count
        self._first = 0
        self._known = []

    def __len__(self):
        return self._count

    def __iter__(self):
        return (self[index] for index in range(self._count))

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._count))]
        if index < 0:
            index += self._count
        if not 0 <= index < self._count:
            raise IndexError("expected an index below %d, found %d" % (self._count, index))
        if not self._first <= index < self._first + len(self._known):
            self._first = index
            self._known = self._place.part(self._task_id, index, min(index + _CHUNK, self._count))
        return self._known[index - self._first]

    def __contains__(self, value):
        return any(each == value for each in self)

    def __reversed__(self):
        return reversed(list(self))

    def __eq__(self, other):
        return isinstance(other, (list, tuple, Values)) and list(self) == list(other)

    __hash__ = None

    def __repr__(self):
        return repr(list(self))
