"""Airflow's classes that ask for variables and connections, for a function that runs away from its file."""

from . import context

__all__ = ["BaseHook", "Connection", "Variable"]

_NONE = object()


class Variable(object):
    """Airflow's Variables."""

    @staticmethod
    def get(key, default=_NONE, deserialize_json=False, default_var=_NONE):
        """The value; `default` where there is none, else KeyError."""
        values = _context()["var"]
        found = values.json if deserialize_json else values.value
        fallback = default if default is not _NONE else default_var
        return found.get(key) if fallback is _NONE else found.get(key, fallback)

    @staticmethod
    def set(key, value, description=None, serialize_json=False):
        """Keep a value."""
        if serialize_json:
            import json

            value = json.dumps(value)
        _context()["ti"].set_variable(key, str(value), description)

    @staticmethod
    def delete(key):
        """Forget a value."""
        _context()["ti"].delete_variable(key)


class _Connections(object):
    """What is named Connection: makes connections, and `get` asks for one."""

    def __call__(self, *args, **kwargs):
        from .connection import Connection

        return Connection(*args, **kwargs)

    def get(self, conn_id):
        """The Connection of that id. KeyError."""
        return _context()["conn"].get(conn_id)


class BaseHook(object):
    """What reaches another service by a connection."""

    @classmethod
    def get_connection(cls, conn_id):
        """The Connection of that id. KeyError."""
        return _context()["conn"].get(conn_id)


Connection = _Connections()


def _context():
    if not context.current:
        raise RuntimeError("variables and connections are asked for by running tasks only")
    return context.current[-1]
