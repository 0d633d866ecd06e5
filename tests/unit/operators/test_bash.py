"""BashOperator, beside Airdock and as a container's only program."""

import os
import time
from pathlib import Path
from threading import Thread

import pytest

from airdock.dag.exceptions import AirflowException, AirflowSkipException
from airdock.errors import DagError
from airdock.operators.bash import BashOperator
from airdock.sdk import DAG


def make(command: str, **arguments: object) -> BashOperator:
    with DAG("d"):
        made: BashOperator = BashOperator(task_id="bash", bash_command=command, **arguments)
    return made


def test_the_last_line_is_the_result_and_all_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert make("echo one; echo two >&2; echo three").execute({}) == "three"
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_the_result_goes_through_the_output_processor() -> None:
    assert make("echo 1,2", output_processor=lambda text: text.split(",")).execute({}) == ["1", "2"]


def test_exit_codes_decide() -> None:
    with pytest.raises(AirflowSkipException, match="exit code 99"):
        make("exit 99").execute({})
    with pytest.raises(AirflowException, match="non-zero exit code 99"):
        make("exit 99", skip_on_exit_code=None).execute({})
    with pytest.raises(AirflowSkipException):
        make("exit 4", skip_on_exit_code=[3, 4]).execute({})
    with pytest.raises(AirflowException, match="non-zero exit code 1"):
        make("exit 1").execute({})


def test_the_environment_is_the_tasks_its_own_or_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_TASK", "task")
    monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", "b")
    command = 'echo "${FROM_TASK:-none} ${OWN:-none} $AIRFLOW_CTX_TASK_ID"'
    assert make(command).execute({}) == "task none b"
    assert make(command, env={"OWN": "own", "PATH": os.environ["PATH"]}).execute({}) == "none own b"
    assert make(command, env={"OWN": "own"}, append_env=True).execute({}) == "task own b"


def test_it_works_in_a_folder_of_its_own_unless_told_where(tmp_path: Path) -> None:
    folder = make("pwd").execute({})
    assert not Path(folder).exists()
    assert make("pwd", cwd=str(tmp_path)).execute({}) == str(tmp_path)
    with pytest.raises(AirflowException, match="expected cwd to be a folder, found none"):
        make("pwd", cwd=str(tmp_path / "none")).execute({})


def test_what_the_command_started_is_stopped_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    task = make(f"sleep 60 & echo $! > {pid_file}; wait", skip_on_exit_code=None)

    def stop_once_started() -> None:
        while not (pid_file.exists() and pid_file.read_text().strip()):
            time.sleep(0.01)
        task.on_kill()

    thread = Thread(target=stop_once_started)
    thread.start()
    with pytest.raises(AirflowException):
        task.execute({})
    thread.join()
    status = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_stop_that_comes_while_the_command_begins_stops_it() -> None:
    task = make("sleep 60")
    task.on_kill()
    with pytest.raises(AirflowException, match="non-zero exit code -15"):
        task.execute({})


def test_with_an_image_it_is_the_containers_program() -> None:
    work = make("echo hi", image="alpine", cwd="/a b", env={"X": "1"}, skip_on_exit_code=[3]).work()
    assert work["mode"] == "command"
    assert work["argv"] == ("bash", "-c", "cd '/a b' || exit\necho hi")
    assert work["env"] == {"X": "1"}
    assert work["payload"] == {"push_last_line": True, "skip_exit_code": [3], "entrypoint": []}
    assert make("echo hi").work()["mode"] == "sdk"


def test_a_subclass_with_an_execute_of_its_own_stays_on_the_host_image() -> None:
    class Custom(BashOperator):
        def execute(self, context: object) -> str:
            return "own"

    with DAG("d"):
        task = Custom(task_id="c", bash_command="echo", image="alpine")
    with pytest.raises(DagError, match="a Custom runs beside Airdock on the host image"):
        task.work()
