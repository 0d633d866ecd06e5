import os
import subprocess
import threading
from pathlib import Path

import pytest

from airdock.model.keys import TryKey
from airdock.model.outcome import Lost, Outcome, Succeeded, Times
from airdock.runner.spool import Process, Record, Spool, name_of

KEY = TryKey(dag_id="dag", run_id="run", task_id="task")
OUTCOME = Outcome(ending=Succeeded(), node="here")
RECORD = Record(key=KEY, digest="sha256:0", isolation="container", times=Times())
DEAD = Process(pid=2**22 - 1, start_time=1)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path)
    spool.open()
    return spool


def test_an_outcome_is_kept_until_it_is_dropped(spool: Spool) -> None:
    spool.put(KEY, OUTCOME)
    assert spool.holds(KEY)
    assert list(spool.unacknowledged()) == [(KEY, OUTCOME)]
    spool.drop(KEY)
    spool.drop(KEY)
    assert not spool.holds(KEY)
    assert list(spool.unacknowledged()) == []


def test_only_the_owner_may_enter_where_tries_are(tmp_path: Path, spool: Spool) -> None:
    assert (tmp_path / "tries").stat().st_mode & 0o777 == 0o700


def test_a_try_is_abandoned_when_its_owner_is_dead(tmp_path: Path, spool: Spool) -> None:
    spool.begin(RECORD)
    theirs = Spool(tmp_path, owner=DEAD).begin(RECORD)
    assert list(spool.abandoned()) == [(theirs, RECORD)]
    (theirs / "try.json").unlink()
    assert list(spool.abandoned()) == [(theirs, None)]


def test_what_is_not_ours_is_left_alone(tmp_path: Path, spool: Spool) -> None:
    (tmp_path / "tries" / "something-else").mkdir()
    (tmp_path / "tries" / "a-b-c").mkdir()
    assert list(spool.abandoned()) == []


def test_outcomes_of_the_living_are_theirs_to_tell(tmp_path: Path, spool: Spool) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        living = Spool(tmp_path, owner=Process.of(process.pid))
        living.put(KEY, OUTCOME)
        assert list(spool.unacknowledged()) == []
        process.kill()
        process.wait()
        assert list(spool.unacknowledged()) == [(KEY, OUTCOME)]


def test_a_try_can_begin_again_while_the_first_is_cleaned_up(spool: Spool) -> None:
    assert spool.begin(RECORD) != spool.begin(RECORD)


def test_one_process_at_a_time_clears_up(spool: Spool) -> None:
    order: list[str] = []
    entered = threading.Event()

    def other() -> None:
        entered.set()
        with spool.recovering():
            order.append("second")

    thread = threading.Thread(target=other)
    with spool.recovering():
        thread.start()
        entered.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_process_is_told_from_a_later_one_with_its_pid() -> None:
    own = Process.of(os.getpid())
    assert own.is_alive
    assert Process.parse(str(own)) == own
    assert not Process(pid=own.pid, start_time=own.start_time + 1).is_alive
    assert Process.parse("nonsense") is None


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not Process(pid=process.pid, start_time=Process.of(process.pid).start_time).is_alive
    process.wait()


def test_each_key_has_its_own_short_name() -> None:
    names = {name_of(KEY.task.attempt(number)) for number in range(100)}
    assert len(names) == 100
    assert {len(name) for name in names} == {16}


def test_lost_outcomes_survive_the_way_to_disk(spool: Spool) -> None:
    outcome = Outcome(ending=Lost(reason="x"), isolation="process")
    spool.put(KEY, outcome)
    assert dict(spool.unacknowledged()) == {KEY: outcome}


def test_an_outcome_that_was_never_written_whole_is_dropped(tmp_path: Path, spool: Spool) -> None:
    old, young = tmp_path / "outcomes/.tmp-old", tmp_path / "outcomes/.tmp-young"
    old.write_text("{")
    young.write_text("{")
    os.utime(old, (1, 1))
    with spool.recovering():
        pass
    assert (old.exists(), young.exists()) == (False, True)


def test_folders_of_one_try_differ_in_all_spools_of_a_process(tmp_path: Path) -> None:
    """They name containers: that of a try, and that of its callback, which are there at once."""
    names = set()
    for place in ("one", "two"):
        spool = Spool(tmp_path / place)
        spool.open()
        names.add(spool.begin(RECORD).name)
    assert len(names) == 2
