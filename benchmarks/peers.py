"""The peers: how each runs a container or builds an image from the same root folder, or why it can't here.

Each function gives a contestant, after one run that shows that it works. Flags are what the peer needs on machines
where root has not all capabilities, and what makes the work the same: no network, no terminal.
"""

import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ground import IMAGE, Ground, run
from measure import Contestant, SkippedError, timed

__all__ = [
    "buildah_build",
    "bwrap_run",
    "docker_build",
    "docker_client",
    "docker_exec",
    "docker_run",
    "podman_client",
    "podman_exec",
    "podman_run",
    "runc_run",
]

_ULIMITS: Final = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
_SERIAL: Final = itertools.count()
_ANSWERS_S: Final = 5
_READY_S: Final = 30
_UNPACKED: Final = Path("/var/cache/airdock-tests/peers")


def _need(program: str) -> None:
    if not shutil.which(program):
        raise SkippedError("not installed")


def _tried(work: Callable[[], object]) -> Contestant:
    work()
    return timed(work)


def runc_run(ground: Ground) -> Contestant:
    """`runc run` of runc's own default spec, which has no seccomp filter."""
    _need("runc")
    bundle = ground.folder / "bundle"
    bundle.mkdir(exist_ok=True)
    path = bundle / "config.json"
    path.unlink(missing_ok=True)
    run(["runc", "spec", *(["--rootless"] if os.geteuid() else [])], cwd=bundle)
    config = json.loads(path.read_text())
    config["root"]["path"] = str(ground.root)
    config["process"].update(args=["true"], terminal=False)
    path.write_text(json.dumps(config))
    state = ground.folder / "runc"
    return _tried(lambda: run(["runc", "--root", state, "run", "-b", bundle, f"bench-{os.getpid()}-{next(_SERIAL)}"]))


def bwrap_run(ground: Ground) -> Contestant:
    _need("bwrap")
    argv = ["bwrap", "--ro-bind", ground.root, "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all", "true"]
    return _tried(lambda: run(argv))


def podman_run(ground: Ground) -> Contestant:
    podman = _podman(ground)
    flags = ["--rm", *_ULIMITS, "--network", "none"]
    return _tried(lambda: run([*podman, "run", *flags, IMAGE, "true"], env=_podman_env(ground)))


def _podman(ground: Ground) -> list[str | Path]:
    _need("podman")
    return ["podman", *_storage(ground), "--cgroup-manager", "cgroupfs", "--runtime", "runc"]


def podman_client(ground: Ground) -> tuple[list[str | Path], dict[str, str]]:
    """The command with a store of our own, and the environment it needs."""
    return _podman(ground), _podman_env(ground)


def docker_run(ground: Ground) -> Contestant:
    docker = docker_client(ground)
    return _tried(lambda: run([*docker, "run", "--rm", "--network", "none", IMAGE, "true"]))


def docker_build(ground: Ground, context: Path, *, cached: bool) -> Contestant:
    """BuildKit inside the engine."""
    docker = docker_client(ground)
    flags = ["--network", "none", *([] if cached else ["--no-cache"])]
    env = {**os.environ, "DOCKER_BUILDKIT": "1"}
    return _tried(lambda: run([*docker, "build", *flags, "-t", "bench-peer", context], env=env))


def docker_exec(ground: Ground) -> Contestant:
    docker = docker_client(ground)
    name = f"airdock-bench-{os.getpid()}"
    run([*docker, "run", "--detach", "--name", name, "--network", "none", IMAGE, "sleep", "3600"])
    ground.at_end(lambda: run([*docker, "rm", "--force", name]))
    return _tried(lambda: run([*docker, "exec", name, "true"]))


def podman_exec(ground: Ground) -> Contestant:
    podman = _podman(ground)
    name = f"airdock-bench-{os.getpid()}"
    env = _podman_env(ground)
    run([*podman, "run", "--detach", "--name", name, *_ULIMITS, "--network", "none", IMAGE, "sleep", "3600"], env=env)
    ground.at_end(lambda: run([*podman, "rm", "--force", "--time", "0", name], env=env))
    return _tried(lambda: run([*podman, "exec", name, "true"], env=env))


