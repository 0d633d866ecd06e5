"""Asks the timetables of a DAG file that their authors wrote for their runs.

`python -m airdock.dag.ask_timetable FILE --questions IN.json --output OUT.json [--root FOLDER]` runs in a
container of its own, as loading does. IN.json is a list of questions, each about one DAG of the file:

    {"dag_id", "ask": "next_run", "last": [ISO, ISO] | null, "start": ISO | "", "end": ISO | "", "catchup", "count"?}
    {"dag_id", "ask": "list_runs", "start": ISO, "end": ISO, "most"?}
    {"dag_id", "ask": "manual_interval", "run_after": ISO}

`last` is the interval of the newest run that the schedule asked for, `start` and `end` are the DAG's dates; as many
runs as `count` says (1) are told ahead, each as if the one before had been made. OUT.json is `{"answers": […], "error":
null}` with an answer for each question in their order, or no answers and the error as AirdockError.to_dict() gives it
where the file can't be imported. An answer is one of

    {"runs": [{"run_type", "run_id", "logical_date", "interval": [ISO, ISO] | null, "run_after"}, …]}
    {"interval": [ISO, ISO]}
    {"error": AirdockError.to_dict()}

Fewer runs than asked for say that there are no more. What a timetable asks the clock, it asks the container's.
"""

import importlib
import json
import os
import sys
import traceback
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from airdock.dag.dag import DAG
from airdock.dag.importing import add_import_folder, find_dag, import_dag_file
from airdock.dag.load import what_was_given
from airdock.dag.states import DagRunType
from airdock.dag.timetables import AssetOrTimeSchedule, DagRunInfo, DataInterval, TimeRestriction, Timetable
from airdock.errors import AirdockError, DagError, DagFileError
from airdock.files import save_json

__all__ = ["answer", "main"]

_COMPAT: Final = "airdock.compat"
_MOST: Final = 1000


def answer(dag: DAG, question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one question. DagError for what the author's code raised, or gave that is no answer."""
    timetable = _timetable(dag)
    try:
        match question["ask"]:
            case "next_run":
                return {"runs": list(_next_runs(timetable, question))}
            case "list_runs":
                return {"runs": list(_all_runs(timetable, question))}
            case "manual_interval":
                given = timetable.infer_manual_data_interval(run_after=_read(question["run_after"]))
                return {"interval": [_write(given.start), _write(given.end)]}
    except AirdockError:
        raise
    except Exception as error:  # the author's code may raise anything
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}"
        kind = type(timetable).__name__
        raise DagError(f"timetable {kind} of DAG {dag.dag_id!r} failed: {type(error).__name__}: {error}",
                       where=place) from error  # fmt: skip
    raise DagError(f"expected next_run, list_runs or manual_interval to be asked, found {question['ask']!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 when the file couldn't be imported."""
    parser = ArgumentParser(prog="python -m airdock.dag.ask_timetable")
    parser.add_argument("file", type=Path)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    options = parser.parse_args(arguments)
    if options.root is not None:
        add_import_folder(str(options.root))
    result: dict[str, Any] = {"answers": [], "error": None}
    try:
        questions = json.loads(options.questions.read_bytes())
        with what_was_given():
            dags = _import(options.file)
            result["answers"] = [_tried(dags, each, str(options.file)) for each in questions]
    except AirdockError as error:
        result["error"] = error.to_dict()
    save_json(options.output, result, durable=False)
    return 1 if result["error"] else 0


def _import(file: Path) -> list[DAG]:
    importlib.import_module(_COMPAT).install()
    try:
        return import_dag_file(str(file.absolute()))[1]
    except AirdockError:
        raise
    except (Exception, SystemExit) as error:
        raise DagFileError(f"{file.name} can't be loaded: {type(error).__name__}: {error}", where=str(file)) from error


def _tried(dags: list[DAG], question: Mapping[str, Any], file: str) -> dict[str, Any]:
    try:
        return answer(find_dag(dags, question["dag_id"], file), question)
    except AirdockError as error:
        return {"error": error.to_dict()}


def _timetable(dag: DAG) -> Timetable:
    schedule = dag.schedule
    if isinstance(schedule, AssetOrTimeSchedule):
        schedule = schedule.timetable
    if not isinstance(schedule, Timetable):
        raise DagError(f"DAG {dag.dag_id!r} has no timetable to ask", where=dag.where)
    return schedule


def _next_runs(timetable: Timetable, question: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    restriction = _restriction(question, catchup=bool(question.get("catchup")))
    last = question.get("last")
    interval = DataInterval(_read(last[0]), _read(last[1])) if last else None
    for _ in range(int(question.get("count") or 1)):
        info = timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)
        if info is None:
            return
        yield _run(timetable, info, DagRunType.SCHEDULED)
        if info.data_interval is None or info.data_interval == interval:
            return
        interval = info.data_interval


def _all_runs(timetable: Timetable, question: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every run with a logical date from start to end."""
    restriction = _restriction(question, catchup=True)
    interval: DataInterval | None = None
    for _ in range(int(question.get("most") or _MOST)):
        info = timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)
        if info is None or info.data_interval is None or info.data_interval == interval:
            return
        interval = info.data_interval
        if restriction.latest is not None and interval.start > restriction.latest:
            return
        yield _run(timetable, info, DagRunType.BACKFILL_JOB)


def _restriction(question: Mapping[str, Any], *, catchup: bool) -> TimeRestriction:
    earliest, latest = (_read(question[name]) if question.get(name) else None for name in ("start", "end"))
    return TimeRestriction(earliest, latest, catchup)


def _run(timetable: Timetable, info: DagRunInfo, kind: DagRunType) -> dict[str, Any]:
    interval = info.data_interval
    return {
        "run_type": str(kind),
        "run_id": str(
            timetable.generate_run_id(run_type=kind, run_after=_moment(info.run_after), data_interval=interval)
        ),
        "logical_date": _write(info.logical_date) if info.logical_date is not None else None,
        "interval": [_write(interval.start), _write(interval.end)] if interval is not None else None,
        "run_after": _write(info.run_after),
    }


def _read(text: str) -> datetime:
    """Pendulum's class, as authors expect it."""
    return _moment(datetime.fromisoformat(text))


def _moment(value: datetime) -> datetime:
    import pendulum  # most of what imports this folder has no use for it

    return pendulum.instance(value.astimezone(UTC))


def _write(value: Any) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise DagError(f"expected a timetable to give times with a zone, found {value!r}")
    return value.astimezone(UTC).isoformat()


if __name__ == "__main__":
    os.dup2(2, 1)  # what the file and the programs that it starts print is for people, not for OUT.json's reader
    sys.exit(main())
