"""Folders of the machine that tasks see, for every kind of account and image."""

from collections.abc import Callable
from typing import Any

FILE = """
import os
from airflow.sdk import DAG, task

at_load = open("{folder}/in/given").read()

with DAG("folders"):
    def look(folder, loaded):
        assert loaded == open(folder + "/in/given").read() == "given"
        try:
            open(folder + "/in/made", "w")
        except OSError as error:
            print("READ-ONLY", error.errno)
        assert not os.path.exists(folder + "/other")
        with open(folder + "/out/made", "a") as file:
            file.write("x")

    task(task_id="host")(look)("{folder}", at_load) >> task(task_id="own", requirements=[])(look)("{folder}", at_load)
"""


def test_tasks_see_the_folders_that_the_settings_name(account: Any, unchanged_machine: Callable[[], None]) -> None:
    folder = account.home / "folders"
    for name in ("in", "out", "other", "dags"):
        account.run("mkdir", "-p", str(folder / name))
    account.run("sh", "-c", f"printf given > {folder}/in/given")
    account.run("sh", "-c", f"cat > {folder}/dags/folders_dag.py", input=FILE.format(folder=folder))
    try:
        ran = account.airdock(
            "run",
            str(folder / "dags" / "folders_dag.py"),
            "--json",
            env={"AIRDOCK__ISOLATION__FOLDERS": f"{folder}/in,{folder}/out:rw"},
            timeout_s=200,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert (folder / "out" / "made").read_text() == "xx"
        assert not (folder / "in" / "made").exists()
    finally:
        account.run("rm", "-r", str(folder))


def test_a_folder_that_can_not_be_shown_is_said(account: Any) -> None:
    ran = account.airdock("run", "/nothing.py", env={"AIRDOCK__ISOLATION__FOLDERS": "/nowhere"})
    assert ran.returncode != 0
    assert "expected folders of this machine, found '/nowhere'" in ran.stderr
    assert "/data" in ran.stderr
