"""DAG files are loaded away from this process, within a time, and tell what is wrong with them."""

import os
import select
from pathlib import Path

import pytest

from airdock.dag.environ import PYTHONS_VARIABLE
from airdock.errors import CycleError, DagFileError
from airdock.loading.base import Job
from airdock.loading.cold import ColdLoad
from airdock.loading.file import LOADER, load_dag_file
from airdock.loading.place import make_place
from airdock.loading.process import ProcessRun
from airdock.model.mount import Mount


def load(
    path: Path, work: Path, *, limit_s: float = 30.0, pythons: tuple[str, ...] = ()
) -> tuple[list[str], list[str]]:
    """The ids of the DAGs, and what the file printed."""
    said: list[str] = []
    job = Job(module=LOADER, path=path, environ={PYTHONS_VARIABLE: ",".join(pythons)})
    dags = load_dag_file(job, load=ColdLoad(ProcessRun(), work=work), tell=said.append, limit_s=limit_s)
    return [dag.dag_id for dag in dags], said


def write(folder: Path, text: str) -> Path:
    path = folder / "file.py"
    path.write_text(text)
    return path


def test_dags_come_out_and_prints_are_told(tmp_path: Path) -> None:
    text = """
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG, find_pythons
print(find_pythons())
for dag_id in ("one", "two"):
    with DAG(dag_id):
        EmptyOperator(task_id="a")
"""
    assert load(write(tmp_path, text), tmp_path / "work", pythons=("3.9",)) == (["one", "two"], ["('3.9',)"])
    assert list((tmp_path / "work").iterdir()) == []


def test_a_file_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(DagFileError, match=r"within 0\.5 s"):
        load(write(tmp_path, "import time\nwhile True: time.sleep(1)\n"), tmp_path / "work", limit_s=0.5)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_file_whose_process_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    text = "import os, sys\nprint('about to go', flush=True)\nos._exit(7)\n"
    with pytest.raises(DagFileError, match=r"exit code 7\n    about to go"):
        load(write(tmp_path, text), tmp_path / "work")


def test_errors_keep_their_kind_and_place(tmp_path: Path) -> None:
    text = """
from airdock.sdk import DAG
from airdock.operators.empty import EmptyOperator
with DAG("circle"):
    a, b = EmptyOperator(task_id="a"), EmptyOperator(task_id="b")
    a >> b >> a
"""
    with pytest.raises(CycleError, match="a -> b -> a"):
        load(write(tmp_path, text), tmp_path / "work")
    with pytest.raises(DagFileError) as caught:
        load(write(tmp_path, "def f(:\n"), tmp_path / "work")
    assert caught.value.where == f"{tmp_path}/file.py:1"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DagFileError, match="found nothing"):
        load(tmp_path / "missing.py", tmp_path / "work")


def test_a_dag_file_is_seen_with_its_folder(tmp_path: Path) -> None:
    home, own, empty = tmp_path / "home", tmp_path / "home" / ".airdock", tmp_path / "empty"
    dags = home / "dags"
    dags.mkdir(parents=True)
    file = write(dags, "")
    seen = Mount(source=str(dags), target=str(dags))
    assert make_place(file, home=home, own=own, empty=empty) == (seen,)
    assert make_place(dags, home=home, own=own, empty=empty) == (seen,)


def test_of_a_home_only_the_dag_file_is_seen(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    file = write(home, "")
    alone = (Mount(source=str(file), target=str(file)),)
    assert make_place(file, home=home, own=home / ".airdock", empty=tmp_path) == alone
    assert make_place(file, home=home / "deeper", own=tmp_path / "own", empty=tmp_path) == alone
    with pytest.raises(DagFileError, match="holds the home"):
        make_place(home, home=home, own=tmp_path / "own", empty=tmp_path)


def test_airdocks_own_home_is_never_seen(tmp_path: Path) -> None:
    project, empty = tmp_path / "project", tmp_path / "empty"
    own = project / ".airdock"
    own.mkdir(parents=True)
    file = write(project, "")
    assert make_place(file, home=tmp_path / "home", own=own, empty=empty) == (
        Mount(source=str(project), target=str(project)),
        Mount(source=str(empty), target=str(own)),
    )


@pytest.mark.parametrize("line", ["'x' * 999_999", "'x' * 99 + chr(10)"])
def test_a_file_that_prints_for_ever_is_stopped_too(tmp_path: Path, line: str) -> None:
    text = f"import sys\nwhile True: sys.stdout.write({line})\n"
    with pytest.raises(DagFileError, match=r"within 0\.5 s"):
        load(write(tmp_path, text), tmp_path / "work", limit_s=0.5)


def test_of_what_a_file_prints_no_more_is_told_than_people_read(tmp_path: Path) -> None:
    text = """
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG
print("x" * 1_000_000)
for _ in range(20_000):
    print("again")
with DAG("one"):
    EmptyOperator(task_id="a")
"""
    dags, said = load(write(tmp_path, text), tmp_path / "work")
    assert dags == ["one"]
    assert len(said[0]) == 4096
    assert said[-1] == "(more than 1000 lines: the rest is left out)"
    assert len(said) == 1001


def test_what_a_file_leaves_running_is_neither_waited_for_nor_left(tmp_path: Path) -> None:
    text = f"""
import os, time
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG
child = os.fork()
if child == 0:
    time.sleep(1000)
open({str(tmp_path / "child")!r}, "w").write(str(child))
with DAG("one"):
    EmptyOperator(task_id="a")
"""
    assert load(write(tmp_path, text), tmp_path / "work", limit_s=20) == (["one"], [])
    try:
        child = os.pidfd_open(int((tmp_path / "child").read_text()))
    except ProcessLookupError:
        return
    try:  # it was killed; the kernel may need a moment
        assert select.select([child], [], [], 10)[0]
    finally:
        os.close(child)


@pytest.mark.parametrize(
    "answer",
    [
        "os.symlink('/dev/zero', output)",
        "os.mkfifo(output)",
        "os.mkdir(output)",
        "open(output, 'w').write('[]')",
        """open(output, 'w').write('{"error": {"error": "annotations"}}')""",
        """open(output, 'w').write('{"error": null, "dags": [7]}')""",
    ],
)
def test_an_answer_that_the_file_itself_has_made_up_is_refused(tmp_path: Path, answer: str) -> None:
    text = f"import os, sys\noutput = sys.argv[sys.argv.index('--output') + 1]\n{answer}\nos._exit(0)\n"
    with pytest.raises(DagFileError, match="ended with exit code 0"):
        load(write(tmp_path, text), tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_load(tmp_path: Path) -> None:
    old, young = tmp_path / "work/old", tmp_path / "work/young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    with pytest.raises(DagFileError, match="defines no DAG"):
        load(write(tmp_path, "dag = 'airdock'"), tmp_path / "work")
    assert (old.exists(), young.exists()) == (False, True)
