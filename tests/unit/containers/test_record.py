from pathlib import Path

from airdock.containers.health import Health, HealthCheck
from airdock.containers.known import Known
from airdock.containers.log_write import LogOptions
from airdock.containers.record import ContainerRecord, Life
from airdock.containers.restart import RestartPolicy
from airdock.runtime.state import ContainerState, process_start, save_state

RECORD = ContainerRecord(
    id="a" * 64,
    name="web",
    image="app:1",
    image_id="sha256:1",
    image_digest="sha256:2",
    layers=("sha256:3",),
    config={"process": {"args": ["sleep", "1"]}},
    created="2026-01-01T12:00:00+00:00",
    network={"mode": "private", "ports": []},
    entrypoint=("sleep",),
    cmd=("1",),
    labels={"team": "data"},
    restart=RestartPolicy(name="on-failure", retries=3),
    log=LogOptions(max_bytes=1, max_files=2),
    health=HealthCheck(argv=("true",)),
    tty=True,
)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    RECORD.save(tmp_path)
    assert ContainerRecord.load(tmp_path) == RECORD


def test_a_life_comes_back_as_it_was(tmp_path: Path) -> None:
    life = Life(status="running", monitor=1, monitor_start=2, health=Health(streak=1), network={"mode": "none"})
    life.save(tmp_path)
    assert Life.load(tmp_path) == life


def test_what_cannot_be_read_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "container.json").write_text('{"id": "x"}')
    (tmp_path / "life.json").write_text("[")
    assert ContainerRecord.load(tmp_path) is None
    assert Life.load(tmp_path) is None


def known(tmp_path: Path, state: str, life: Life | None, **process: int) -> Known:
    folder = tmp_path / "c"
    folder.mkdir()
    save_state(ContainerState(id="c", folder=str(folder), status=state, **process))
    RECORD.save(folder)
    if life:
        life.save(folder)
    found = Known.load(folder)
    assert found is not None
    return found


ME = {"monitor": 1, "monitor_start": process_start(1)}


def test_one_that_never_started_is_created(tmp_path: Path) -> None:
    assert known(tmp_path, "created", None).status == "created"


def test_one_whose_process_lives_is_running(tmp_path: Path) -> None:
    found = known(tmp_path, "running", Life(status="running", **ME), pid=1, pid_start=process_start(1))
    assert found.status == "running"
    assert found.is_running


def test_one_whose_monitor_was_killed_is_dead(tmp_path: Path) -> None:
    found = known(tmp_path, "running", Life(status="running", monitor=1, monitor_start=1), pid=1, pid_start=1)
    assert found.status == "dead"
    assert found.exit_code == 137
    assert not found.is_running


def test_one_that_waits_for_its_next_start_is_restarting(tmp_path: Path) -> None:
    found = known(tmp_path, "exited", Life(status="restarting", exit_code=3, **ME))
    assert found.status == "restarting"
    assert found.is_running


def test_one_that_ended_keeps_its_code(tmp_path: Path) -> None:
    found = known(tmp_path, "exited", Life(status="exited", exit_code=3, finished="2026-01-01T12:00:00+00:00"))
    assert (found.status, found.exit_code) == ("exited", 3)
