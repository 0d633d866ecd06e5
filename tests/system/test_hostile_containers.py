"""Images and commands that try to get out, on the real kernel: what they reach is their own container.

Run as whoever runs the tests: as root with shifted ids, as an ordinary account with one id or a range.
"""

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airdock.errors import ContainerError, IsolationError, NotExecutableError
from airdock.model.mount import Mount
from airdock.model.usage import Resources
from airdock.runtime.cgroups import Cgroups
from airdock.runtime.launcher import Bundle, Container, Launcher
from airdock.runtime.spec import make_config

Running = tuple[Container, Path]
Start = Callable[..., Running]
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        os.chmod(folder, 0o755)
    return tmp_path


@pytest.fixture
def launcher(base: Path, unchanged_machine: object) -> Iterator[Launcher]:
    launcher = Launcher(folder=base / "run")
    launcher.start()
    try:
        _ = launcher.mapping
    except IsolationError as error:
        launcher.join()
        pytest.skip(f"this machine forbids containers: {error}")
    try:
        yield launcher
    finally:
        launcher.stop()
        launcher.join()


@pytest.fixture
def make_layer(base: Path) -> Callable[[], Path]:
    """Layers whose programs are the machine's, bound at /usr."""

    def make() -> Path:
        layer = base / f"layer-{len(list(base.glob('layer-*')))}"
        layer.mkdir()
        for name in ("bin", "lib", "lib64", "sbin"):
            (layer / name).symlink_to(f"usr/{name}")
        return layer

    return make


@pytest.fixture
def start(base: Path, launcher: Launcher, make_layer: Callable[[], Path]) -> Iterator[Start]:
    """Start a command in a container; gives it with the file that takes its output."""
    started: list[Container] = []

    def start_it(*argv: str, layer: Path | None = None, binds: tuple[Mount, ...] = (), **config: Any) -> Running:
        number = len(list((base / "run").glob("c*")))
        usr = Mount(source="/usr", target="/usr")
        settings = make_config(argv=argv, binds=(usr, *binds), **config)
        bundle = Bundle(
            id=f"hostile{number}", config=settings, layers=(layer or make_layer(),), folder=base / f"run/c{number}"
        )
        output = base / f"output-{number}"
        with output.open("wb") as file, open("/dev/null", "rb") as null:
            container = launcher.run(bundle, stdin=null.fileno(), stdout=file.fileno(), stderr=file.fileno())
        started.append(container)
        return container, output

    yield start_it
    for container in started:
        container.remove()


@pytest.fixture
def run(start: Start) -> Run:
    """Run a shell script in a container to its end: (exit code, output)."""

    def run_it(script: str, **options: Any) -> tuple[int, str]:
        container, output = start("/bin/sh", "-c", script, **options)
        ended = container.wait(60)
        assert ended is not None
        return ended.exit_code, output.read_text(errors="replace")

    return run_it


def test_a_link_to_an_open_descriptor_leads_to_nothing_of_the_machine(
    base: Path, run: Run, make_layer: Callable[[], Path]
) -> None:
    """While a container is set up, the machine's root was open: mount points were made through it."""
    victim = base / "victim"
    victim.mkdir()
    victim.chmod(0o777)
    source = base / "source"
    source.mkdir()
    for number in range(24):
        layer = make_layer()
        (layer / "workspace").symlink_to(f"/proc/self/fd/{number}{victim}")
        with pytest.raises(ContainerError):
            run("true", layer=layer, binds=(Mount(source=str(source), target="/workspace/made"),))
        shutil.rmtree(layer)
        assert list(victim.iterdir()) == []


@pytest.mark.parametrize("link", ["/proc/self/root/etc", "/proc/1/root/etc", "/proc/self/cwd", "../../../../../../etc"])
def test_links_out_of_the_root_end_inside(base: Path, run: Run, make_layer: Callable[[], Path], link: str) -> None:
    layer = make_layer()
    (layer / "etc").mkdir()
    (layer / "workspace").symlink_to(link)
    source = base / "source"
    source.mkdir()
    (source / "file").write_text("bound")
    try:
        code, said = run("cat /workspace/file", layer=layer, binds=(Mount(source=str(source), target="/workspace"),))
    except ContainerError:
        return
    assert (code, said) == (0, "bound")


