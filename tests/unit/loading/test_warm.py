"""DAG files are loaded in forks of one process, and none finds out about another."""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from airdock.errors import DagError, DagFileError, LauncherDiedError
from airdock.loading.base import Job
from airdock.loading.cold import ColdLoad
from airdock.loading.file import LOADER, load_dag_file
from airdock.loading.process import ProcessRun
from airdock.loading.warm import WarmLoad
from airdock.model.mount import Mount

DAG = """
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG
with DAG({dag_id}):
    EmptyOperator(task_id="a")
"""


class Loading:
    """Loads files of a folder; `starts` and `colds` count what was started for them."""

    def __init__(self, folder: Path, *, idle_s: float = 60.0) -> None:
        self.folder, self.starts, self.colds = folder, 0, 0
        self._run = ProcessRun()
        self._cold_load = ColdLoad(self._run, work=folder.parent / "work")
        self.warm = WarmLoad(folder, place=(), start=self._start, cold=self._cold, idle_s=idle_s)

    def _start(self, argv: Sequence[str], *, place: Sequence[Mount], stdin: int) -> Callable[[], None]:
        self.starts += 1
        return self._run.start(argv, place=place, stdin=stdin)

    def _cold(self, job: Job, *, tell: Callable[[str], None], limit_s: float):  # type: ignore[no-untyped-def]
        self.colds += 1
        return self._cold_load(job, tell=tell, limit_s=limit_s)

    def write(self, text: str, name: str = "file.py") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def load(
        self, path: Path, *, limit_s: float = 30.0, given: bytes = b"", environ: dict[str, str] | None = None
    ) -> tuple[list[str], list[str]]:
        """The ids of the DAGs, and what the file printed."""
        said: list[str] = []
        job = Job(module=LOADER, path=path, root=self.folder, environ=environ or {}, given=given)
        dags = load_dag_file(job, load=self.warm, tell=said.append, limit_s=limit_s)
        return [dag.dag_id for dag in dags], said


@pytest.fixture
def loading(tmp_path: Path) -> Iterator[Loading]:
    (tmp_path / "dags").mkdir()
    made = Loading(tmp_path / "dags")
    yield made
    made.warm.close()


def test_files_are_loaded_by_one_process(loading: Loading) -> None:
    text = "import os\nprint(os.getppid())\n" + DAG
    first = loading.write(text.format(dag_id="'one'"), "one.py")
    second = loading.write(text.format(dag_id="'two'"), "two.py")
    (one, said_one), (two, said_two) = loading.load(first), loading.load(second)
    assert (one, two) == (["one"], ["two"])
    assert said_one == said_two, "both have the same parent"
    assert (loading.starts, loading.colds) == (1, 0)


def test_nothing_of_a_file_is_left_for_the_next(loading: Loading) -> None:
    text = """
import os, random, sys
import airdock.sdk
print(getattr(airdock.sdk, "spoilt", "clean"), os.environ.get("LEFT", "clean"), "helper" in sys.modules)
airdock.sdk.spoilt = os.environ["LEFT"] = "spoilt"
import helper
print(random.random())
""" + DAG.format(dag_id="'one'")
    loading.write("", "helper.py")
    path = loading.write(text)
    (_, first), (_, second) = loading.load(path), loading.load(path)
    assert first[0] == second[0] == "clean clean False"
    assert first[1] != second[1], "forks of one process draw other numbers"


def test_a_changed_helper_is_seen(loading: Loading) -> None:
    path = loading.write("from helper import dag_id\n" + DAG.format(dag_id="dag_id"))
    for dag_id in ("before", "after"):
        loading.write(f"dag_id = {dag_id!r}\n", "helper.py")
        assert loading.load(path)[0] == [dag_id]


def test_files_further_down_import_from_the_folder_too(loading: Loading) -> None:
    (loading.folder / "team").mkdir()
    (loading.folder / "plugins").mkdir()
    loading.write("name = 'up'\n", "shared.py")
    loading.write("name = 'in'\n", "plugins/plugged.py")
    text = "import shared, plugged\n" + DAG.format(dag_id="shared.name + plugged.name")
    assert loading.load(loading.write(text, "team/file.py"))[0] == ["upin"]


def test_what_a_file_asks_for_is_its_own(loading: Loading) -> None:
    asks = "from airdock.sdk import Variable\n" + DAG.format(dag_id="Variable.get('name', default='none')")
    path = loading.write(asks)
    assert loading.load(path, given=b'{"variables": {"name": "secret"}}')[0] == ["secret"]
    assert loading.load(path)[0] == ["none"]


def test_what_it_is_told_is_its_own(loading: Loading) -> None:
    path = loading.write("from airdock.sdk import find_pythons\nprint(find_pythons())\n" + DAG.format(dag_id="'one'"))
    assert loading.load(path, environ={"AIRDOCK_PYTHONS": "3.9"})[1] == ["('3.9',)"]
    assert loading.load(path, environ={"AIRDOCK_PYTHONS": "3.12"})[1] == ["('3.12',)"]


