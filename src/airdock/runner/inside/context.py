"""What a running task may ask about itself, in both modes."""

from .instance import DagRun, TaskInstance
from .times import parse_time
from .xcoms import RETURN_KEY

__all__ = ["RETURN_KEY", "Context", "DagRun", "TaskInstance", "current", "key_text", "parameters", "parse_time"]

current = []  # the context of the task that runs, once it does


class Context(dict):
    """Airflow's context. What costs something is made when it is asked for."""

    def __init__(self, start, channel, make_time=None):
        payload, run = start["payload"], start["run"]
        self._make_time = make_time or parse_time
        state = payload.get("instance") or {}
        log_url = (start.get("paths") or {}).get("log_url")
        self.instance = instance = TaskInstance(start["key"], channel, state, self._make_time, log_url)
        dag_run = DagRun(start["key"]["dag_id"], run, self._make_time)
        instance.dag_run = dag_run
        super(Context, self).__init__(
            ti=instance,
            task_instance=instance,
            dag_run=dag_run,
            run_id=dag_run.run_id,
            params=dict(payload.get("params") or {}, **dag_run.conf),
            task_instance_key_str=key_text(instance),
            templates_dict=None,
            map_index_template=None,
            partition_key=dag_run.partition_key,
            task_reschedule_count=instance.reschedules,
            inlets=payload.get("inlets") or [],
            outlets=payload.get("outlets") or [],
        )
        self._time = run.get("logical_date")

    def __missing__(self, name):
        if name == "images":
            value = self.instance.images()
        elif name in _DATES and self._time:
            value = _DATES[name](self)
        elif name in _LATER:
            value = _LATER[name](self)
        else:
            raise KeyError(name)
        self[name] = value
        return value

    def __contains__(self, name):
        return dict.__contains__(self, name) or name in _LATER or bool(self._time and name in _DATES)

    def get(self, name, default=None):
        return self[name] if name in self else default

    def complete(self):
        """Everything that costs no question, as a plain dict."""
        for name in _DATES if self._time else ():
            self[name]
        for name in _FREE:
            self[name]
        return dict(self)

    def moment(self, name):
        """A time of the run, as tasks of this mode know them."""
        return getattr(self["dag_run"], name)

    def previous(self, name):
        """A time of the newest successful run before this one; None where there is none."""
        if not hasattr(self, "_previous"):
            self._previous = self.instance.get_previous_dagrun("success")
        return self._previous and getattr(self._previous, name)

    def keywords_for(self, function, args, kwargs):
        """The keyword arguments with which to call `function`: `kwargs`, and what of the context it names."""
        names, takes_all = parameters(function)
        given = set(names[: len(args)])
        found = dict(kwargs)
        for name in [*names, *self.complete(), *_PREVIOUS] if takes_all else names:  # these cost one question
            if name in self and name not in found and name not in given:
                found[name] = self[name]
        return found


def key_text(instance):
    """What names a task instance in one word: the DAG, the task, the day of the run."""
    run = instance.dag_run
    day = (run._run.get("logical_date") or "")[:10].replace("-", "")
    return "__".join([instance.dag_id, instance.task_id, day or run.run_id])


def _at(context):
    """The logical date in UTC, as the standard library has it."""
    return parse_time(context._time)


def _accessor(name):
    def make(context):
        from . import accessors

        return getattr(accessors, name)(context)

    return make


_DATES = {
    "logical_date": lambda context: context.moment("logical_date"),
    "data_interval_start": lambda context: context.moment("data_interval_start"),
    "data_interval_end": lambda context: context.moment("data_interval_end"),
    "ds": lambda context: _at(context).strftime("%Y-%m-%d"),
    "ds_nodash": lambda context: _at(context).strftime("%Y%m%d"),
    "ts": lambda context: _at(context).isoformat(),
    "ts_nodash": lambda context: _at(context).strftime("%Y%m%dT%H%M%S"),
    "ts_nodash_with_tz": lambda context: _at(context).isoformat().replace("-", "").replace(":", ""),
}
_FREE = (
    "var", "conn", "macros", "inlet_events", "outlet_events", "triggering_asset_events", "partition_date",
    "task_state_store", "asset_state_store",
)  # fmt: skip
_PREVIOUS = (
    "prev_data_interval_start_success", "prev_data_interval_end_success", "prev_start_date_success",
    "prev_end_date_success",
)  # fmt: skip
_LATER = {
    "images": None,
    "var": _accessor("Variables"),
    "conn": _accessor("Connections"),
    "macros": _accessor("Macros"),
    "inlet_events": _accessor("inlet_events"),
    "outlet_events": _accessor("outlet_events"),
    "task_state_store": _accessor("task_states"),
    "asset_state_store": _accessor("AssetStates"),
    "triggering_asset_events": _accessor("triggering_events"),
    "expanded_ti_count": lambda context: context.instance.count_instances(),
    "partition_date": lambda context: context.moment("partition_date"),
    "prev_data_interval_start_success": lambda context: context.previous("data_interval_start"),
    "prev_data_interval_end_success": lambda context: context.previous("data_interval_end"),
    "prev_start_date_success": lambda context: context.previous("start_date"),
    "prev_end_date_success": lambda context: context.previous("end_date"),
}


def parameters(function):
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
