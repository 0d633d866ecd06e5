"""What templates and functions reach beside the task itself: variables, connections, macros, events of assets."""

import os
import sys

from .assets import inlet_events, outlet_events, triggering_events
from .connection import Connection
from .stores import AssetStates, task_states

__all__ = [
    "AssetStates", "Connections", "Macros", "Variables", "inlet_events", "outlet_events", "task_states",
    "triggering_events",
]  # fmt: skip

_NONE = object()


class Variables(object):
    """`var.value.name` is the text of a Variable, `var.json.name` what it means as JSON."""

    def __init__(self, context):
        self.value = _Values(context.instance, lambda text: text)
        self.json = _Values(context.instance, _parse)


class _Values(object):
    def __init__(self, instance, read):
        self._instance = instance
        self._read = read

    def get(self, name, default=_NONE):
        """The Variable, or `default`; without one KeyError where there is none."""
        text = os.environ.get("AIRFLOW_VAR_" + name.upper())
        if text is None:
            text = self._instance.get_variable(name)
        if text is not None:
            return self._read(text)
        if default is _NONE:
            raise KeyError("Variable %s does not exist" % name)
        return default

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    __getitem__ = __getattr__


def _parse(text):
    import json

    return json.loads(text)


class Connections(object):
    """`conn.my_id` is the Connection of that id."""

    def __init__(self, context):
        self._instance = context.instance

    def get(self, conn_id, default=_NONE):
        """The Connection, or `default`; without one KeyError where there is none."""
        text = os.environ.get("AIRFLOW_CONN_" + conn_id.upper())
        if text is not None:
            found = Connection.parse(conn_id, text)
            self._instance.mask(found.password)
            return found
        fields = self._instance.get_connection(conn_id)
        if fields is not None:
            return Connection(**fields)
        if default is _NONE:
            raise _missing("the conn_id `%s` isn't defined" % conn_id)
        return default

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    __getitem__ = __getattr__


def _missing(text):
    """A KeyError; beside Airdock it is Airflow's AirflowNotFoundException too."""
    known = sys.modules.get("airdock.dag.exceptions")
    kinds = (KeyError,) if known is None else (known.AirflowNotFoundException, KeyError)
    return type("AirflowNotFoundException", kinds, {})(text)


class Macros(object):
    """Functions for templates. Each module is imported when it is asked for: most tasks need none."""

    def __init__(self, context=None):
        pass

    def __getattr__(self, name):
        value = _MACROS[name]() if name in _MACROS else _plugin(name)
        if value is None:
            raise AttributeError("there is no macro %r" % name)
        setattr(self, name, value)
        return value

    @staticmethod
    def ds_add(ds, days):
        """The day that many days after `ds`, YYYY-MM-DD; before it where they are negative."""
        from datetime import datetime, timedelta

        if not days:
            return str(ds)
        return (datetime.strptime(str(ds), "%Y-%m-%d") + timedelta(days)).strftime("%Y-%m-%d")

    @staticmethod
    def ds_format(ds, input_format, output_format):
        """A time written in one format of strptime(3), in another."""
        from datetime import datetime

        return datetime.strptime(str(ds), input_format).strftime(output_format)

    @staticmethod
    def ds_format_locale(ds, input_format, output_format, locale=None):
        """As `ds_format`, but the output is a pattern of Babel, with names in the language of `locale`."""
        from datetime import datetime

        Locale = _brought("babel", "Babel").Locale  # noqa: N806  the class itself
        from babel.dates import LC_TIME, format_datetime

        language = Locale.parse(locale) if locale else LC_TIME
        return format_datetime(datetime.strptime(str(ds), input_format), format=output_format, locale=language)

    @staticmethod
    def datetime_diff_for_humans(dt, since=None):
        """How long ago the time is, or how far from `since`, in words."""
        import pendulum

        moment = pendulum.instance(dt)
        return moment.diff_for_humans() if since is None else moment.diff_for_humans(pendulum.instance(since))


def _of(module, name=None):
    def find():
        from importlib import import_module

        found = import_module(module)
        return getattr(found, name) if name else found

    return find


def _brought(module, package):
    """A module that Airflow has among its packages, and Airdock in its extra."""
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        text = "this macro needs %s, which isn't here: pip install 'airdock[airflow]'" % package
        raise ModuleNotFoundError(text, name=module) from None


def _plugin(name):
    """The macros of a plugin, where the task runs beside Airdock."""
    import sys

    if name.startswith("_") or "airdock.compat" not in sys.modules:
        return None
    from importlib import import_module

    return import_module("airdock.compat.plugins").find_macros(name)


_MACROS = {
    "datetime": _of("datetime", "datetime"),
    "timedelta": _of("datetime", "timedelta"),
    "dateutil": _of("dateutil"),
    "json": _of("json"),
    "random": _of("random", "random"),
    "time": _of("time"),
    "uuid": _of("uuid"),
    "yaml": lambda: _brought("yaml", "PyYAML"),
}
