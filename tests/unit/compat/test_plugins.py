"""Plugins beside the DAG files: their modules can be imported, and templates have their macros."""

from pathlib import Path
from typing import Any

import pytest

from airdock import compat
from airdock.compat.legacy import AirflowPlugin
from airdock.compat.plugins import find_macros
from airdock.dag.load import load_dag_file
from airdock.loading.folder import DagFolder
from airdock.runner.inside.accessors import Macros

PLUGIN = """
from airflow.plugins_manager import AirflowPlugin
from airflow.task.priority_strategy import PriorityWeightStrategy
from airflow.timetables.interval import CronDataIntervalTimetable

def shout(text):
    return text.upper()

class Seven(PriorityWeightStrategy):
    def get_weight(self, ti):
        return 7

class Weekly(CronDataIntervalTimetable):
    def __init__(self):
        super().__init__("0 0 * * 1")

class Loud(AirflowPlugin):
    name = "loud"
    macros = [shout]
    priority_weight_strategies = [Seven]
    timetables = [Weekly]
"""
DAG = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
from loud_plugin import Weekly

with DAG("d", schedule=Weekly()):
    BashOperator(task_id="t", bash_command="echo {{ macros.loud.shout('a') }}", weight_rule="loud_plugin.Seven")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(AirflowPlugin, "known", [])
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/loud_plugin.py").write_text(PLUGIN)
    (tmp_path / "plugins/broken_plugin.py").write_text("raise ValueError('no dag of airflow')")
    (tmp_path / "plugins/notes.txt").write_text("")
    (tmp_path / "pipeline.py").write_text(DAG)
    yield tmp_path
    compat.uninstall()
    for name in ("loud_plugin", "broken_plugin"):
        sys.modules.pop(name, None)


def test_their_classes_can_be_imported(folder: Path) -> None:
    (dag,) = load_dag_file(folder / "pipeline.py")
    assert (dag.timetable["type"], dag.timetable["classpath"]) == ("custom", "loud_plugin.Weekly")
    assert (dag.tasks[0].priority_weight, dag.tasks[0].weight_rule) == (7, "custom")


def test_templates_have_their_macros(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_dag_file(folder / "pipeline.py")
    assert Macros().loud.shout("a") == "A"
    assert "broken_plugin can't be imported: ValueError" in capfd.readouterr().err
    assert find_macros("quiet") is None
    with pytest.raises(AttributeError, match="there is no macro 'quiet'"):
        _ = Macros().quiet
    assert not capfd.readouterr().err, "a plugin is imported once"


def test_their_files_are_no_dag_files(folder: Path) -> None:
    assert [each.name for each in DagFolder(folder).scan()] == ["pipeline.py"]


def test_macros_can_be_imported() -> None:
    compat.install()
    from airflow.macros import ds_add  # type: ignore[import-not-found]

    assert ds_add("2026-01-31", 1) == "2026-02-01"
    compat.uninstall()
