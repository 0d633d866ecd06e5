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
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ground import IMAGE, Ground, run
from measure import Contestant, SkippedError, timed

__all__ = ["buildah_build", "bwrap_run", "docker_run", "podman_run", "runc_run"]

_ULIMITS: Final = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
_ANSWERS_S: Final = 5


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
    bundle.mkdir()
    run(["runc", "spec", *(["--rootless"] if os.geteuid() else [])], cwd=bundle)
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    config["root"]["path"] = str(ground.root)
    config["process"].update(args=["true"], terminal=False)
    path.write_text(json.dumps(config))
    serial = itertools.count()
    state = ground.folder / "runc"
    return _tried(lambda: run(["runc", "--root", state, "run", "-b", bundle, f"bench-{os.getpid()}-{next(serial)}"]))


def bwrap_run(ground: Ground) -> Contestant:
    _need("bwrap")
    argv = ["bwrap", "--ro-bind", ground.root, "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all", "true"]
    return _tried(lambda: run(argv))


def podman_run(ground: Ground) -> Contestant:
    _need("podman")
    podman = ["podman", *_storage(ground), "--cgroup-manager", "cgroupfs", "--runtime", "runc"]
    flags = ["--rm", *_ULIMITS, "--network", "none"]
    return _tried(lambda: run([*podman, "run", *flags, IMAGE, "true"], env=_podman_env(ground)))


def docker_run(ground: Ground) -> Contestant:
    _need("docker")
    try:
        run(["timeout", str(_ANSWERS_S), "docker", "version", "--format", "{{.Server.Version}}"])
    except SkippedError:
        raise SkippedError("no engine answers") from None
    name = f"airdock-bench-{os.getpid()}"
    run(["docker", "import", ground.base, name])
    ground.at_end(lambda: run(["docker", "image", "rm", "--force", name]))
    return _tried(lambda: run(["docker", "run", "--rm", "--network", "none", name, "true"]))


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