@pytest.mark.parametrize("place", ["proc", "sys", "dev"])
def test_the_kernels_filesystems_are_mounted_where_they_belong(
    run: Run, make_layer: Callable[[], Path], place: str
) -> None:
    layer = make_layer()
    (layer / "elsewhere").mkdir()
    (layer / place).symlink_to("elsewhere")
    with pytest.raises(ContainerError, match=f"expected /{place} in the image to be a folder, found a link"):
        run("true", layer=layer)


def test_a_working_folder_in_proc_stays_inside(run: Run) -> None:
    for number in range(3, 16):
        try:
            _, said = run("pwd -P; ls ..", cwd=f"/proc/self/fd/{number}")
        except ContainerError:
            continue
        assert "root" not in said.split()[1:] and "home" not in said.split()[1:]


def test_nothing_but_stdio_is_open(run: Run) -> None:
    _, said = run("ls /proc/self/fd")
    assert said.split() == ["0", "1", "2", "3"]  # 3 is what ls reads


def test_pid_1_shows_nothing_of_the_machine(run: Run) -> None:
    files = ("environ", "maps", "mem", "exe", "cwd", "root", "fd", "ns/mnt", "map_files", "auxv", "stack", "syscall")
    for name in files:
        code, said = run(f"if test -d /proc/1/{name}; then ls /proc/1/{name}; else cat /proc/1/{name}; fi")
        assert code != 0, (name, said)
    code, said = run("cat /proc/1/cmdline")
    assert "pytest" not in said and "/" not in said


def test_processes_of_the_machine_are_out_of_sight(run: Run) -> None:
    _, said = run("cd /proc; echo [0-9]*; kill -0 -1; kill -9 1; echo alive")
    pids = said.splitlines()[0].split()
    assert len(pids) <= 3
    assert said.splitlines()[-1] == "alive"


def test_files_of_the_machine_are_out_of_reach(base: Path, run: Run) -> None:
    secret = base / "secret"
    secret.write_text("secret")
    code, said = run(f"cat {secret} /proc/self/root{secret} /proc/1/root{secret}; ls /root /home /var/lib")
    assert code != 0
    assert "secret\n" not in said and said.count("No such file") >= 2


def test_read_only_binds_stay_read_only(base: Path, run: Run) -> None:
    source = base / "source"
    source.mkdir()
    source.chmod(0o777)
    (source / "inner").mkdir(mode=0o777)
    code, said = run(
        "touch /ro/a; touch /ro/inner/b; mount -o remount,bind,rw /ro; touch /ro/c; umount /ro",
        binds=(Mount(source=str(source), target="/ro"),),
    )
    assert code != 0
    assert sorted(path.name for path in source.rglob("*")) == ["inner"], said


def test_the_kernels_settings_can_not_be_written(run: Run) -> None:
    script = """
    for file in /proc/sys/kernel/hostname /proc/sys/vm/drop_caches /proc/sysrq-trigger /proc/irq/default_smp_affinity \
        /sys/kernel/mm/transparent_hugepage/enabled /sys/fs/cgroup/cgroup.procs /proc/sys/kernel/core_pattern
    do (echo x > $file) 2> /dev/null && echo WROTE $file; done
    cat /proc/kcore /proc/keys /proc/timer_list 2> /dev/null | head -c 1
    """
    _, said = run(script)
    assert said == ""


def test_no_devices_can_be_made_or_mounted(run: Run) -> None:
    _, said = run(
        "mknod /dev/disk b 254 0 && echo MADE; mknod /disk b 254 0 && echo MADE; mount -t tmpfs x /mnt && echo MADE"
    )
    assert "MADE" not in said


def test_privileges_are_gone(run: Run) -> None:
    _, said = run("cat /proc/self/status")
    status = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert (status["CapInh"], status["CapAmb"]) == ("0" * 16, "0" * 16)
    assert (status["CapBnd"], status["CapEff"]) == ("00000000a80425fb", "00000000a80425fb")  # Docker's fourteen
    _, said = run("cat /proc/self/status", user=(0, 0, ()), network="none")
    assert "CapEff:\t00000000a80425fb" in said


