"""Airflow 3.2's names of asset partitions. They load and are kept; DAGs that are scheduled by them have no runs yet."""

from typing import Any, Final

from airdock.dag.timetables import Timetable

__all__ = ["NAMES", "PartitionTimetable", "make"]

NAMES: Final = (
    "AllowedKeyMapper", "DayWindow", "FanOutMapper", "FixedKeyMapper", "HourWindow", "IdentityMapper", "MinimumCount",
    "MonthWindow", "PartitionMapper", "ProductMapper", "QuarterWindow", "RollupMapper", "SegmentWindow",
    "StartOfDayMapper", "StartOfHourMapper", "StartOfMonthMapper", "StartOfQuarterMapper", "StartOfWeekMapper",
    "StartOfYearMapper", "WaitForAll", "WeekWindow", "Window", "YearWindow",
)  # fmt: skip


class _Names(type):
    """Has every name that a file asks its class for, such as `Window.Direction.BACKWARD`."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Names(name, (_Kept,), {"__module__": __name__})


class _Kept(metaclass=_Names):
    """Keeps the arguments that it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        given = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{type(self).__name__}({', '.join(given)})"


class PartitionTimetable(Timetable):
    """A schedule over partitions: no runs are made by it, and airdock says so when the file is loaded."""

    can_be_scheduled = False
    periodic = False
    is_by_partitions = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def to_json(self) -> dict[str, Any]:
        return {"type": "none"}


def make(name: str) -> type[Any]:
    """The class of this name."""
    return _Names(name, (_Kept,), {"__doc__": "Kept for files that name it.", "__module__": __name__})


def __getattr__(name: str) -> Any:
    if name in NAMES:
        kind = globals()[name] = make(name)
        return kind
    if name in ("CronPartitionTimetable", "PartitionedAssetTimetable", "PartitionedAtRuntime"):
        kind = globals()[name] = type(name, (PartitionTimetable,), {"__doc__": PartitionTimetable.__doc__})
        return kind
    raise AttributeError(name)
