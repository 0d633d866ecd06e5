"""What the launcher promises, tried for real by whoever runs this: each case ends quietly or with an AssertionError.

    launcher_cases.py FOLDER CASE

A case gets a folder of its own and a launcher that works there.
"""

import errno
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from airdock.errors import (
    AirdockError,
    CommandNotFoundError,
    ContainerError,
    IsolationError,
    NotExecutableError,
    UnknownContainerError,
)
from airdock.model.mount import Mount
from airdock.model.usage import Resources
from airdock.runtime.exec import exec_in, start_exec
from airdock.runtime.launcher import Bundle, Container, Ended, Launcher
from airdock.runtime.spec import make_config
from airdock.runtime.state import find_container, list_containers


class World:
    """A folder, a launcher, and a layer whose programs are the machine's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher = Launcher(folder=folder / "run")
        self.layer = folder / "layer"
        self.count = 0
        for name in ("etc", "tmp", "srv"):
            (self.layer / name).mkdir(parents=True, exist_ok=True)
        for name in ("bin", "lib", "lib64", "sbin"):
            if not (self.layer / name).is_symlink():
                (self.layer / name).symlink_to(f"usr/{name}")
        (self.layer / "etc/passwd").write_text("root:x:0:0::/root:\nuser:x:1000:1001::/home/user:\n")
        (self.layer / "etc/group").write_text("root:x:0:\nuser:x:1001:\nmore:x:1002:user\n")

    def bundle(self, argv: tuple[str, ...], binds: tuple[Mount, ...] = (), **config: Any) -> Bundle:
        self.count += 1
        settings = make_config(argv=argv, binds=(Mount(source="/usr", target="/usr"), *binds), **config)
        folder = self.folder / f"run/containers/c{self.count}"
        return Bundle(id=f"case{self.count}", config=settings, layers=(self.layer,), folder=folder)

    def start(self, *argv: str, stdin: int | None = None, **config: Any) -> tuple[Container, int]:
        """A container, and the end of a pipe with its output."""
        reading, writing = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        try:
            own = null if stdin is None else stdin
            return self.launcher.run(self.bundle(argv, **config), stdin=own, stdout=writing, stderr=writing), reading
        finally:
            os.close(writing)
            os.close(null)

    def run(self, *argv: str, **config: Any) -> tuple[Ended, str]:
        container, reading = self.start(*argv, **config)
        said = read_all(reading)
        ended = container.wait(60)
        assert ended is not None
        container.remove()
        return ended, said

    def sh(self, script: str, **config: Any) -> str:
        ended, said = self.run("sh", "-c", script, **config)
        assert ended.exit_code == 0, (ended, said)
        return said


def read_all(descriptor: int) -> str:
    with open(descriptor, "rb") as file:
        return file.read().decode()


def case_commands_run_and_say_how_they_ended(world: World) -> None:
    assert world.sh("echo hello; echo there >&2") == "hello\nthere\n"
    for script, code, number in (
        ("exit 0", 0, None),
        ("exit 7", 7, None),
        ("kill -9 $$", 137, 9),
        ("kill $$", 143, 15),
    ):
        ended, _ = world.run("sh", "-c", script)
        assert (ended.exit_code, ended.signal, ended.oom) == (code, number, False), ended
    assert list_containers(world.folder / "run/containers") == []


def case_what_cannot_be_executed_is_told(world: World) -> None:
    expected: dict[str, type[AirdockError]] = {
        "no-such": CommandNotFoundError,
        "/no/such": CommandNotFoundError,
        "/etc": NotExecutableError,
        "/etc/passwd": NotExecutableError,
        "/proc/self/exe": NotExecutableError,
    }
    for name, kind in expected.items():
        try:
            world.start(name)
        except kind:
            continue
        raise AssertionError(f"{name} was executed")


def case_ids_are_mapped_as_the_mapping_says(world: World) -> None:
    mapping = world.launcher.mapping
    (line, *more) = world.sh("cat /proc/self/uid_map").splitlines()
    if mapping == "root":
        assert line.split() == ["0", "200000", "65536"]
        assert world.launcher.id_shift == 200_000
    else:
        assert line.split()[0] == "0"
        assert bool(more) == (mapping == "ranges")
        assert world.launcher.id_shift == 0
        assert bool(world.launcher.ranges_reason) == (mapping == "one")


def case_users_are_found_in_the_image(world: World) -> None:
    assert world.sh("id -u; id -g; echo $HOME", user="root") == "0\n0\n/root\n"
    if world.launcher.mapping == "one":
        try:
            world.start("true", user="user")
        except ContainerError as error:
            assert "can't run as uid 1000" in error.message
            assert "/etc/subuid" in error.hint
        else:
            raise AssertionError("a user without an id")
        return
    assert world.sh("id -u; id -g; id -G; echo $HOME; grep CapEff /proc/self/status", user="user") == (
        "1000\n1001\n1001 1002\n/home/user\nCapEff:\t0000000000000000\n"
    )
    assert world.sh("id -u; id -g", user="4711:4712") == "4711\n4712\n"
    assert world.sh("id -u; id -G", user=(5, 6, (7,))) == "5\n6 7\n"
    try:
        world.start("true", user="nobody-here")
    except ContainerError as error:
        assert "expected the user 'nobody-here'" in error.message
    else:
        raise AssertionError("a user that isn't there")


def case_what_is_written_lies_in_upper_with_shifted_ids(world: World) -> None:
    container, reading = world.start("sh", "-c", "echo x > /srv/file; rm /etc/group; mkdir -m 700 /made")
    read_all(reading)
    container.wait()
    upper = container.upper
    assert (upper / "srv/file").read_text() == "x\n"
    status = (upper / "srv/file").stat()
    assert status.st_uid == (world.launcher.id_shift or os.getuid())
    assert (upper / "etc/group").stat().st_rdev == 0
    assert not (world.layer / "srv/file").exists()
    own = {"proc", "dev", "sys"}
    assert set(container.mount_points) == own | {"usr", "etc/resolv.conf", "etc/hosts", "etc/hostname"}
    container.remove(keep_upper=True)
    assert os.listdir(container.state.folder) == ["upper"]
    world.launcher.remove(Path(container.state.folder))
    assert not os.path.exists(container.state.folder)


def case_binds_of_folders_and_files(world: World) -> None:
    shared, file, secret = world.folder / "shared", world.folder / "file", world.folder / "closed/deep"
    shared.mkdir()
    file.write_text("from outside\n")
    secret.mkdir(parents=True)
    (secret / "file").write_text("deep\n")
    (secret.parent).chmod(0o700)
    binds = (
        Mount(source=str(shared), target="/workspace", read_only=False),
        Mount(source=str(file), target="/run/deep/file"),
        Mount(source=str(secret), target=str(secret)),
    )
    script = (
        f"echo inside > /workspace/out; cat /run/deep/file {secret}/file; touch /run/deep/file 2>&1; ls -n /workspace"
    )
    _, said = world.run("sh", "-c", script, binds=binds)
    lines = said.splitlines()
    assert lines[:2] == ["from outside", "deep"], said
    assert "Read-only file system" in lines[2]
    assert lines[4].split()[2:4] == ["0", "0"], said
    assert (shared / "out").read_text() == "inside\n"
    assert (shared / "out").stat().st_uid == os.getuid()
    try:
        world.start("true", binds=(Mount(source=str(world.folder / "absent"), target="/x"),))
    except ContainerError as error:
        assert "can't bind" in error.message
    else:
        raise AssertionError("a bind of nothing")


def case_many_layers(world: World) -> None:
    layers = []
    for number in range(70):
        layer = world.folder / "layers" / f"{number:064}"
        layer.mkdir(parents=True)
        (layer / "which").write_text(f"{number}\n")
        (layer / f"own-{number}").touch()
        layers.append(layer)
    bundle = world.bundle(("sh", "-c", "cat /which; ls / | grep -c own-"))
    bundle = Bundle(id=bundle.id, config=bundle.config, layers=(world.layer, *layers), folder=bundle.folder)
    reading, writing = os.pipe()
    container = world.launcher.run(bundle, stdin=0, stdout=writing, stderr=writing)
    os.close(writing)
    assert read_all(reading) == "69\n70\n"
    container.remove()


def case_a_read_only_root(world: World) -> None:
    said = world.sh("touch /x 2>&1; touch /tmp/y && echo tmpfs", read_only_root=True, tmpfs=["/tmp"], cwd="/srv")
    assert "Read-only file system" in said
    assert said.endswith("tmpfs\n")


def case_the_working_folder_is_made(world: World) -> None:
    assert world.sh("pwd; id -u", cwd="/new/folder") == "/new/folder\n0\n"


def case_names_are_the_containers(world: World) -> None:
    assert world.sh("cat /proc/sys/kernel/hostname /etc/hostname", hostname="box") == "box\nbox\n"
    assert world.sh("cat /proc/sys/kernel/hostname").startswith("case")
    assert "box" in world.sh("cat /etc/hosts", hostname="box", network="none")


def case_output_can_be_opened_again(world: World) -> None:
    assert world.sh("echo again > /dev/stdout; echo more > /proc/self/fd/2") == "again\nmore\n"
    if world.launcher.mapping != "one":
        assert world.sh("echo again > /dev/stdout", user="user") == "again\n"


def case_a_large_environment(world: World) -> None:
    env = {f"NAME_{number}": "x" * 1000 for number in range(600)}
    assert world.sh("env | grep -c NAME_", env=env) == "600\n"


def case_stdin_is_passed_on(world: World) -> None:
    reading, writing = os.pipe()
    container, output = world.start("cat", stdin=reading)
    os.close(reading)
    os.write(writing, b"through\n")
    os.close(writing)
    assert read_all(output) == "through\n"
    container.remove()


def case_stop_asks_waits_and_kills(world: World) -> None:
    polite, output = world.start("sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; sleep 60 & wait")
    assert os.read(output, 6) == b"ready\n"
    assert polite.stop(30).exit_code == 3
    assert read_all(output) == "bye\n"
    plain, output = world.start("sleep", "60")  # pid 1 passes it on: a program without a handler ends
    assert plain.stop(30).signal == signal.SIGTERM
    os.close(output)
    stubborn, output = world.start("sh", "-c", "trap '' TERM; echo ready; sleep 60 & wait; sleep 60")
    assert os.read(output, 6) == b"ready\n"
    begun = time.monotonic()
    ended = stubborn.stop(0.3)
    assert (ended.exit_code, ended.signal) == (137, signal.SIGKILL)
    assert time.monotonic() - begun < 30
    assert read_all(output) == ""  # its children are gone too
    for container in (polite, plain, stubborn):
        container.signal(signal.SIGTERM)
        container.remove()
        container.remove()


def case_wait_has_a_timeout_and_a_descriptor(world: World) -> None:
    container, output = world.start("sleep", "60")
    assert container.wait(0.01) is None
    poll = select.poll()
    poll.register(container, select.POLLIN)
    assert poll.poll(0) == []
    container.signal(signal.SIGKILL)
    assert poll.poll(30_000)
    assert container.wait() is container.wait(0)
    assert poll.poll(0)
    os.close(output)
    container.remove()


def case_orphans_are_reaped(world: World) -> None:
    script = (
        "(sh -c 'true & sleep 0.1' &); sleep 0.5; for p in /proc/[0-9]*; do cut -d' ' -f3 $p/stat; done | grep -c Z"
    )
    _, said = world.run("sh", "-c", script)
    assert said == "0\n", said


def case_what_stays_behind_ends_with_the_command(world: World) -> None:
    container, output = world.start("sh", "-c", "setsid sleep 1000 & echo started")
    assert read_all(output) == "started\n"  # ends only when nobody has the pipe any more
    assert container.wait() is not None
    container.remove()


def case_several_threads_run_containers(world: World) -> None:
    answers: list[str] = []

    def work(number: int) -> None:
        for _ in range(3):
            answers.append(world.sh(f"sleep 0.0{number}; echo {number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted(f"{number}\n" for number in range(6) for _ in range(3))


def case_a_launcher_beside_threads_is_spawned(world: World) -> None:
    quit_ = threading.Event()
    thread = threading.Thread(target=quit_.wait)
    thread.start()
    try:
        assert world.sh("echo spawned") == "spawned\n"
        assert Path(f"/proc/{world.launcher.pid}/cmdline").read_bytes().startswith(b"airdock-launcher\0")
    finally:
        quit_.set()
        thread.join()


def case_use_is_measured(world: World) -> None:
    ended, _ = world.run("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    assert ended.usage.cpu_s > 0.01
    assert ended.usage.memory_peak_bytes > 100_000


def case_memory_is_limited(world: World) -> None:
    limit = 32 << 20
    script = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo done"
    container, output = world.start("sh", "-c", script, resources=Resources(memory_bytes=limit))
    limited = container.state.cgroups
    if not limited:
        os.close(output)
        container.remove()
        sys.stdout.write("skipped: memory can't be limited here\n")
        return
    read_all(output)
    ended = container.wait(60)
    assert ended is not None
    assert ended.oom, ended
    assert ended.exit_code == 137 or ended.exit_code == 2, ended
    assert ended.memory_limit_bytes == limit
    assert ended.usage.memory_peak_bytes <= limit + (1 << 20)
    container.remove()


def case_processes_are_limited(world: World) -> None:
    container, output = world.start(
        "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done 2>&1; wait", resources=Resources(pids=6)
    )
    limited = container.state.cgroups
    said = read_all(output)
    container.remove()
    assert not limited or "fork" in said.lower(), said


def case_one_more_command(world: World) -> None:
    container, output = world.start("sh", "-c", "echo ready; sleep 60", env={"A": "1"}, cwd="/srv")
    assert os.read(output, 6) == b"ready\n"
    state = find_container(world.folder / "run/containers", container.id)

    def execute(*argv: str, **options: Any) -> tuple[int, str]:
        reading, writing = os.pipe()
        code = exec_in(state, argv=argv, stdin=0, stdout=writing, stderr=writing, **options)
        os.close(writing)
        return code, read_all(reading)

    assert execute("sh", "-c", "pwd; echo $A$B; id -u; exit 5", env={"B": "2"}) == (5, "/srv\n12\n0\n")
    assert execute("sh", "-c", "grep -h Seccomp: /proc/self/status; ls /proc | grep -c '^[0-9]'")[0] == 0
    assert "CapEff:\t00000000a80425fb" in execute("cat", "/proc/self/status")[1]
    for name, kind in (("no-such", CommandNotFoundError), ("/etc/passwd", NotExecutableError)):
        try:
            execute(name)
        except kind:
            continue
        raise AssertionError(f"{name} was executed")
    with_terminal = start_exec(state, argv=["tty"], terminal=True, stdin=0, stdout=1, stderr=2)
    assert with_terminal.wait() == 0
    assert os.read(with_terminal.terminal, 100) == b"/dev/pts/0\r\n"
    os.close(with_terminal.terminal)
    signalled = start_exec(state, argv=["sleep", "60"], stdin=0, stdout=1, stderr=2)
    signalled.signal(signal.SIGTERM)
    assert signalled.wait() == 143
    orphan = start_exec(state, argv=["sleep", "60"], stdin=0, stdout=1, stderr=2)
    container.stop(0)
    assert orphan.wait() == 137
    os.close(output)
    container.remove()
    try:
        execute("true")
    except UnknownContainerError:
        return
    raise AssertionError("a command in a container that is gone")


def case_a_terminal(world: World) -> None:
    container, output = world.start("sh", "-c", "tty; read line; echo got $line", terminal=True)
    os.close(output)
    os.write(container.terminal, b"typed\n")
    said = b""
    while b"got typed" not in said:
        said += os.read(container.terminal, 100)
    assert b"/dev/pts/0" in said
    assert container.wait(30) is not None
    container.remove()


def case_functions_run_with_all_ids(world: World) -> None:
    folder = world.folder / "tree"
    (folder / "closed").mkdir(parents=True)
    (folder / "closed").chmod(0)
    world.launcher.call("airdock.runtime.removal:remove_tree", {"path": str(folder)})
    assert not folder.exists()
    for function, arguments, kind in (
        ("airdock.runtime.state:find_container", {"root": "/nowhere", "name": "x"}, UnknownContainerError),
        ("os:listdir", {"path": "/"}, ContainerError),
        ("airdock.runtime.removal:no_such", {}, ContainerError),
        ("airdock.runtime.idmaps:find_range", {"path": "/", "uid": 0, "nonsense": 1}, ContainerError),
    ):
        try:
            world.launcher.call(function, arguments)
        except kind:
            continue
        raise AssertionError(function)


def case_a_handle_that_is_closed_ends_its_container(world: World) -> None:
    container, output = world.start("sleep", "60")
    container._session.close()
    assert read_all(output) == ""
    world.launcher.remove(Path(container.state.folder))


def case_a_launcher_that_dies_while_it_starts_is_replaced(world: World) -> None:
    world.launcher.start()
    os.kill(world.launcher.pid, signal.SIGKILL)
    assert world.sh("echo other") == "other\n"


def case_threads_that_wait_for_a_launcher_that_dies_get_another(world: World) -> None:
    for _ in range(5):
        world.launcher.start()
        os.kill(world.launcher.pid, signal.SIGSTOP)
        with ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(lambda: world.launcher.mapping) for _ in range(8)]
            time.sleep(0.05)  # they wait for it by now
            os.kill(world.launcher.pid, signal.SIGKILL)
            assert len({each.result() for each in asked}) == 1
        world.launcher.stop()
        world.launcher.join()


def case_a_killed_launcher_takes_its_containers_along(world: World) -> None:
    container, output = world.start("sh", "-c", "sleep 60 & echo $$; sleep 60")
    assert os.read(output, 2) == b"2\n"
    os.kill(world.launcher.pid, signal.SIGKILL)
    assert read_all(output) == ""
    try:
        container.wait()
    except ContainerError as error:
        assert "launcher" in error.message
    else:
        raise AssertionError("a launcher that answers from the grave")
    assert container.state.alive is False
    assert find_container(world.folder / "run/containers", container.id).current_status == "dead"
    container.remove()  # the same handle starts another
    assert world.sh("echo anew") == "anew\n"
    world.launcher.stop()
    world.launcher.join()
    world.launcher.start()
    assert world.sh("echo again") == "again\n"


def case_a_stopped_launcher_leaves_nothing(world: World) -> None:
    containers = [world.start("sleep", "60") for _ in range(3)]
    world.launcher.stop()
    world.launcher.stop()
    world.launcher.join()
    for container, output in containers:
        assert read_all(output) == ""
        assert not container.state.alive
        container._session.close()
    assert world.launcher.pid == 0
    try:
        world.start("true")
    except ContainerError as error:
        assert "the launcher was stopped" in error.message
    else:
        raise AssertionError("a stopped launcher started by itself")


def case_root_may_give_up_user_namespaces(world: World) -> None:
    world.launcher = Launcher(folder=world.folder / "run", userns="host")
    try:
        said = world.sh("cat /proc/self/uid_map; grep CapEff /proc/self/status; touch /srv/file")
    except IsolationError as error:
        assert os.geteuid() != 0, error
        assert "expected userns to be 'auto', found 'host'" in error.message
        return
    assert said.split() == ["0", "0", "4294967295", "CapEff:", "00000000a80425fb"]
    assert (world.launcher.mapping, world.launcher.id_shift) == ("root", 0)


def case_a_launcher_that_is_not_needed_ends_quietly(world: World) -> None:
    for _ in range(5):
        world.launcher.start()
        world.launcher.stop()
        world.launcher.join()


OWNER = """
import os, sys
sys.argv[1:] = [{folder!r}, ""]
exec(open({script!r}).read())
world = World(Path({folder!r}))
container, output = world.start("sh", "-c", "sleep 60; sleep 60")
print(json.dumps([world.launcher.pid, container.pid]), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def case_a_killed_owner_takes_all_along(world: World) -> None:
    folder = str(world.folder / "owner")
    Path(folder).mkdir()
    code = OWNER.format(folder=folder, script=str(Path(__file__).absolute()))
    owner = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert owner.returncode == -signal.SIGKILL, owner.stderr
    for pid in json.loads(owner.stdout):
        for _ in range(200):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
            except OSError as error:
                assert error.errno == errno.EPERM, error
            time.sleep(0.05)
        else:
            raise AssertionError(f"process {pid} outlives its owner")
    world.launcher.remove(Path(folder))


def cases() -> dict[str, Callable[[World], None]]:
    return {name.removeprefix("case_"): case for name, case in globals().items() if name.startswith("case_")}


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    world = World(folder)
    try:
        cases()[name](world)
    finally:
        world.launcher.stop()
        world.launcher.join()


if __name__ == "__main__" and sys.argv[2]:
    main()
