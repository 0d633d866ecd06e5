"""The main job as a person does it: `airdock run` on DAG files, as root and as ordinary accounts."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEADER = "from airdock.sdk import DAG, task\n"


@pytest.fixture
def write_dag(account: Any, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Writes a DAG file into a folder of the account's home that is gone afterwards."""
    folder = account.home / f"dags-{os.getpid()}-{abs(hash(request.node.name))}"
    account.run("mkdir", "-p", str(folder))
    request.addfinalizer(lambda: account.run("rm", "-rf", str(folder)))

    def write(text: str, name: str = "example.py") -> Path:
        path: Path = folder / name
        path.write_text(HEADER + textwrap.dedent(text))
        path.chmod(0o644)
        return path

    return write


def events(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def summary(printed: str) -> dict[str, Any]:
    return next(event for event in events(printed) if event["event"] == "summary")


def values(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_clashing_requirements_run_side_by_side_and_the_second_run_builds_nothing(
    account: Any, write_dag: Callable[[str], Path], unchanged_machine: Callable[[], None]
) -> None:
    path = write_dag(
        """
        with DAG("clash", schedule=None):
            @task(requirements=["idna==2.10"])
            def old():
                import idna
                return idna.__version__

            @task(requirements=["idna==3.7"])
            def new():
                import idna
                return idna.__version__

            @task
            def compare(old, new):
                import os
                from pathlib import Path
                Path(os.environ["AIRDOCK_WORKSPACE"], "versions").write_text(f"{old} {new}")

            compare(old(), new())
        """
    )
    first = account.airdock("run", str(path), "--json")
    assert first.returncode == 0, first.stdout + first.stderr
    ended = summary(first.stdout)
    assert values(Path(ended["workspace"])) == {"versions": "2.10 3.7"}
    assert len({each["digest"] for each in ended["tasks"]}) == 3
    assert all(each["isolation"] == "container" for each in ended["tasks"])
    assert all(each["memory_peak_bytes"] > 0 and each["usage_source"] for each in ended["tasks"])
    unchanged_machine()

    second = account.airdock("run", str(path), "--json")
    assert second.returncode == 0, second.stdout + second.stderr
    assert not [event for event in events(second.stdout) if event["event"].startswith("build") and event.get("step")]
    assert all(image["reused"] for image in summary(second.stdout)["images"])


def test_a_task_sees_nothing_of_the_machine_and_of_other_tasks(
    account: Any, write_dag: Callable[[str], Path], unchanged_machine: Callable[[], None]
) -> None:
    secret = account.home / "secret.txt"
    account.run("sh", "-c", f"umask 077; echo hidden > {secret}")
    path = write_dag(
        f"""
        import os
        from pathlib import Path

        def tell(name, text):
            Path(os.environ["AIRDOCK_WORKSPACE"], name).write_text(text)

        with DAG("walls", schedule=None):
            @task
            def other():
                Path("/var/tmp/mine").write_text("of the other task")

            @task
            def look():
                seen = []
                for path in ["/var/tmp/mine", {str(secret)!r}, "/root/.ssh", "/etc/shadow",
                             "/proc/kcore", "/proc/sys/kernel/core_pattern", "/dev/mem", "/dev/sda", "/dev/vda"]:
                    try:
                        if path.startswith("/proc/sys"):
                            open(path, "w").close()
                            seen.append(path)
                        elif Path(path).read_bytes():
                            seen.append(path)
                    except OSError:
                        pass
                pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
                tell("seen", repr(seen))
                tell("most pids", str(len(pids)))
                home = {str(account.home)!r}
                tell("home", repr(sorted(os.listdir(home)) if os.path.isdir(home) else []))
                status = open("/proc/self/status").read()
                tell("privileges", status.split("NoNewPrivs:")[1].split()[0])

            other() >> look()
        """
    )
    done = account.airdock("run", str(path), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = values(Path(summary(done.stdout)["workspace"]))
    assert found["seen"] == "[]"
    assert int(found["most pids"]) <= 3
    assert "secret.txt" not in found["home"]
    assert ".airdock" not in found["home"]
    assert found["privileges"] == "1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def broken(:\n", ["syntax error", "example.py:2"]),
        (
            """
            from airdock.operators.empty import EmptyOperator
            with DAG("circle"):
                a, b = EmptyOperator(task_id="a"), EmptyOperator(task_id="b")
                a >> b >> a
            """,
            ["a -> b -> a"],
        ),
        (
            """
            from airdock.operators.empty import EmptyOperator
            with DAG("twice"):
                EmptyOperator(task_id="a")
                EmptyOperator(task_id="a")
            """,
            ["'a'", "example.py:"],
        ),
        (
            """
            with DAG("unknown"):
                @task(image="no-such-image:1")
                def a(): ...
                a()
            """,
            ["no-such-image", "a"],
        ),
        (
            """
            with DAG("unresolvable"):
                @task(requirements=["idna==2.10", "idna==3.7"])
                def clashing(): ...
                clashing()
            """,
            ["clashing", "idna==2.10", "idna==3.7"],
        ),
        (
            """
            import os
            HERE = os.getcwd()
            with DAG("bound"):
                @task(requirements=["idna"])
                def a(): return HERE
                a()
            """,
            ["HERE", "'a'"],
        ),
        (
            """
            with DAG("dockerfile"):
                @task(dockerfile="Dockerfile")
                def a(): ...
                a()
            """,
            ["Dockerfile:2", "COPPY", "COPY"],
        ),
        (
            """
            import datetime
            with DAG("json"):
                @task
                def a(): return {"day": [datetime.date(2026, 1, 1)]}
                a()
            """,
            ["result['day'][0]", "datetime.date"],
        ),
    ],
    ids=["syntax", "cycle", "duplicate", "image", "requirements", "function", "dockerfile", "json"],
)
@pytest.mark.parametrize("account", ["root", "plain"], indirect=True)
def test_bad_input_says_what_is_wrong_and_leaves_nothing(
    account: Any,
    write_dag: Callable[..., Path],
    unchanged_machine: Callable[[], None],
    text: str,
    expected: list[str],
) -> None:
    write_dag("", name="Dockerfile").write_text("FROM host\nCOPPY a b\n")
    path = write_dag(text)
    done = account.airdock("run", str(path))
    assert done.returncode not in (0, 125)
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    for part in expected:
        assert part in told
    run = account.home / ".airdock" / "run"
    left = [path for name in ("containers", "loads", "tries", "outcomes", "mounts") for path in _entries(run / name)]
    assert left == []


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def test_limits_that_can_not_be_set_are_told_once(account: Any, write_dag: Callable[[str], Path]) -> None:
    path = write_dag(
        """
        with DAG("limited"):
            @task(memory="64MB", cpus=0.5)
            def one(number):
                return number
            one.expand(number=[1, 2, 3])
        """
    )
    done = account.airdock("run", str(path), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    hold = next(check["ok"] for check in json.loads(account.airdock("doctor", "--json").stdout)["checks"]
                if check["name"] == "limits")  # fmt: skip
    notes = [event["line"] for event in events(done.stdout) if event["event"] == "note"]
    assert len([line for line in notes if "limits of tasks don't hold" in line]) == (0 if hold else 1)


def test_the_end_of_a_failed_tasks_log_is_shown_exception_first(account: Any, write_dag: Callable[[str], Path]) -> None:
    path = write_dag(
        """
        with DAG("fails"):
            @task
            def fails():
                print("about to fail")
                raise ValueError("the reason")
            fails()
        """
    )
    done = account.airdock("run", str(path))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    shown = next(number for number, line in enumerate(lines) if "ValueError: the reason" in line)
    assert any("about to fail" in line for line in lines[shown:])


def test_a_killed_run_is_resumed_and_repeats_nothing_that_succeeded(
    root_account: Any, tmp_path: Path, unchanged_machine: Callable[[], None]
) -> None:
    path = tmp_path / "chain.py"
    path.write_text(
        HEADER
        + textwrap.dedent(
            """
            import os, time
            from pathlib import Path

            def note(name):
                with open(Path(os.environ["AIRDOCK_WORKSPACE"], "notes"), "a") as file:
                    file.write(name + "\\n")

            with DAG("chain"):
                @task
                def first():
                    note("first")

                @task
                def second():
                    note("second began")
                    time.sleep(2)
                    note("second")

                @task
                def third():
                    note("third")

                first() >> second() >> third()
            """
        )
    )
    running = subprocess.Popen(
        [sys.executable, "-m", "airdock", "run", str(path), "--json"],
        env=dict(root_account.environment),
        stdout=subprocess.PIPE,
        text=True,
    )
    workspaces = root_account.home / ".airdock" / "workspaces" / "chain"
    notes = None
    for _ in range(400):
        found = list(workspaces.glob("*/notes"))
        if found and "second began" in found[0].read_text():
            notes = found[0]
            break
        time.sleep(0.05)
    running.kill()
    running.communicate()
    assert notes is not None, "the run never came to its second task"
    done = root_account.airdock("run", str(path), "--resume", notes.parent.name, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert notes.read_text().split("\n")[:-1] == ["first", "second began", "second began", "second", "third"]


def test_process_isolation_runs_requirements_and_says_its_price(account: Any, write_dag: Callable[[str], Path]) -> None:
    path = write_dag(
        """
        with DAG("plain"):
            @task(requirements=["idna==2.10"])
            def old():
                import idna
                return idna.__version__
            old()
        """
    )
    done = account.airdock("run", str(path), "--isolation", "process")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "isolation: process" in done.stdout
    assert "could read its files" in done.stdout