def test_an_interpreter_of_the_machine_is_not_handed_out(start: Start, make_layer: Callable[[], Path]) -> None:
    """/proc/self/exe is still the machine's interpreter when a command is looked up: no way may lead there."""
    layer = make_layer()
    (layer / "one").write_text("#!/proc/self/exe\n")
    (layer / "two").write_text("#!/one\n")
    (layer / "link").symlink_to("/proc/self/exe")
    (layer / "three").write_text("#! /link -c\n")
    for name in ("one", "two", "three"):
        (layer / name).chmod(0o755)
    for command in ("/proc/self/exe", "/link", "/one", "/three", "/two"):
        with pytest.raises(NotExecutableError):
            start(command, "-c", "print(1)", layer=layer)


@pytest.mark.parametrize("network", ["host", "none"])
def test_what_each_network_mode_reaches(base: Path, run: Run, network: str) -> None:
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("needs /usr/bin/python3 to speak to sockets")
    name = f"airdock-test-{os.getpid()}"
    (base / "scripts").mkdir()
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket() as loopback:
        abstract.bind(f"\0{name}")
        abstract.listen()
        loopback.bind(("127.0.0.1", 0))
        loopback.listen()
        (base / "scripts/reach.py").write_text(
            f"""
import socket
for family, address in ((socket.AF_UNIX, "\\0{name}"), (socket.AF_INET, ("127.0.0.1", {loopback.getsockname()[1]}))):
    with socket.socket(family) as sock:
        print("reached" if sock.connect_ex(address) == 0 else "not")
"""
        )
        bind = Mount(source=str(base / "scripts"), target="/scripts")
        _, said = run("/usr/bin/python3 -I /scripts/reach.py", network=network, binds=(bind,))
    assert said.split() == ["reached" if network == "host" else "not"] * 2


def test_two_containers_do_not_see_each_other(start: Start, run: Run) -> None:
    _, output = start("/bin/sh", "-c", "echo first > /mine; echo first > /dev/shm/mine; echo ready; sleep 60")
    deadline = time.monotonic() + 30
    while output.read_text() != "ready\n":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    _, said = run("cat /mine /dev/shm/mine; cat /proc/[0-9]*/cmdline")
    assert "first\n" not in said
    assert "ready" not in said


def test_a_fork_bomb_is_held_by_its_limit(run: Run, launcher: Launcher) -> None:
    if not {"pids"} <= Cgroups.detect().controllers:
        pytest.skip("needs cgroups that can limit processes")
    code, said = run("i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i+1)); done", resources=Resources(pids=20))
    assert code != 0
    assert "fork" in said


def test_without_a_user_namespace_root_still_makes_no_devices(base: Path, unchanged_machine: object) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give up user namespaces")
    layer = base / "layer"
    layer.mkdir()
    for name in ("bin", "lib", "lib64", "sbin"):
        (layer / name).symlink_to(f"usr/{name}")
    script = """
    for place in / /dev /dev/shm; do cd $place; mknod disk c 1 3; cat disk && echo OPENED; done
    true > /dev/null
    """
    usr = Mount(source="/usr", target="/usr")
    launcher = Launcher(folder=base / "run", userns="host")
    launcher.start()
    try:
        bundle = Bundle(
            id="host",
            config=make_config(argv=["/bin/sh", "-c", script], binds=(usr,)),
            layers=(layer,),
            folder=base / "run/host",
        )
        with (base / "output").open("wb") as output, open("/dev/null", "rb") as null:
            container = launcher.run(bundle, stdin=null.fileno(), stdout=output.fileno(), stderr=output.fileno())
        ended = container.wait()
        container.remove()
    finally:
        launcher.stop()
        launcher.join()
    said = (base / "output").read_text()
    assert ended is not None and ended.exit_code == 0
    assert "OPENED" not in said and said.count("Permission denied") == 3


def test_a_named_pipe_keeps_its_owner(base: Path, launcher: Launcher, make_layer: Callable[[], Path]) -> None:
    os.mkfifo(base / "pipe")
    before = (base / "pipe").stat()
    usr = Mount(source="/usr", target="/usr")
    pipe = os.open(base / "pipe", os.O_RDWR)
    try:
        bundle = Bundle(
            id="pipe",
            config=make_config(argv=["/bin/echo", "said"], binds=(usr,)),
            layers=(make_layer(),),
            folder=base / "run/pipe",
        )
        container = launcher.run(bundle, stdin=pipe, stdout=pipe, stderr=pipe)
        container.wait()
        container.remove()
        assert os.read(pipe, 100) == b"said\n"
    finally:
        os.close(pipe)
    after = (base / "pipe").stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
