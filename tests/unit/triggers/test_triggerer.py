"""Triggers of many tasks, told of once each, whatever happens to their process."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from airdock.dag.importing import module_name
from airdock.model.keys import TryKey

from .conftest import Bench


def until(said: Callable[[], bool]) -> None:
    import time

    for _ in range(3000):
        if said():
            return
        time.sleep(0.01)
    raise AssertionError("it never came so far")


def test_triggers_run_side_by_side_and_tell_once(bench: Bench) -> None:
    moment = {"__airdock__": "datetime", "value": "2026-01-01T00:00:00+00:00"}
    bench.add("waits", "Waits", "later")
    bench.add("tells", "Tells", {"at": moment})
    bench.add("breaks", "Breaks", "no")
    bench.add("ends", "Ends")
    bench.add("nothing", "Nothing")
    bench.add("success", "Succeeds")
    told = {each[0]: each[1:] for each in [bench.next() for _ in range(5)]}
    assert told["tells"] == ({"at": moment}, "")
    first, *rest = told["breaks"][1].splitlines()
    assert first == "ValueError: no"
    assert rest[0].startswith("Traceback")
    assert told["ends"] == (None, "mine.Ends ended without an event")
    assert told["nothing"][1].startswith("AttributeError: module 'mine' has no attribute 'Nothing'")
    assert told["success"] == ({"__airdock__": "end", "state": "success", "xcoms": {"a": 1}}, "")
    assert bench.told.empty()
    until(lambda: "noise" in bench.log())


def test_what_is_removed_is_cancelled_and_a_person_kills(bench: Bench) -> None:
    kept, gone = bench.add("kept", "Waits", "kept"), bench.add("gone", "Waits", "gone")
    bench.add("told", "Tells")
    bench.next()
    bench.triggerer.remove(kept)
    bench.triggerer.remove(gone, killed=True)
    bench.triggerer.remove(TryKey(dag_id="d", run_id="r", task_id="unknown"))
    until(lambda: "cleaned gone" in bench.log() and "cleaned kept" in bench.log())
    assert "killed gone" in bench.log()
    assert "killed kept" not in bench.log()


def test_a_try_may_wait_again_and_waits_once_at_a_time(bench: Bench) -> None:
    bench.add("again", "Tells", 1)
    assert bench.next() == ("again", 1, "")
    bench.add("again", "Waits")
    bench.add("again", "Tells", "not while it waits")
    bench.add("other", "Tells", 2)
    assert bench.next() == ("other", 2, "")
    assert bench.told.empty()


def test_a_dead_process_is_started_anew_with_all_its_triggers(bench: Bench, tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    for task_id in ("a", "b"):
        bench.add(task_id, "WaitsForFile", str(sign))
    until(lambda: bench.log().count("waits") == 2)
    pid = int(bench.log().split()[-1])
    os.kill(pid, signal.SIGKILL)
    until(lambda: bench.log().count("waits") == 4)
    sign.touch()
    told = [bench.next() for _ in range(2)]
    assert {each[0] for each in told} == {"a", "b"}
    assert all(event != pid and not error for _, event, error in told)


def test_a_trigger_that_kills_its_process_fails_in_the_end(make_bench: Callable[..., Bench], monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("airdock.triggers.triggerer._DEATHS", 2)
    bench = make_bench()
    bench.add("kills", "Kills")
    assert bench.next() == ("kills", None, "the process of its trigger ended 2 times while it waited")


def test_a_process_without_triggers_ends_and_comes_back(make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench = make_bench(idle_s=0.0)
    bench.add("one", "Tells", 1)
    assert bench.next()[1] == 1
    until(lambda: not list((tmp_path / "run" / "triggers").iterdir()))
    bench.add("two", "Tells", 2)
    assert bench.next()[1] == 2


def test_triggers_ask_about_other_runs(bench: Bench) -> None:
    bench.add("asks", "Asks")
    assert bench.next() == ("asks", ["state of other r1", "asks"], "")


def test_a_trigger_may_live_in_its_dag_file_which_may_change(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "dag_with_trigger.py"
    source = "from mine import Tells\nfrom airdock.dag.trigger import TriggerEvent\n"
    source += "class Own(Tells):\n    async def run(self):\n        yield TriggerEvent([{}, self.what])\n"
    loader = {"fileloc": str(file), "paths": []}
    for version in (1, 2):
        file.write_text(source.format(version))
        os.utime(file, (version, version))
        bench.add("own", f"{module_name(str(file))}.Own", "x", loader=loader)
        assert bench.next() == ("own", [version, "x"], "")
    bench.add("beside", "dag_with_trigger.Own", "y", loader=loader)
    assert bench.next() == ("beside", [2, "y"], "")


def test_stop_ends_the_processes_and_is_safe_before_start(make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench = make_bench()
    bench.add("waits", "Waits", "here")
    bench.add("told", "Tells")
    bench.next()
    bench.triggerer.stop()
    bench.triggerer.stop()
    bench.triggerer.join()
    assert not list((tmp_path / "run" / "triggers").iterdir())
    assert "cleaned here" in bench.log()
