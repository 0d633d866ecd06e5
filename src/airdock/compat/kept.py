"""Names that DAG files import for what Airdock has no use for, or not yet: they load, and keep what they get.

What can be called without harm is; what would have to do something says that it can't.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, NamedTuple

from airdock.dag.stored import BaseHook

__all__ = [
    "AIRFLOW_VERSION",
    "NEW_SESSION",
    "NOTSET",
    "BaseOperatorLink",
    "DagModel",
    "Executor",
    "File",
    "Kept",
    "OnFinishAction",
    "ParsingContext",
    "Pool",
    "ServiceHook",
    "Stats",
    "create_session",
    "get_parsing_context",
    "mask_secret",
]

AIRFLOW_VERSION: Final = "3.3.2"
"""The version of Airflow whose names and semantics these are."""
NEW_SESSION: Final = None
"""No session: there is none to be made."""
NOTSET: Final[Any] = object()
"""No value given."""


class Kept:
    """Keeps the arguments that it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        given = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{type(self).__name__}({', '.join(given)})"


class BaseOperatorLink(Kept):
    """A link on a task's page; there are none."""

    name: ClassVar[str] = ""


class Executor(Kept):
    """An executor's class, which Airflow 2 let a DAG name. A task names its executor by `executor=`."""


class File(Kept):
    """A file as inlet or outlet of Airflow 2, without events."""


class _Any(type):
    """Has every name that a file asks its class for, each a maker of something kept."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return Kept


class OnFinishAction(Kept, metaclass=_Any):
    """What becomes of a pod at its end."""


class ServiceHook(BaseHook):
    """The hook of a service whose library isn't Airdock's to bring."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.args, self.kwargs = args, kwargs

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImplementedError(
            f"hooks of providers aren't here, so there is no {name}; use the service's own library"
        )


class _Table(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"tasks don't reach the database, so there is no {cls.__name__}.{name}")


class Pool(metaclass=_Table):
    """A table of Airflow's database: `airdock pools` shows them."""


class DagModel(metaclass=_Table):
    """A table of Airflow's database: `airdock dags list` shows it."""


class Stats:
    """Figures that Airflow sends to a statistics server; none are sent."""

    @staticmethod
    def incr(stat: str, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    decr = gauge = timing = incr

    @staticmethod
    def timer(stat: str = "", *args: Any, **kwargs: Any) -> Any:
        """A block that isn't timed."""
        return contextlib.nullcontext()


class ParsingContext(NamedTuple):
    """Which DAG and task a file is parsed for; none in particular."""

    dag_id: str | None = None
    task_id: str | None = None


def get_parsing_context() -> ParsingContext:
    """Every DAG of the file is wanted, always."""
    return ParsingContext()


def mask_secret(secret: Any, name: str | None = None) -> None:
    """Let the text be shown as *** in the log of the task that runs; nothing while a file is loaded."""
    from airdock.dag.context import get_current_context, is_running

    if is_running() and secret:
        get_current_context()["ti"].mask(str(secret))


@contextlib.contextmanager
def _no_session() -> Iterator[Any]:
    raise RuntimeError("tasks have no session with a database; use the task's context")
    yield


create_session: Final[Callable[[], Any]] = _no_session
