"""The command as a whole: help, wrong command lines, exit codes, imports, completion."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from airdock import __version__
from airdock.cli.doctor import render_checks
from airdock.cli.errors import render_error, render_fault, tell_before
from airdock.cli.main import airdock
from airdock.errors import AirdockError, StepFailedError, UnknownImageError
from airdock.runtime.probe import Check

HEAVY = {"sqlalchemy", "rich", "httpx", "alembic", "jinja2", "pendulum"}


def run(*argv: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airdock", *argv],
        capture_output=True,
        text=True,
        env={**os.environ, "AIRDOCK_HOME": str(home), **environ},
        timeout=60,
    )


def commands(group: click.Group, *names: str) -> list[tuple[str, ...]]:
    context = click.Context(group)
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((*names, name))
        if isinstance(command, click.Group):
            found += commands(command, *names, name)
    return found


@pytest.mark.parametrize("names", commands(airdock), ids=" ".join)
def test_every_command_has_help_for_people(names: tuple[str, ...]) -> None:
    result = CliRunner().invoke(airdock, [*names, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: airdock {' '.join(names)}")
    is_group = "Commands:" in result.output
    assert is_group or "Example" in result.output or names == ("image", "prune")
    assert all(len(line) <= 120 for line in result.output.splitlines())


def test_the_overview_imports_no_command() -> None:
    code = (
        "import sys\nfrom airdock.cli.main import airdock\n"
        "airdock.main(['--help'], standalone_mode=False)\n"
        "print([name for name in sys.modules if name.startswith('airdock.cli.')], file=sys.stderr)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Run containers, look into them, remove them." in shown.stdout
    assert "airdock.cli.container" not in shown.stderr


@pytest.mark.parametrize("module", ["main", "container", "image", "config", "completion", "doctor"])
def test_a_command_for_containers_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, airdock.cli.{module}; print(sorted({HEAVY} & {{name.split('.')[0] for name in sys.modules}}))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_the_version_is_told_without_anything_else(tmp_path: Path) -> None:
    assert run("--version", home=tmp_path).stdout == f"airdock {__version__}\n"
    assert CliRunner().invoke(airdock, ["-V"], prog_name="airdock").output == f"airdock {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["confg"], 2, "error: No such command 'confg'. Did you mean 'config'?\n  do: airdock --help\n"),
        (["image", "bild"], 2, "error: No such command 'bild'. Did you mean 'build'?\n  do: airdock image --help\n"),
        (
            ["config", "--jsn"],
            2,
            "error: No such option '--jsn'. Did you mean '--json'?\n  do: airdock config --help\n",
        ),
        (["container", "run"], 125, "error: Missing argument 'IMAGE'.\n  do: airdock container run --help\n"),
        (["container", "run", "--memory", "lots", "x"], 125, "expected a size such as 512m or 2g, got 'lots'."),
        (["container", "run", "-v", "a/b:/x", "x"], 125, "for a folder of this machine: ./a/b"),
        (["container", "run", "--mount", "type=bind,src=/x", "x"], 125, "expected a target, found none"),
        (["container", "run", "-v", "tmp", "x"], 125, "expected an absolute path in the container, found 'tmp'"),
        (["container", "run", "-e", "=3", "x"], 125, "expected NAME=VALUE or NAME, got '=3'."),
        (["run", "x.py", "--conf", "{"], 2, "expected a JSON object, got text that isn't JSON"),
        (["run", "x.py", "--conf", "[1]"], 2, "expected a JSON object, got list [1]."),
        (
            ["run", "x.py", "--executor", "celery"],
            2,
            "expected core.executor to be 'local' or 'sequential', got 'celery'",
        ),
        (["run", "x.py", "--isolation", "vm"], 2, "  where: --isolation\n"),
        (["image", "build", "/nowhere/at/all"], 1, "expected a folder with a Dockerfile, found nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_command_line_is_answered_with_what_was_expected(
    tmp_path: Path, argv: list[str], code: int, said: str
) -> None:
    ended = run(*argv, home=tmp_path / "home")
    assert said in ended.stderr
    assert ended.stderr.startswith("error: ")
    assert ended.returncode == code
    assert ended.stdout == ""
    assert not (tmp_path / "home").exists()


def test_a_wrong_setting_stops_every_command(tmp_path: Path) -> None:
    (tmp_path / "airdock.toml").write_text('[core]\nexecutor = "celry"\n')
    ended = run("config", home=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: expected core.executor to be 'local' or 'sequential', got 'celry'\n"
        f"  where: {tmp_path}/airdock.toml, [core]\n"
    )


def test_config_lists_each_setting_with_its_source(tmp_path: Path) -> None:
    ended = run("config", home=tmp_path, AIRDOCK__CORE__PARALLELISM="2")
    line = next(line for line in ended.stdout.splitlines() if line.startswith("core.parallelism"))
    assert line.split()[:3] == ["core.parallelism", "2", "AIRDOCK__CORE__PARALLELISM"]
    listed = json.loads(run("config", "--json", home=tmp_path).stdout)
    assert listed["core.executor"]["source"] == "default"
    assert listed["home"]["value"] == str(tmp_path)


def test_the_home_flag_wins(tmp_path: Path) -> None:
    listed = json.loads(run("--home", str(tmp_path / "other"), "config", "--json", home=tmp_path).stdout)
    assert listed["home"] == {**listed["home"], "value": str(tmp_path / "other"), "source": "--home"}


def test_an_error_has_a_line_for_its_place_and_one_for_what_to_do() -> None:
    error = UnknownImageError("There is no image hots.", where="etl.py, task load", hint="did you mean host?")
    assert render_error(error) == (
        "error: There is no image hots.\n  where: etl.py, task load\n  do: did you mean host?"
    )


def test_a_failed_step_shows_the_end_of_its_output() -> None:
    error = StepFailedError("RUN false ended with 1", where="Dockerfile:3", output="\n".join(map(str, range(50))))
    lines = render_error(error).splitlines()
    assert lines[:2] == ["error: RUN false ended with 1", "  where: Dockerfile:3"]
    assert lines[2:] == [f"  | {number}" for number in range(30, 50)]


def test_a_message_of_several_lines_hangs_together() -> None:
    assert render_error(AirdockError("one\ntwo")) == "error: one\n       two"


def test_a_mistake_of_ours_is_short_unless_the_trace_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        raise KeyError("x")
    except KeyError as caught:
        error = caught
    assert render_fault(error).splitlines()[0] == "error: Airdock made a mistake: KeyError: 'x'"
    assert "AIRDOCK_DEBUG=1" in render_fault(error)
    monkeypatch.setenv("AIRDOCK_DEBUG", "1")
    assert "Traceback" in render_fault(error)


def test_of_several_errors_all_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    last = tell_before(tell_before(None, AirdockError("one")), AirdockError("two"))
    assert capsys.readouterr().err == "error: one\n"
    assert last.message == "two"


def test_colours_only_where_they_are_wanted(tmp_path: Path) -> None:
    assert "\x1b[31m" not in run("confg", home=tmp_path).stderr
    always = subprocess.run(
        [
            sys.executable,
            "-c",
            "from airdock.cli.main import main; main(['--color', 'always', 'image', 'build', '/no'])",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "AIRDOCK_HOME": str(tmp_path)},
    )
    assert always.stderr.startswith("\x1b[31m\x1b[1merror:\x1b[0m")


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        ended = subprocess.run(
            [sys.executable, "-m", "airdock", "config"],
            stdout=closed,
            stderr=subprocess.PIPE,
            env={**os.environ, "AIRDOCK_HOME": str(tmp_path)},
        )
    assert ended.stderr == b""
    assert ended.returncode == 141


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_lead_nowhere(tmp_path: Path, closed: str) -> None:
    wrong = run("--home", str(tmp_path), "image", "inspect", "nothing:1", home=tmp_path)
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, *wrong.args[1:]],
        capture_output=True,
        text=True,
        env={**os.environ, "AIRDOCK_HOME": str(tmp_path)},
    )
    assert ended.returncode == wrong.returncode == 1
    assert ended.stderr == ("" if "2>" in closed else wrong.stderr)


def test_results_that_nobody_can_have_are_a_failure(tmp_path: Path) -> None:
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "airdock", "config"],
        capture_output=True,
        text=True,
        env={**os.environ, "AIRDOCK_HOME": str(tmp_path)},
    )
    assert ended.returncode == 1
    assert "do: send standard output somewhere" in ended.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(tmp_path: Path, shell: str) -> None:
    printed = run("completion", shell, home=tmp_path).stdout
    assert "_AIRDOCK_COMPLETE" in printed
    assert "airdock" in printed


@pytest.mark.parametrize(
    ("words", "expected"),
    [("airdock im", "image"), ("airdock image b", "build"), ("airdock container run --netw", "--network")],
)
def test_completion_knows_commands_and_flags(tmp_path: Path, words: str, expected: str) -> None:
    ended = run(
        home=tmp_path,
        _AIRDOCK_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert f"plain,{expected}" in ended.stdout.splitlines()


def test_the_reference_is_what_the_commands_say() -> None:
    docs = Path(__file__).parents[3] / "docs"
    code = f"import sys; sys.path.insert(0, {str(docs)!r}); import make_cli; sys.stdout.write(make_cli.render())"
    printed = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == (docs / "cli.md").read_text().split(), "run python docs/make_cli.py"


def test_doctor_says_below_what_is_off_how_to_turn_it_on() -> None:
    checks = [
        Check(name="overlay", ok=True, found="works"),
        Check(name="user namespaces", ok=False, found="off by sysctl", hint="sysctl -w user.max_user_namespaces=1"),
        Check(name="limits", ok=False, found="none", hint="ask for\ndelegation", needed=False),
    ]
    assert click.unstyle(render_checks(checks, able=False)).splitlines() == [
        "ok   overlay           works",
        "NO   user namespaces   off by sysctl",
        "                       do: sysctl -w user.max_user_namespaces=1",
        "no   limits            none",
        "                       do: ask for",
        "                           delegation",
        "",
        "Containers can't run here: mend what is marked NO.",
    ]
