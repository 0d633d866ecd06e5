"""The next runs of timetables that are their authors' code: asked elsewhere, by a thread, and remembered."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from airdock import errors
from airdock.dag.serialized import SerializedDag
from airdock.errors import AirdockError, DagError
from airdock.scheduler.timetables import Interval, RunPlan

__all__ = ["Ask", "AskedTimetables", "Pending", "ask_following", "ask_interval", "ask_runs", "is_custom"]

Ask = Callable[[str, Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]]
"""Asks the timetables of the file at this path: `dag.ask_timetable` says what questions and answers are."""

_AHEAD: Final = 10
"""How many runs of a catchup are asked for at once."""

_log = logging.getLogger(__name__)


class Pending(Exception):  # noqa: N818  nothing went wrong
    """The answer isn't there yet."""


def is_custom(timetable: Mapping[str, Any]) -> bool:
    """Whether the runs by time are what an author's code says."""
    if timetable["type"] == "asset_or_time":
        return is_custom(timetable["timetable"])
    return bool(timetable["type"] == "custom")


def ask_runs(ask: Ask, dag: SerializedDag, *, start: datetime, end: datetime) -> list[RunPlan]:
    """Every run of a backfill, by the author's code. DagError where that fails."""
    (answer,) = ask(dag.fileloc, [{"dag_id": dag.dag_id, "ask": "list_runs", **_span(start=start, end=end)}])
    found = _read(answer)
    if isinstance(found, AirdockError):
        raise found
    return found


def ask_interval(ask: Ask, dag: SerializedDag, moment: datetime) -> Interval:
    """What data a run by hand is about, by the author's code. DagError where that fails."""
    question = {"dag_id": dag.dag_id, "ask": "manual_interval", **_span(run_after=moment)}
    (answer,) = ask(dag.fileloc, [question])
    if "error" in answer:
        raise _told(answer["error"])
    try:
        start, end = answer["interval"]
        return _time(start), _time(end)
    except (KeyError, TypeError, ValueError) as error:
        raise DagError(f"its timetable gave no answer that can be read: {error!r}") from error


def ask_following(ask: Ask, dag: SerializedDag, last: Interval) -> RunPlan | None:
    """What the author's code has after the run of this interval, None for nothing. DagError where it fails."""
    bounds = {"start": last[1].astimezone(UTC).isoformat(), "end": "", "catchup": True, "count": 1}
    (answer,) = ask(dag.fileloc, [{**_question(dag, last), **bounds}])
    found = _read(answer)
    if isinstance(found, AirdockError):
        raise found
    return found[0] if found else None


class AskedTimetables:
    """`next_run` gives what is known, or asks for it; `answered` is told when more is known. Any thread may call it.

    Questions about one file that come while one is asked are asked together. What is known of a DAG is forgotten when
    it is loaded anew, a failure when it was told: whoever asks again means it.
    """

    def __init__(self, *, ask: Ask, answered: Callable[[], None]) -> None:
        self._ask, self._answered = ask, answered
        self._lock = threading.Lock()
        self._known: dict[str, tuple[SerializedDag, dict[Interval | None, RunPlan | AirdockError | None]]] = {}
        self._wanted: dict[str, tuple[SerializedDag, Interval | None]] = {}
        self._is_asking = False

    def next_run(self, dag: SerializedDag, last: Interval | None) -> RunPlan | None:
        """The run after the one with that interval. Pending; DagError where the timetable failed."""
        with self._lock:
            known_of, answers = self._known.get(dag.dag_id, (dag, {}))
            if known_of is dag and last in answers:
                found = answers[last]
                if isinstance(found, AirdockError):
                    del answers[last]
                    raise found
                return found
            self._wanted[dag.dag_id] = (dag, last)
            begins, self._is_asking = not self._is_asking, True
        if begins:
            threading.Thread(target=self._work, name="timetables", daemon=True).start()
        raise Pending

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._is_asking = False
                    return
                file = next(iter(self._wanted.values()))[0].fileloc
                asked = [each for each in self._wanted.values() if each[0].fileloc == file]
                for dag, _ in asked:
                    del self._wanted[dag.dag_id]
            answers = self._try(file, [_question(dag, last) for dag, last in asked])
            with self._lock:
                for (dag, last), answer in zip(asked, answers, strict=True):
                    self._known[dag.dag_id] = (dag, _chain(last, answer))
            self._answered()

    def _try(self, file: str, questions: Sequence[Mapping[str, Any]]) -> list[list[RunPlan] | AirdockError]:
        try:
            return [_read(each) for each in self._ask(file, questions)]
        except AirdockError as error:
            return [error] * len(questions)
        except Exception as error:
            _log.exception("the timetables of %s could not be asked", file)
            return [DagError(f"its timetable could not be asked: {error}", where=file)] * len(questions)


def _question(dag: SerializedDag, last: Interval | None) -> dict[str, Any]:
    return {
        "dag_id": dag.dag_id,
        "ask": "next_run",
        "last": None if last is None else [each.astimezone(UTC).isoformat() for each in last],
        "start": dag.start_date,
        "end": dag.end_date,
        "catchup": dag.catchup,
        "count": _AHEAD if dag.catchup else 1,  # without catchup what comes next depends on when it is asked
    }


def _read(answer: Mapping[str, Any]) -> list[RunPlan] | AirdockError:
    """The plans of an answer, which an author's code made."""
    try:
        if "error" in answer:
            return _told(answer["error"])
        return [_plan(each) for each in answer["runs"]]
    except (KeyError, TypeError, ValueError) as error:
        return DagError(f"its timetable gave no answer that can be read: {error!r}")


def _told(error: Mapping[str, Any]) -> AirdockError:
    kind = getattr(errors, str(error["error"]), DagError)
    is_ours = isinstance(kind, type) and issubclass(kind, AirdockError)
    made: AirdockError = (kind if is_ours else DagError)(error["message"], where=error["where"], hint=error["hint"])
    return made


def _span(**times: datetime) -> dict[str, str]:
    return {name: each.astimezone(UTC).isoformat() for name, each in times.items()}


def _plan(run: Mapping[str, Any]) -> RunPlan:
    start, end = run["interval"]
    return RunPlan(
        run_type=str(run["run_type"]),
        run_id=str(run["run_id"]),
        logical_date=_time(run["logical_date"]) if run["logical_date"] else None,
        interval=(_time(start), _time(end)),
        run_after=_time(run["run_after"]),
    )


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _chain(
    last: Interval | None, answer: list[RunPlan] | AirdockError
) -> dict[Interval | None, RunPlan | AirdockError | None]:
    """What follows each interval. Whether something follows the last run told isn't known."""
    if isinstance(answer, AirdockError):
        return {last: answer}
    if not answer:
        return {last: None}
    befores = [last, *(plan.interval for plan in answer)]
    return dict(zip(befores, answer, strict=False))