def test_files_are_loaded_side_by_side(loading: Loading) -> None:
    """Each waits for the other: one after the other they'd never end."""
    for name, other in (("one", "two"), ("two", "one")):
        here, there = (str(loading.folder / each) for each in (name, other))
        text = f"import os, time\nopen({here!r}, 'w').close()\nwhile not os.path.exists({there!r}): time.sleep(0.01)\n"
        loading.write(text + DAG.format(dag_id=repr(name)), f"{name}.py")
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: found.extend(loading.load(loading.folder / f"{name}.py")[0]))
        for name in ("one", "two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["one", "two"]


def test_a_file_that_takes_too_long_is_killed_with_what_it_started(loading: Loading) -> None:
    pids = loading.folder.parent / "pids"
    text = (
        f"import os, time\nos.fork()\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')\nwhile True: time.sleep(1)\n"
    )
    with pytest.raises(DagFileError, match=r"within 2 s"):
        loading.load(loading.write(text), limit_s=2)
    started = pids.read_text().split()
    assert len(started) == 2
    for pid in started:
        await_gone(int(pid))
    assert loading.load(loading.write(DAG.format(dag_id="'next'")))[0] == ["next"]
    assert (loading.starts, loading.colds) == (1, 0)


def test_what_a_file_leaves_running_is_neither_waited_for_nor_left(loading: Loading) -> None:
    text = """
import os, time
child = os.fork()
if child == 0:
    time.sleep(1000)
print(child, flush=True)
""" + DAG.format(dag_id="'one'")
    dags, said = loading.load(loading.write(text))
    assert dags == ["one"]
    await_gone(int(said[0]))


@pytest.mark.parametrize("code", [0, 7])
def test_a_file_that_ends_its_process_is_told_with_its_last_words(loading: Loading, code: int) -> None:
    text = f"import os\nprint('about to go', flush=True)\nos._exit({code})\n"
    with pytest.raises(DagFileError, match=rf"exit code {code}\n    about to go"):
        loading.load(loading.write(text))


@pytest.mark.parametrize("answer", ["[]", '{"error": {"error": "annotations"}}', '{"error": null, "dags": [7]}'])
def test_an_answer_that_the_file_itself_has_made_up_is_refused(loading: Loading, answer: str) -> None:
    with pytest.raises(DagFileError, match="ended with exit code 0"):
        loading.load(loading.write(f"import os\nos.write(3, {answer.encode()!r})\nos._exit(0)\n"))


def test_errors_keep_their_place(loading: Loading) -> None:
    with pytest.raises(DagFileError) as caught:
        loading.load(loading.write("def f(:\n"))
    assert caught.value.where == f"{loading.folder}/file.py:1"


def test_a_file_that_kills_the_process_is_loaded_alone(loading: Loading) -> None:
    """And the next one has a new process."""
    assert loading.load(loading.write(DAG.format(dag_id="'good'"), "good.py"))[0] == ["good"]
    text = "import os, signal\nif os.getpid() != os.getsid(0): raise SystemExit\n"
    text += f"if os.getppid() != {os.getpid()}: os.kill(os.getppid(), signal.SIGKILL)\n"
    text += DAG.format(dag_id="'killer'")
    assert loading.load(loading.write(text))[0] == ["killer"]
    assert (loading.starts, loading.colds) == (1, 1)
    assert loading.load(loading.folder / "good.py")[0] == ["good"]
    assert (loading.starts, loading.colds) == (2, 1)


def test_another_folder_in_its_place_is_seen_by_another_process(loading: Loading) -> None:
    path = loading.write(DAG.format(dag_id="'one'"))
    loading.load(path)
    loading.folder.rename(loading.folder.parent / "old")
    loading.folder.mkdir()
    assert loading.load(loading.write(DAG.format(dag_id="'two'")))[0] == ["two"]
    assert loading.starts == 2


def test_a_process_that_is_asked_nothing_ends(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    loading = Loading(tmp_path / "dags", idle_s=0.1)
    path = loading.write("import os\nprint(os.getppid())\n" + DAG.format(dag_id="'one'"))
    try:
        await_gone(int(loading.load(path)[1][0]))
        assert loading.load(path)[0] == ["one"]
        assert loading.starts == 2
    finally:
        loading.warm.close()


def test_where_it_cannot_start_files_are_loaded_cold(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    loading = Loading(tmp_path / "dags")
    loading.warm = WarmLoad(
        loading.folder,
        place=(),
        start=lambda argv, *, place, stdin: loading._start(["false"], place=place, stdin=stdin),
        cold=loading._cold,
    )
    path = loading.write(DAG.format(dag_id="'one'"))
    try:
        assert [loading.load(path)[0] for _ in range(3)] == [["one"]] * 3
        assert (loading.starts, loading.colds) == (1, 3), "and it isn't tried again at once"
    finally:
        loading.warm.close()


def test_what_is_being_loaded_when_all_is_to_stop_is_not_waited_for(loading: Loading) -> None:
    begun = loading.folder.parent / "begun"
    path = loading.write(f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(1000)\n")
    said: list[str] = []

    def load() -> None:
        try:
            loading.load(path, limit_s=1000)
        except DagError as error:
            said.append(error.message)

    thread = threading.Thread(target=load)
    thread.start()
    while not begun.exists():
        time.sleep(0.01)
    loading.warm.close()
    thread.join()
    assert said == ["the file was not loaded, because all is to stop"]
    with pytest.raises(DagError, match="all is to stop"):
        loading.load(path)
    assert loading.colds == 0


def test_that_its_end_fails_concerns_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "dags").mkdir()
    loading = Loading(tmp_path / "dags")

    def start(argv: Sequence[str], *, place: Sequence[Mount], stdin: int) -> Callable[[], None]:
        end = loading._start(argv, place=place, stdin=stdin)

        def fail() -> None:
            end()
            raise LauncherDiedError("the launcher has died")

        return fail

    loading.warm = WarmLoad(loading.folder, place=(), start=start, cold=loading._cold)
    path = loading.write(DAG.format(dag_id="'one'"))
    assert loading.load(path)[0] == ["one"]
    loading.warm.close()
    assert "could not be removed: the launcher has died" in caplog.text


def await_gone(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([process], [], [], 10)[0], f"{pid} is there still"
    finally:
        os.close(process)
