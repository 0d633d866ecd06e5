"""An image to a registry on loopback and back, as whole processes: sent as it is stored; fetched, checked and unpacked.

The registry is Debian's docker-registry with nothing in it before each push. Peers pack again or not as they do by
themselves; skopeo's copy unpacks nothing.
"""

import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ground import Ground, run
from measure import Contestant, Figure, SkippedError, contest, timed
from peers import docker_client, podman_client

__all__ = ["NAME", "measure"]

NAME: Final = "registry"
PUSH_MS, PULL_MS = 350.0, 1200.0
_PROGRAM: Final = Path("/var/cache/airdock-tests/peers/usr/bin/docker-registry")
_LARGER: Final = Path("/var/cache/airdock-tests/bookworm-apt.tar")
_READY_S: Final = 20
_REPOSITORY: Final = "bench/image:1"


class _Registry:
    """A registry of our own, ended with the ground."""

    def __init__(self, ground: Ground) -> None:
        program = shutil.which("docker-registry") or (str(_PROGRAM) if _PROGRAM.exists() else "")
        if not program:
            raise SkippedError("needs docker-registry: make test as root unpacks it")
        self._data = ground.folder / "registry"
        self._data.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.name = f"127.0.0.1:{port}/{_REPOSITORY}"
        settings = ground.folder / "registry.yml"
        settings.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: '{self._data}'}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        )
        with (ground.folder / "registry.log").open("wb") as log:
            environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
            process = subprocess.Popen([program, "serve", settings], stdout=log, stderr=log, env=environment)
        ground.at_end(lambda: (process.kill(), process.wait()))  # told to end it waits for clients that are kept
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SkippedError("the registry doesn't start here") from None
                time.sleep(0.05)

    def empty(self) -> None:
        """Forget everything, so that everything is sent."""
        shutil.rmtree(self._data / "docker", ignore_errors=True)


def measure(ground: Ground) -> list[Figure]:
    registry = _Registry(ground)
    tar = _LARGER if _LARGER.exists() else ground.base
    ground.run_airdock("image", "import", tar, registry.name)
    stored = f"a root folder of {tar.stat().st_size / 1e6:.0f} MB in one layer, gzip"
    push = _push(ground, registry, tar, stored)
    registry.empty()
    ground.run_airdock("image", "push", "-q", registry.name)
    return [push, _pull(ground, registry, stored)]


def _after(prepare: Callable[[], object], work: Callable[[], object]) -> Contestant:
    """Only `work` counts."""

    def once() -> float:
        prepare()
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) * 1000

    return once


def _push(ground: Ground, registry: _Registry, tar: Path, stored: str) -> Figure:
    def forget() -> None:
        registry.empty()
        (ground.home / "cache/sources.json").unlink(missing_ok=True)

    def docker() -> Contestant:
        client = docker_client(ground)
        run([*client, "import", tar, registry.name])
        return _after(registry.empty, lambda: run([*client, "push", "-q", registry.name]))

    def podman() -> Contestant:
        client, env = podman_client(ground)
        run([*client, "import", tar, registry.name], env=env)
        flags = ["--tls-verify=false", "-q"]
        return _after(registry.empty, lambda: run([*client, "push", *flags, registry.name], env=env))

    def skopeo() -> Contestant:
        source = f"oci:{ground.home / 'images'}:{registry.name}"
        flags = ["--insecure-policy", "copy", "-q", "--dest-tls-verify=false"]
        return _after(registry.empty, lambda: _skopeo(*flags, source, f"docker://{registry.name}"))

    ours, peers = contest(
        _after(forget, lambda: ground.run_airdock("image", "push", "-q", registry.name)),
        {"docker push": docker, "podman push": podman, "skopeo copy": skopeo},
        rounds=ground.rounds(7, 2),
    )
    return Figure(title="push", unit="ms", ours=ours, budget=PUSH_MS, peers=peers, notes=[stored])


def _pull(ground: Ground, registry: _Registry, stored: str) -> Figure:
    homes = (ground.folder / f"pulling-{number}" for number in itertools.count())

    def airdock() -> float:
        # A home for each: ext4 searches long for inodes that weren't deleted a moment ago.
        home = next(homes)
        ground.at_end(lambda: ground.remove(home / "images"))
        env = {**ground.env, "AIRDOCK_HOME": str(home)}
        return timed(lambda: run([*ground.airdock, "image", "pull", "-q", registry.name], env=env))()

    def docker() -> Contestant:
        client = docker_client(ground)
        remove = [*client, "image", "rm", "-f", registry.name]
        return _after(lambda: run(remove), lambda: run([*client, "pull", "-q", registry.name]))

    def podman() -> Contestant:
        client, own = podman_client(ground)
        pull = [*client, "pull", "-q", "--tls-verify=false", registry.name]
        remove = [*client, "image", "rm", "--ignore", "-f", registry.name]
        return _after(lambda: run(remove, env=own), lambda: run(pull, env=own))

    def skopeo() -> Contestant:
        target = ground.folder / "copied"
        flags = ["--insecure-policy", "copy", "-q", "--src-tls-verify=false"]
        return _after(
            lambda: shutil.rmtree(target, ignore_errors=True),
            lambda: _skopeo(*flags, f"docker://{registry.name}", f"dir:{target}"),
        )

    ours, peers = contest(
        airdock,
        {"docker pull": docker, "podman pull": podman, "skopeo copy (packed)": skopeo},
        rounds=ground.rounds(7, 2),
    )
    return Figure(title="pull and unpack", unit="ms", ours=ours, budget=PULL_MS, peers=peers, notes=[stored])


def _skopeo(*words: str) -> None:
    if shutil.which("skopeo") is None:
        raise SkippedError("not installed")
    run(["skopeo", *words])
