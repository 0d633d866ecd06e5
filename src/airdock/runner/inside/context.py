"""What a running task may ask about itself, in both modes."""

from . import values

__all__ = ["Context", "DagRun", "TaskInstance", "current", "parse_time"]

RETURN_KEY = "return_value"

_UTC = "+00:00"

current = []  # the context of the task that runs, once it does


class DagRun(object):
    """The run that the task belongs to."""

    def __init__(self, dag_id, run):
        self.dag_id = dag_id
        self.run_id = run["run_id"]
        self.conf = dict(run.get("conf") or {})
        self._logical_date = run.get("logical_date")

    @property
    def logical_date(self):
        return parse_time(self._logical_date)

    def __repr__(self):
        return "<DagRun %s %s>" % (self.dag_id, self.run_id)


class TaskInstance(object):
    """The task in this run; `xcom_pull` and `xcom_push` pass values between tasks."""

    def __init__(self, key, channel):
        self.dag_id = key["dag_id"]
        self.task_id = key["task_id"]
        self.run_id = key["run_id"]
        self.map_index = key["map_index"]
        self.try_number = key["try_number"]
        self.task = None
        self.skipped = []
        self.events = []
        self.label = ""
        self._channel = channel

    def skip(self, tasks):
        """Let these tasks be skipped when this one has succeeded: ids, or pairs of an id and a map index.

        An id alone is every instance of the task. Trigger rules are not asked.
        """
        for each in (tasks,) if isinstance(tasks, str) else tasks:
            task_id, index = (each, -1) if isinstance(each, str) else each
            if [task_id, index] not in self.skipped:
                self.skipped.append([task_id, index])

    def xcom_push(self, key, value):
        """Put a value where other tasks of the run find it. The value has to be JSON."""
        values.check(value, "value", "what task %r pushes as %r" % (self.task_id, key))
        self._channel.ask("xcom_put", key=str(key), value=value)

    def xcom_pull(
        self, task_ids=None, dag_id=None, key=RETURN_KEY, include_prior_dates=False, map_indexes=None, default=None,
        run_id=None,
    ):  # fmt: skip
        """What a task of this run put there, `default` where it put nothing.

        Without `task_ids` the task's own. A list of ids gives a list. A mapped task gives the list over its instances,
        unless `map_indexes` says which.
        """
        if dag_id not in (None, self.dag_id) or include_prior_dates:
            raise NotImplementedError("xcom_pull reads the values of its own run only, yet")
        if task_ids is None:
            index = self.map_index if map_indexes is None else map_indexes
            return self._pull(self.task_id, key, index, default, run_id)
        if isinstance(task_ids, str):
            return self._pull(task_ids, key, map_indexes, default, run_id)
        return [self._pull(each, key, map_indexes, default, run_id) for each in task_ids]

    def get_value(self, task_id, key, map_index):
        """One value, or with None as index the list over all instances of a mapped task."""
        return self._channel.ask("xcom_get", task_id=task_id, key=key, map_index=map_index, run_id=None)

    def images(self):
        """The image digest of every task of the run, as far as it is known."""
        return self._channel.ask("images")

    def _pull(self, task_id, key, indexes, default, run_id):
        if run_id not in (None, self.run_id):
            raise NotImplementedError("xcom_pull reads the values of its own run only, yet")
        if isinstance(indexes, int):
            value = self.get_value(task_id, key, indexes)
        elif indexes is None:
            value = self.get_value(task_id, key, -1)
            if value is None:  # a mapped task has no value of its own, but a list of them
                value = self.get_value(task_id, key, None) or None
        else:
            return [self._pull(task_id, key, index, default, run_id) for index in indexes]
        return default if value is None else value

    def __repr__(self):
        return "<TaskInstance %s.%s %s>" % (self.dag_id, self.task_id, self.run_id)


class Context(dict):
    """Airflow's context. What costs something is made when it is asked for."""

    def __init__(self, start, channel, make_time=None):
        payload, run = start["payload"], start["run"]
        instance = TaskInstance(start["key"], channel)
        dag_run = DagRun(start["key"]["dag_id"], run)
        super(Context, self).__init__(
            ti=instance,
            task_instance=instance,
            dag_run=dag_run,
            run_id=dag_run.run_id,
            params=dict(payload.get("params") or {}, **dag_run.conf),
            task_instance_key_str="%s__%s__%s" % (instance.dag_id, instance.task_id, dag_run.run_id),
        )
        self._time = run.get("logical_date")
        self._make_time = make_time or parse_time

    def __missing__(self, name):
        if name == "images":
            value = self["ti"].images()
        elif name in _DATES and self._time:
            value = _DATES[name](self._make_time if name in _MOMENTS else parse_time, self._time)
        else:
            raise KeyError(name)
        self[name] = value
        return value

    def __contains__(self, name):
        return dict.__contains__(self, name) or name == "images" or bool(self._time and name in _DATES)

    def get(self, name, default=None):
        return self[name] if name in self else default

    def complete(self):
        """Everything but `images`, as a plain dict."""
        if self._time:
            for name in _DATES:
                self[name]
        return dict(self)

    def keywords_for(self, function, args, kwargs):
        """The keyword arguments with which to call `function`: `kwargs`, and what of the context it names."""
        names, takes_all = _parameters(function)
        given = set(names[: len(args)])
        found = dict(kwargs)
        for name in self.complete() if takes_all else names:
            if name in self and name not in found and name not in given:
                found[name] = self[name]
        return found


_MOMENTS = ("logical_date", "data_interval_start", "data_interval_end")
_DATES = {
    "logical_date": lambda make, text: make(text),
    "data_interval_start": lambda make, text: make(text),
    "data_interval_end": lambda make, text: make(text),
    "ds": lambda make, text: make(text).strftime("%Y-%m-%d"),
    "ds_nodash": lambda make, text: make(text).strftime("%Y%m%d"),
    "ts": lambda make, text: make(text).isoformat(),
    "ts_nodash": lambda make, text: make(text).strftime("%Y%m%dT%H%M%S"),
    "ts_nodash_with_tz": lambda make, text: make(text).isoformat().replace("-", "").replace(":", ""),
}


def parse_time(text):
    """A time of the channel, always UTC, as the standard library has it."""
    if not text:
        return None
    from datetime import datetime, timezone

    moment = datetime.fromisoformat(text[:-1] + _UTC if text.endswith("Z") else text)
    return moment.astimezone(timezone.utc)


def _parameters(function):
    """The names of the parameters, and whether there is a `**`. Wrappers are looked through, as `inspect` does."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None:
        return _inspected(function)
    names = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    if getattr(function, "__self__", None) is not None:
        names = names[1:]
    return names, bool(code.co_flags & 0x08)


def _inspected(function):
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a built-in that doesn't tell
        return [], False
    plain = [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return plain, any(each.kind is each.VAR_KEYWORD for each in parameters)
