"""Reference 4.1: Timetable classes of authors are asked for their runs, in the process that loads their file."""

import json
from pathlib import Path
from typing import Any

import pytest

from airdock.dag.ask_timetable import main
from airdock.dag.load import load_dag_file
from airdock.errors import DagError

FILE = """
from datetime import timedelta
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from airflow.providers.standard.operators.empty import EmptyOperator

class EveryOtherDay(Timetable):
    description = "every other day"

    def __init__(self, days=2):
        self.days = days

    def serialize(self):
        return {"days": self.days}

    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(run_after.subtract(days=self.days), run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        last = last_automated_data_interval
        start = last.end if last else restriction.earliest
        if start is None or (restriction.latest and start > restriction.latest):
            return None
        return DagRunInfo.interval(start, start.add(days=self.days))

class Named(EveryOtherDay):
    def generate_run_id(self, *, run_type, run_after, data_interval, **more):
        return run_type.generate_run_id(suffix=data_interval.start.format("YYYYMMDD"))

class OddDays(CronTriggerTimetable):
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        info = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        while info.run_after.day % 2 == 0:
            info = super().next_dagrun_info(last_automated_data_interval=info.data_interval, restriction=restriction)
        return info

class Broken(Timetable):
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        return DagRunInfo.exact(1 / 0)

class Naive(Timetable):
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        return DagRunInfo.exact(restriction.earliest.naive())

for name, schedule in {
    "other": EveryOtherDay(),
    "named": Named(),
    "odd": OddDays("0 6 * * *", timezone="Europe/Berlin"),
    "both": AssetOrTimeSchedule(timetable=EveryOtherDay(3), assets=[Asset("a")]),
    "broken": Broken(),
    "naive": Naive(),
    "plain": "@daily",
}.items():
    with DAG(name, schedule=schedule):
        EmptyOperator(task_id="t")
"""

KEPT = "class Kept(Timetable):\n    def serialize(self): return {'of': timedelta(1)}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "odd.py"
    path.write_text(FILE)
    return path


def ask(file: Path, *questions: dict[str, Any]) -> list[dict[str, Any]]:
    (file.parent / "in.json").write_text(json.dumps(questions))
    paths = ["--questions", str(file.parent / "in.json"), "--output", str(file.parent / "out.json")]
    assert main([str(file), *paths]) == 0
    answers: list[dict[str, Any]] = json.loads((file.parent / "out.json").read_text())["answers"]
    return answers


def next_run(dag_id: str, **more: Any) -> dict[str, Any]:
    start = "2026-01-01T00:00:00+00:00"
    return {"dag_id": dag_id, "ask": "next_run", "last": None, "start": start, "end": "", "catchup": True, **more}


def test_what_is_serialised(file: Path) -> None:
    timetables = {each.dag_id: each.timetable for each in load_dag_file(file)}
    assert timetables["other"] == {
        "type": "custom", "classpath": timetables["other"]["classpath"], "data": {"days": 2}, "periodic": True,
        "active_runs_limit": None,
    }  # fmt: skip
    assert str(timetables["other"]["classpath"]).endswith("odd.EveryOtherDay")
    assert timetables["odd"]["type"] == "custom"
    assert (timetables["both"]["type"], timetables["both"]["timetable"]["data"]) == ("asset_or_time", {"days": 3})


def test_the_first_runs(file: Path) -> None:
    (answer,) = ask(file, next_run("other", count=2))
    assert answer["runs"] == [
        {
            "run_type": "scheduled",
            "run_id": f"scheduled__2026-01-0{day + 2}T00:00:00+00:00",
            "logical_date": f"2026-01-0{day}T00:00:00+00:00",
            "interval": [f"2026-01-0{day}T00:00:00+00:00", f"2026-01-0{day + 2}T00:00:00+00:00"],
            "run_after": f"2026-01-0{day + 2}T00:00:00+00:00",
        }
        for day in (1, 3)
    ]


def test_the_run_after_the_last(file: Path) -> None:
    last = ["2026-01-05T00:00:00+00:00", "2026-01-07T00:00:00+00:00"]
    first, none, named = ask(
        file,
        next_run("other", last=last),
        next_run("other", last=last, end="2026-01-06T00:00:00+00:00"),
        next_run("named", last=last),
    )
    assert first["runs"][0]["interval"][0] == last[1]
    assert none == {"runs": []}
    assert named["runs"][0]["run_id"] == "scheduled__20260107"


