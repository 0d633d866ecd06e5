"""Peers that judge us and that are no commands of this machine: a private Docker engine, and private registries.

Their programs are unpacked from Debian's packages by `make test` into a cache folder and never installed, so that no
service of theirs runs on a machine that only ran our tests.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

PEERS = Path("/var/cache/airdock-tests/peers")
"""Where `make test` unpacks them."""

_READY_S = 30


@dataclass(frozen=True, kw_only=True)
class Docker:
    """A Docker engine of our own: `docker("build", …)` runs its client. Its containers have no network of their own.

    `folder` may be read by the engine; `socket` is where its API answers.
    """

    client: str
    socket: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What other programs need to talk to this engine."""
        return {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "1"}

    def __call__(
        self, *arguments: str, input: bytes | None = None, env: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the client; with `check` a failure is an AssertionError that shows what it printed."""
        done = subprocess.run(
            [self.client, *arguments],
            input=input,
            capture_output=True,
            timeout=300,
            env={**self.environment, "DOCKER_CONFIG": str(self.folder / "config"), **(env or {})},
        )
        if check:
            assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A distribution registry on loopback. `address` is HOST:PORT; `user` and `password` are empty where it is open."""

    address: str
    folder: Path
    user: str = ""
    password: str = ""


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """A Docker engine for these tests alone: own socket, own data, no bridge and no firewall rules."""
    if os.geteuid() != 0:
        pytest.skip("a Docker engine needs root")
    engine = _find("dockerd")
    folder = tmp_path_factory.mktemp("docker")
    listening = Path(f"/tmp/airdock-docker-{os.getpid()}.sock")  # a socket's path may have 107 characters
    argv = [
        *(str(engine), "--host", f"unix://{listening}", "--data-root", str(folder / "data")),
        *("--exec-root", str(folder / "exec"), "--pidfile", str(folder / "pid"), "--config-file", str(folder / "no")),
        *("--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "overlay2"),
        # Raising limits, and making oneself less likely to be killed, need CAP_SYS_RESOURCE.
        *("--oom-score-adjust", "0", "--default-ulimit", "nofile=1024:1024", "--default-ulimit", "nproc=1000:1000"),
    ]
    (folder / "no").write_text("{}")
    path = f"{PEERS}/usr/bin:{PEERS}/usr/sbin:{os.environ['PATH']}"
    made = Docker(client=str(_find("docker")), socket=listening, folder=folder)
    before = _cgroups("docker")
    plugins = Path("/run/docker/plugins")  # the one folder of it that no flag moves
    had_plugins = plugins.exists()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, "PATH": path}, process_group=0)
    try:
        _wait(lambda: made("version", check=False).returncode == 0, process, folder / "log", "the Docker engine")
        yield made
    finally:
        _end(process)
        listening.unlink(missing_ok=True)
        _unmount_below(folder)
        _remove_cgroups(_cgroups("docker") - before)
        if not had_plugins and plugins.exists():
            plugins.rmdir()
            plugins.parent.rmdir()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that lets everybody read, write and delete, over plain HTTP on loopback."""
    yield from _serve_registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that asks for a password (Basic)."""
    yield from _serve_registry(tmp_path_factory.mktemp("locked-registry"), user="reader", password="open sesame")


def _serve_registry(folder: Path, *, user: str = "", password: str = "") -> Iterator[Registry]:
    program = _find("docker-registry")
    port = _free_port()
    lines = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: '{folder}/data'}}, delete: {{enabled: true}}}}",
        f"http: {{addr: '127.0.0.1:{port}'}}",
    ]
    if user:
        (folder / "passwords").write_text(f"{user}:{_bcrypt(password)}\n")
        lines.append(f"auth: {{htpasswd: {{realm: tests, path: '{folder}/passwords'}}}}")
    (folder / "config.yml").write_text("\n".join(lines))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", folder / "config.yml"],
            stdout=log,
            stderr=log,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        _wait(lambda: _answers(port), process, folder / "log", "the registry")
        yield Registry(address=f"127.0.0.1:{port}", folder=folder, user=user, password=password)
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)


def _find(program: str) -> Path:
    for folder in (PEERS / "usr/bin", PEERS / "usr/sbin"):
        if (folder / program).exists():
            return folder / program
    pytest.skip(f"{program} isn't unpacked below {PEERS}: make test as root does it where apt-get is")


def _bcrypt(password: str) -> str:
    """libxcrypt knows the algorithm; its salt is no secret here."""
    import ctypes
    import ctypes.util

    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    found: bytes | None = library.crypt(password.encode(), b"$2b$05$abcdefghijklmnopqrstuu")
    assert found is not None
    return found.decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, what: str) -> None:
    deadline = time.monotonic() + _READY_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            text = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{what} didn't get ready in {_READY_S} s:\n{text}")
        time.sleep(0.05)  # it has no way of telling us


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _unmount_below(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False)


def _cgroups(name: str) -> set[Path]:
    return {path for path in Path("/sys/fs/cgroup").glob(f"*/**/{name}") if path.is_dir()}


def _remove_cgroups(folders: Sequence[Path] | set[Path]) -> None:
    for folder in folders:
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
        folder.rmdir()
