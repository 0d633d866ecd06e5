"""Small things that DAG files of Airflow 2 and 3 import beside operators: settings, sessions, logs, plugins."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

__all__ = [
    "NEVER_EXPIRE",
    "TIMEZONE",
    "AirflowPlugin",
    "Configuration",
    "DagBag",
    "Session",
    "WeightRule",
    "apply_defaults",
    "conf",
    "days_ago",
    "hookimpl",
    "provide_session",
    "run_of_system_test",
    "watch_nothing",
]

NEVER_EXPIRE: Final = None
"""A key of the task state store that is kept for ever."""


class AirflowPlugin:
    """What a plugin adds. Timetables, weight strategies and macros are taken from its lists."""

    name: str = ""
    macros: ClassVar[list[Any]] = []
    timetables: ClassVar[list[Any]] = []
    priority_weight_strategies: ClassVar[list[Any]] = []
    listeners: ClassVar[list[Any]] = []
    operator_extra_links: ClassVar[list[Any]] = []
    global_operator_extra_links: ClassVar[list[Any]] = []
    flask_blueprints: ClassVar[list[Any]] = []
    fastapi_apps: ClassVar[list[Any]] = []
    appbuilder_views: ClassVar[list[Any]] = []
    appbuilder_menu_items: ClassVar[list[Any]] = []

    known: ClassVar[list[type["AirflowPlugin"]]] = []
    """Every plugin that was imported in this process."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        AirflowPlugin.known.append(cls)


class Configuration:
    """Airflow's settings as DAG files ask for them: there are none, so a fallback is what one gets."""

    def get(self, section: str, key: str, fallback: Any = None, **more: Any) -> Any:
        """The environment variable AIRFLOW__SECTION__KEY, else `fallback`."""
        import os

        return os.environ.get(f"AIRFLOW__{section.upper()}__{key.upper()}", fallback)

    def getboolean(self, section: str, key: str, fallback: bool = False, **more: Any) -> bool:
        value = self.get(section, key, fallback)
        return value if isinstance(value, bool) else str(value).lower() in ("t", "true", "1", "yes", "on")

    def getint(self, section: str, key: str, fallback: int = 0, **more: Any) -> int:
        return int(self.get(section, key, fallback))

    def getfloat(self, section: str, key: str, fallback: float = 0.0, **more: Any) -> float:
        return float(self.get(section, key, fallback))

    def has_option(self, section: str, key: str, **more: Any) -> bool:
        return self.get(section, key) is not None


conf: Final = Configuration()


class WeightRule:
    """The names of weight rules."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    ABSOLUTE = "absolute"


def days_ago(n: int, hour: int = 0, minute: int = 0, second: int = 0, microsecond: int = 0) -> datetime:
    """A time of the day, by default midnight in UTC, as many days ago."""
    today = datetime.now(UTC).replace(hour=hour, minute=minute, second=second, microsecond=microsecond)
    return today - timedelta(days=n)


def provide_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is: tasks have no session with the database, in Airflow 3 neither."""
    return function


def apply_defaults(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is: every operator takes `default_args` by itself."""
    return function


def hookimpl(function: Any = None, **arguments: Any) -> Any:
    """Marks a listener's method; listeners aren't called."""
    return function if function is not None else lambda each: each


def run_of_system_test(dag: Any) -> Callable[[], None]:
    """What the system tests of Airflow's providers end with; running it is left to Airdock."""
    return lambda: None


def watch_nothing() -> Any:
    """The task `watcher` of those system tests: nothing that a run waits for."""
    from airdock.operators.empty import EmptyOperator

    return EmptyOperator(task_id="watcher", trigger_rule="one_failed")


TIMEZONE: Final = UTC
"""The zone of dates without one."""


class Session:
    """Airflow's database session, which no task has: using it says so."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"tasks have no session with a database, so there is no {name}; use the task's context")


class DagBag:
    """Airflow's collection of a folder's DAGs; here `airdock dags list FOLDER` is."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("there is no DagBag in a DAG file: airdock dags list FOLDER loads a folder")
