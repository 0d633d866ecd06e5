"""Tries in containers of their own."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airdock.engine import HOST_LABEL, Engine, RunRequest
from airdock.errors import CommandNotFoundError, UnknownContainerError
from airdock.model.mount import Mount
from airdock.model.workload import Workload
from airdock.runner.base import INSIDE, RUNNER_NAME, WORKSPACE, Ended, Launch
from airdock.runner.channel import SOCKET_NAME
from airdock.runner.pack import runner_argv

if TYPE_CHECKING:
    from airdock.images.image import Image
    from airdock.runtime.launcher import Container

__all__ = ["ContainerRunning", "ContainerStarter"]

_PYTHONS: Final = ("python3", "python")
"""What images call their Python, looked for on the image's PATH in this order."""
_IMAGES_KEPT: Final = 256


class ContainerStarter:
    """Starts tries with an engine.

    `network` is what they see of it, `folders` what of this machine, `environ` what all of them are given.
    `host_environ` is given to those only whose image has the machine's own `/etc` and `/usr`: it names files there.
    `python` is the server's own, which the host image has at the same path. `tell` is told once, and from any thread,
    that limits which tasks ask for don't hold.
    """

    isolation = "container"

    def __init__(
        self,
        *,
        engine: Engine,
        network: str = "host",
        folders: Sequence[Mount] = (),
        environ: Mapping[str, str] | None = None,
        host_environ: Mapping[str, str] | None = None,
        python: str = sys.executable,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._engine = engine
        self._network = network
        self._folders = tuple(folders)
        self._environ = dict(environ or {})
        self._host_environ = dict(host_environ or {})
        self._python = python
        self._tell = tell
        self._told: dict[str, object] = {}
        self._images: dict[str, Image] = {}

    def start(self, launch: Launch) -> "ContainerRunning":
        workload = launch.workload
        mode = workload.payload.get("mode", "command")
        if mode == "command":
            entrypoint = workload.payload.get("entrypoint")
            return self._run(launch, argv=workload.argv or None, entrypoint=entrypoint)
        if mode == "sdk":
            return self._run(launch, argv=None, entrypoint=runner_argv(mode, self._python, f"{INSIDE}/{RUNNER_NAME}"))
        for python in _PYTHONS:
            with contextlib.suppress(CommandNotFoundError):
                return self._run(launch, argv=None, entrypoint=runner_argv(mode, python, f"{INSIDE}/{RUNNER_NAME}"))
        raise CommandNotFoundError(
            f"expected a Python on the PATH of the image, found no {' and no '.join(_PYTHONS)}",
            hint="tasks with Python code need an image with Python; ContainerOperator runs an image's own program",
        )

    def paths(self, workload: Workload) -> Mapping[str, str]:
        return {"workspace": WORKSPACE}

    def clear(self, folder: Path) -> None:
        for state in self._engine.containers.states():
            if state.name.endswith(folder.name):
                with contextlib.suppress(UnknownContainerError):  # somebody removed it meanwhile
                    self._engine.remove(state.id, force=True)

    def _run(
        self, launch: Launch, *, argv: Sequence[str] | None, entrypoint: Sequence[str] | None
    ) -> "ContainerRunning":
        workload = launch.workload
        image = self._find(workload.digest)
        request = RunRequest(
            argv=argv,
            entrypoint=entrypoint,
            env={
                **self._environ,
                **(self._host_environ if HOST_LABEL in image.labels else {}),
                "PYTHONUNBUFFERED": "1",
                "AIRDOCK_WORKSPACE": WORKSPACE,
                "AIRDOCK_CHANNEL": f"{INSIDE}/{SOCKET_NAME}",
                **workload.env,
            },
            mounts=(*workload.mounts, *self._folders, Mount(source=str(launch.folder), target=INSIDE)),
            network=self._network,
            resources=workload.resources,
            name=_name(launch),
            transient=True,
        )
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            container = self._engine.run(image, request, stdin=nothing, stdout=launch.stdout, stderr=launch.stderr)
        finally:
            os.close(nothing)
        self._tell_lacking(container.lacking)
        return ContainerRunning(container)

    def _tell_lacking(self, reason: str) -> None:
        mine = object()
        if reason and self._told.setdefault(reason, mine) is mine:  # one step, whatever other threads do
            self._tell(f"limits of tasks don't hold on this machine: {reason} (airdock doctor says what to do)")

    def _find(self, digest: str) -> "Image":
        """The image with this digest, kept: what a digest names never changes, and reading it costs a millisecond."""
        image = self._images.get(digest)
        if image is None:
            image = self._engine.images.find(digest)
            if len(self._images) >= _IMAGES_KEPT:
                self._images.clear()
            self._images[digest] = image
        return image


def _name(launch: Launch) -> str:
    """A name that people recognise and `clear` finds."""
    label = re.sub(r"[^A-Za-z0-9_.]+", "-", launch.workload.key.task.label).strip("-.")
    return f"{label}-{launch.id}"


class ContainerRunning:
    """A container that was started."""

    def __init__(self, container: "Container") -> None:
        self._container = container

    def fileno(self) -> int:
        return self._container.fileno()

    def signal(self, number: int) -> None:
        self._container.signal(number)

    def end(self) -> Ended:
        ended = self._container.wait()
        assert ended is not None
        return Ended(
            exit_code=ended.exit_code,
            signal=ended.signal,
            usage=ended.usage,
            oom=ended.oom,
            memory_limit_bytes=ended.memory_limit_bytes,
        )

    def remove(self) -> None:
        self._container.remove()