def test_one_beside_assets(file: Path) -> None:
    (answer,) = ask(file, next_run("both"))
    assert answer["runs"][0]["run_after"] == "2026-01-04T00:00:00+00:00"


def test_a_subclass_of_a_known_one(file: Path) -> None:
    runs, interval = ask(
        file,
        next_run("odd", count=2),
        {"dag_id": "odd", "ask": "manual_interval", "run_after": "2026-01-04T12:00:00+00:00"},
    )
    assert [each["run_after"] for each in runs["runs"]] == ["2026-01-01T05:00:00+00:00", "2026-01-03T05:00:00+00:00"]
    assert interval == {"interval": ["2026-01-04T12:00:00+00:00"] * 2}


def test_all_runs_of_a_backfill(file: Path) -> None:
    span = {"dag_id": "other", "ask": "list_runs", "start": "2026-01-01T00:00:00+00:00"}
    every, few = ask(file, {**span, "end": "2026-01-05T00:00:00+00:00"}, {**span, "end": "", "most": 2})
    assert [each["run_id"][:20] for each in every["runs"]] == [f"backfill__2026-01-0{day}" for day in (3, 5, 7)]
    assert len(few["runs"]) == 2


def test_a_manual_run(file: Path) -> None:
    (answer,) = ask(file, {"dag_id": "other", "ask": "manual_interval", "run_after": "2026-01-05T00:00:00+00:00"})
    assert answer == {"interval": ["2026-01-03T00:00:00+00:00", "2026-01-05T00:00:00+00:00"]}


def test_mistakes_are_told_one_by_one(file: Path) -> None:
    broken, naive, plain, missing, fine = ask(
        file, next_run("broken"), next_run("naive"), next_run("plain"), next_run("nothing"), next_run("other")
    )
    assert "timetable Broken of DAG 'broken' failed: ZeroDivisionError" in broken["error"]["message"]
    assert broken["error"]["where"].startswith(str(file))
    assert "to give times with a zone" in naive["error"]["message"]
    assert "has no timetable to ask" in plain["error"]["message"]
    assert "has no DAG 'nothing'" in missing["error"]["message"]
    assert fine["runs"]


def test_a_file_that_is_broken(file: Path) -> None:
    file.write_text("import nothing_of_this_name")
    (file.parent / "in.json").write_text("[]")
    output = file.parent / "out.json"
    assert main([str(file), "--questions", str(file.parent / "in.json"), "--output", str(output)]) == 1
    assert "No module named 'nothing_of_this_name'" in json.loads(output.read_text())["error"]["message"]


@pytest.mark.parametrize(
    ("schedule", "found"),
    [
        ('"61 * * * *"', "found '61' as the minute"),
        ('CronTriggerTimetable("0 0 * * *", timezone="Mars/Olympus")', "expected a time zone"),
        ("DeltaTriggerTimetable(timedelta(0))", "expected a schedule that moves on"),
        ("Kept()", "timetable Kept can't be used: TypeError"),
        ("DeltaTriggerTimetable(5)", "expected a timedelta or relativedelta, found int"),
        ('MultipleCronTriggerTimetable("0 0 * * *", "bad", timezone="UTC")', "expected a cron expression"),
    ],
)
def test_a_schedule_that_is_none_is_the_files_mistake(tmp_path: Path, schedule: str, found: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(
        "from datetime import timedelta\n"
        "from airflow.sdk import DAG, CronTriggerTimetable, DeltaTriggerTimetable, MultipleCronTriggerTimetable\n"
        "from airflow.providers.standard.operators.empty import EmptyOperator; "
        "from airflow.timetables.base import Timetable\n"
        f"{KEPT}with DAG('d', schedule={schedule}):\n    EmptyOperator(task_id='t')\n"
    )
    with pytest.raises(DagError, match=found) as caught:
        load_dag_file(path)
    assert caught.value.where.startswith(f"{path}:6")


def test_no_assets_are_no_schedule(tmp_path: Path) -> None:
    path = tmp_path / "none.py"
    path.write_text(
        "from airflow.sdk import DAG\n"
        "from airflow.providers.standard.operators.empty import EmptyOperator\n"
        "with DAG('d', schedule=[]):\n    EmptyOperator(task_id='t')\n"
    )
    (dag,) = load_dag_file(path)
    assert (dag.timetable, dag.asset_condition) == ({"type": "none"}, None)
