"""By when a run has to have ended, and what is called where it hasn't: Airflow's deadline alerts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from airdock.dag.callback import AsyncCallback, Callback, SyncCallback
from airdock.dag.names import calling_place
from airdock.dag.schedules import moment_of
from airdock.errors import DagError

__all__ = [
    "AverageRuntimeDeadline",
    "BaseDeadlineReference",
    "DagRunLogicalDateDeadline",
    "DagRunQueuedAtDeadline",
    "DeadlineAlert",
    "DeadlineReference",
    "FixedDatetimeDeadline",
    "ReferenceModels",
    "VariableInterval",
    "deadline_reference",
    "deadlines_of",
    "deadlines_without_effect",
]


class BaseDeadlineReference:
    """Since when a deadline counts. There are those of `DeadlineReference`, and authors can't add others."""

    def to_json(self) -> dict[str, Any]:
        """The reference for the scheduler. DagError where an author wrote it."""
        raise _not_ours(type(self).__name__)


class DagRunLogicalDateDeadline(BaseDeadlineReference):
    """Since the run's logical date; a run that has none has no such deadline."""

    def to_json(self) -> dict[str, Any]:
        return {"type": "logical_date"}


class DagRunQueuedAtDeadline(BaseDeadlineReference):
    """Since the run was made."""

    def to_json(self) -> dict[str, Any]:
        return {"type": "queued_at"}


class FixedDatetimeDeadline(BaseDeadlineReference):
    """Since a time that is the same for every run; without a zone it is UTC. DagError for what isn't a time."""

    def __init__(self, dt: datetime) -> None:
        self._at = moment_of(dt, name="the time of FIXED_DATETIME", where=calling_place())
        if not self._at:
            raise DagError("expected the time of FIXED_DATETIME to be a datetime, found None", where=calling_place())

    def to_json(self) -> dict[str, Any]:
        return {"type": "fixed_datetime", "at": self._at}


