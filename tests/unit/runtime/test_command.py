"""Giving up privileges and finding the program: by the recorder, and in forked children."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from airdock.errors import CommandNotFoundError, ContainerError, NotExecutableError
from airdock.runtime.capabilities import CAPABILITIES
from airdock.runtime.command import Privileges, drop_privileges, execute, make_environment, make_privileges
from airdock.runtime.recorder import Recorder
from airdock.runtime.spec import DEFAULT_CAPABILITIES, make_config
from airdock.runtime.syscalls import Syscalls
from airdock.runtime.users import User


def privileges(**changes: object) -> Privileges:
    import resource

    fields = {
        "kept": 0b101,
        "dropped": (1, 3),
        "filter": b"",
        "can_set_groups": True,
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
        **changes,
    }
    return Privileges(**fields)  # type: ignore[arg-type]


def test_the_order_is_the_one_that_works() -> None:
    recorder = Recorder()
    drop_privileges(recorder, User(uid=0, gid=0, groups=(5,)), privileges(), lambda: None)
    assert recorder.calls == [
        ("drop_bounding", 1),
        ("drop_bounding", 3),
        ("set_ids", 0, 0, (5,)),
        ("capset", 0b101, 0b101, 0),
        ("no_new_privileges",),
    ]


def test_others_than_root_keep_no_capability() -> None:
    recorder = Recorder()
    drop_privileges(recorder, User(uid=7, gid=7), privileges(can_set_groups=False), lambda: None)
    assert ("set_ids", 7, 7, None) in recorder.calls
    assert ("capset", 0, 0, 0) in recorder.calls


def test_an_id_that_is_not_mapped_is_told_with_what_to_do() -> None:
    recorder = Recorder(failures={"set_ids": errno.EINVAL})
    with pytest.raises(ContainerError, match="can't run as uid 50000") as caught:
        drop_privileges(recorder, User(uid=50000, gid=0), privileges(), lambda: None)
    assert "/etc/subuid" in caught.value.hint


def test_everything_but_the_default_set_is_dropped() -> None:
    made = make_privileges(make_config(argv=["true"]), can_set_groups=True)
    kept = {CAPABILITIES[number] for number in range(41) if made.kept >> number & 1}
    assert kept == set(DEFAULT_CAPABILITIES)
    assert CAPABILITIES.index("CAP_SYS_ADMIN") in made.dropped
    assert made.filter
    assert not make_privileges(make_config(argv=["true"], seccomp=False), can_set_groups=True).filter


def test_the_last_of_a_variable_counts_and_home_and_path_are_there() -> None:
    assert make_environment(["A=1", "A=2=3", "broken"], "/home/x") == {
        "A": "2=3",
        "HOME": "/home/x",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    assert make_environment(["HOME=/h", "PATH=/p"], "/x") == {"HOME": "/h", "PATH": "/p"}


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., str]:
    def make(name: str, text: str, mode: int = 0o755) -> str:
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return make


def test_what_is_not_there_is_127(tmp_path: Path) -> None:
    for argv in (["nope"], [str(tmp_path / "nope")], [""]):
        with pytest.raises(CommandNotFoundError) as caught:
            execute(Syscalls(), argv, {"PATH": f"{tmp_path}:/nowhere"})
        assert caught.value.exit_code == 127


def test_what_cannot_be_executed_is_126(tmp_path: Path, program: Callable[..., str]) -> None:
    for path in (str(tmp_path), program("plain", "x", 0o644), program("noformat", "text")):
        with pytest.raises(NotExecutableError) as caught:
            execute(Syscalls(), [path], {})
        assert caught.value.exit_code == 126


def test_a_missing_interpreter_is_told_apart(program: Callable[..., str]) -> None:
    with pytest.raises(CommandNotFoundError, match="interpreter or loader that it names is not"):
        execute(Syscalls(), [program("script", "#!/nowhere/sh\n")], {})


def test_a_forbidden_program_earlier_on_path_does_not_hide_a_good_one(tmp_path: Path) -> None:
    for folder, mode in (("a", 0o644), ("b", 0o755)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tool").write_text("#!/bin/sh\nexit 9\n")
        (tmp_path / folder / "tool").chmod(mode)
    pid = os.fork()
    if pid == 0:
        try:
            execute(Syscalls(), ["tool"], {"PATH": f"{tmp_path}/a:{tmp_path}/b"})
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.parametrize("interpreter", ["/proc/self/exe", "{link}"])
def test_the_launchers_own_program_is_never_executed(
    tmp_path: Path, program: Callable[..., str], interpreter: str
) -> None:
    (tmp_path / "link").symlink_to("/proc/self/exe")
    script = program("script", f"#!{interpreter.format(link=tmp_path / 'link')}\n")
    for path in (str(tmp_path / "link"), script, "/proc/self/exe"):
        with pytest.raises(NotExecutableError, match=r"leads into /proc"):
            execute(Syscalls(), [path], {})


def test_a_program_that_may_be_executed_but_not_read_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "true"
    path.write_bytes(Path("/bin/true").read_bytes())
    path.chmod(stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    pid = os.fork()
    if pid == 0:
        try:
            execute(Syscalls(), [str(path)], {})
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