def docker_client(ground: Ground) -> list[str | Path]:
    """The client of an engine that answers, with our image in it: the machine's, or one that `make test` unpacked."""
    if ground.docker is None:
        ground.docker = _installed_docker() or _private_docker(ground)
        run([*ground.docker, "import", ground.base, IMAGE])
        ground.at_end(lambda: run([*(ground.docker or ()), "image", "rm", "--force", IMAGE]))
    return ground.docker


def _installed_docker() -> list[str | Path] | None:
    try:
        _need("docker")
        run(["timeout", str(_ANSWERS_S), "docker", "version", "--format", "{{.Server.Version}}"])
    except SkippedError:
        return None
    return ["docker"]


def _private_docker(ground: Ground) -> list[str | Path]:
    """An engine of our own that ends with us, without a bridge and without firewall rules."""
    programs = [folder / "dockerd" for folder in (_UNPACKED / "usr/sbin", _UNPACKED / "usr/bin")]
    engine = next((program for program in programs if program.exists()), None)
    if engine is None or os.geteuid() != 0:
        raise SkippedError("no engine answers, and none can be started: make test as root unpacks one")
    folder = ground.folder / "docker"
    folder.mkdir()
    address = f"unix:///tmp/airdock-bench-{os.getpid()}.sock"  # a socket's path may have 107 characters
    argv = [
        *(engine, "--host", address, "--data-root", folder / "data", "--exec-root", folder / "exec"),
        *("--pidfile", folder / "pid", "--config-file", folder / "settings", "--storage-driver", "overlay2"),
        *("--iptables=false", "--ip6tables=false", "--bridge=none", "--oom-score-adjust", "0"),
        *("--default-ulimit", "nofile=1024:1024", "--default-ulimit", "nproc=1000:1000"),
    ]
    (folder / "settings").write_text("{}")
    env = {**os.environ, "PATH": f"{_UNPACKED}/usr/bin:{_UNPACKED}/usr/sbin:{os.environ['PATH']}"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=env, process_group=0)

    def end() -> None:
        process.terminate()
        process.wait()
        Path(address.removeprefix("unix://")).unlink(missing_ok=True)
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", line.split()[1]], capture_output=True)

    ground.at_end(end)
    client: list[str | Path] = [_UNPACKED / "usr/bin/docker", "--host", address]
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            run([*client, "version"])
        except SkippedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SkippedError("its engine doesn't start here") from None
            time.sleep(0.05)
        else:
            return client


def buildah_build(ground: Ground, context: Path, *, cached: bool) -> Contestant:
    _need("buildah")
    flags = ["--runtime", "runc", "--isolation", "oci", *_ULIMITS, "--network", "none", "--layers"]
    buildah = ["buildah", *_storage(ground), "bud", *flags, *([] if cached else ["--no-cache"])]
    return _tried(lambda: run([*buildah, "-t", "bench-peer", context], env=_podman_env(ground)))


def _storage(ground: Ground) -> list[str | Path]:
    """The store that podman and buildah share, with the image in it."""
    folder = ground.folder / "storage"
    flags: list[str | Path] = ["--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "overlay"]
    if not folder.exists():
        _need("podman")
        (folder / "user").mkdir(parents=True, mode=0o700)
        ground.at_end(lambda: _remove_storage(ground, folder))
        run(["podman", *flags, "import", ground.base, IMAGE], env=_podman_env(ground))
    return flags


def _podman_env(ground: Ground) -> dict[str, str]:
    """What podman keeps per login session goes to our folder too."""
    return {**ground.env, "XDG_RUNTIME_DIR": str(ground.folder / "storage/user")}


def _remove_storage(ground: Ground, folder: Path) -> None:
    for mount in ("overlay", "overlay-containers"):
        subprocess.run(["umount", "--lazy", folder / "root" / mount], capture_output=True)
    # An ordinary account's mounts are in a namespace that a process of podman's holds.
    for held in folder.glob("user/libpod/tmp/pause.pid"):
        _end(int(held.read_text()))
    ground.remove(folder)


def _end(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    select.select([descriptor], [], [])
    os.close(descriptor)