class AverageRuntimeDeadline(BaseDeadlineReference):
    """Since the run should have ended, going by how long the DAG's last `max_runs` runs took.

    There is no such deadline while fewer than `min_runs` have ended. DagError for numbers below 1.
    """

    DEFAULT_LIMIT: ClassVar[int] = 10

    def __init__(self, max_runs: int, min_runs: int | None = None) -> None:
        self.max_runs = max_runs
        self.min_runs = max_runs if min_runs is None else min_runs
        for name, value in (("max_runs", self.max_runs), ("min_runs", self.min_runs)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DagError(
                    f"expected {name} of AVERAGE_RUNTIME to be 1 or more, found {value!r}", where=calling_place()
                )

    def to_json(self) -> dict[str, Any]:
        return {"type": "average_runtime", "max_runs": self.max_runs, "min_runs": self.min_runs}


_OURS: Final = (
    DagRunLogicalDateDeadline,
    DagRunQueuedAtDeadline,
    FixedDatetimeDeadline,
    AverageRuntimeDeadline,
)


class DeadlineReference:
    """The references that there are."""

    class TYPES:
        """When each is reckoned; here that is when the run is made."""

        DAGRUN_CREATED = (DagRunLogicalDateDeadline, FixedDatetimeDeadline, AverageRuntimeDeadline)
        DAGRUN_QUEUED = (DagRunQueuedAtDeadline,)
        DAGRUN = DAGRUN_CREATED + DAGRUN_QUEUED

    DAGRUN_LOGICAL_DATE: ClassVar[BaseDeadlineReference] = DagRunLogicalDateDeadline()
    DAGRUN_QUEUED_AT: ClassVar[BaseDeadlineReference] = DagRunQueuedAtDeadline()

    @classmethod
    def AVERAGE_RUNTIME(cls, max_runs: int = 0, min_runs: int | None = None) -> BaseDeadlineReference:  # noqa: N802  Airflow's
        """The run's making and the mean time of the last `max_runs` runs (0 is 10) that ended, whichever way."""
        return AverageRuntimeDeadline(max_runs or AverageRuntimeDeadline.DEFAULT_LIMIT, min_runs)

    @classmethod
    def FIXED_DATETIME(cls, dt: datetime) -> BaseDeadlineReference:  # noqa: N802  Airflow's
        """This time."""
        return FixedDatetimeDeadline(dt)

    @classmethod
    def register_custom_reference(cls, reference_class: type, deadline_reference_type: Any = None) -> type:
        """DagError: references of an author's own can't be reckoned here."""
        raise _not_ours(reference_class.__name__)


class ReferenceModels:
    """Where Airflow 3.1 had the base class of an author's own references."""

    BaseDeadlineReference = BaseDeadlineReference


def deadline_reference(deadline_reference_type: Any = None) -> Any:
    """DagError for the class that it decorates: references of an author's own can't be reckoned here."""
    if isinstance(deadline_reference_type, type):
        return DeadlineReference.register_custom_reference(deadline_reference_type)
    return DeadlineReference.register_custom_reference


class VariableInterval:
    """An interval that a variable has, as a whole number of seconds; it is asked for when a run is made."""

    def __init__(self, key: str) -> None:
        if not isinstance(key, str) or not key:
            raise DagError(f"expected the name of a variable, found {key!r}", where=calling_place())
        self.key = key


class DeadlineAlert:
    """`callback` is called where a run hasn't ended `interval` after `reference`. An interval may be negative.

    DagError for a part that is none.
    """

    def __init__(
        self,
        reference: BaseDeadlineReference,
        interval: timedelta | VariableInterval,
        callback: Callback,
        name: str | None = None,
    ) -> None:
        self.where = calling_place()
        if isinstance(reference, BaseDeadlineReference) and type(reference) not in _OURS:
            raise _not_ours(type(reference).__name__)
        self.reference = self._expect(reference, BaseDeadlineReference, "reference", "one of DeadlineReference")
        self.interval = self._expect(interval, (timedelta, VariableInterval), "interval", "a timedelta")
        callbacks = (AsyncCallback, SyncCallback)
        self.callback = self._expect(callback, callbacks, "callback", "an AsyncCallback or SyncCallback")
        self.name = name

    def _expect(self, value: Any, kinds: type | tuple[type, ...], name: str, expected: str) -> Any:
        if not isinstance(value, kinds):
            raise DagError(
                f"expected {name} of a DeadlineAlert to be {expected}, found {type(value).__name__} {value!r}",
                where=self.where,
            )
        return value

    def to_json(self) -> dict[str, Any]:
        """The alert for the scheduler, as in `SerializedDag.deadlines`. DagError."""
        interval = self.interval
        return {
            "name": str(self.name or ""),
            "reference": self.reference.to_json(),
            "interval": {"variable": interval.key}
            if isinstance(interval, VariableInterval)
            else {"seconds": interval.total_seconds()},
            "callback": self.callback.to_json(),
        }


def deadlines_of(given: Any, where: str) -> tuple[dict[str, Any], ...]:
    """The alerts of a DAG's `deadline`: one, several or None. DagError for what is none."""
    alerts = _listed(given)
    for each in alerts:
        if not isinstance(each, DeadlineAlert):
            raise DagError(
                f"expected deadline to be a DeadlineAlert or a list of them, found {type(each).__name__} {each!r}",
                where=where,
            )
        each.callback.find()
    return tuple(each.to_json() for each in alerts)


def deadlines_without_effect(given: Any) -> list[str]:
    """What of the alerts nothing acts on, each to be read after the name of their DAG."""
    callbacks = [each.callback for each in _listed(given) if isinstance(each, DeadlineAlert)]
    told = [
        f"{each.path} can't be imported, so its deadline calls nothing" for each in callbacks if each.find() is None
    ]
    if any(getattr(each, "executor", None) for each in callbacks):
        told.append("executor of a SyncCallback has no effect: it is called in a container beside the scheduler")
    return told


def _listed(given: Any) -> Sequence[Any]:
    if given is None:
        return ()
    return given if isinstance(given, list | tuple) else [given]


def _not_ours(name: str) -> DagError:
    return DagError(
        f"expected a reference of DeadlineReference, found {name}, of an author's own: it would be reckoned by a query "
        "to Airflow's database, and there is none here",
        where=calling_place(),
        hint="DAGRUN_LOGICAL_DATE, DAGRUN_QUEUED_AT, FIXED_DATETIME or AVERAGE_RUNTIME, with an interval",
    )
