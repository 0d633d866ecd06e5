"""Builds, brought together: the builder, the containers in which its commands run, and registries for its bases."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from airdock.builder.recall import Recall
from airdock.clock import Clock
from airdock.errors import BuildCancelledError, StepFailedError
from airdock.images.image import Image, Layer

if TYPE_CHECKING:
    from airdock.builder.base import BuildRequest, Command, Context
    from airdock.engine import Engine
    from airdock.model.progress import Report
    from airdock.oci.descriptor import Platform
    from airdock.oci.digest import Digest
    from airdock.runtime.launcher import Ended

__all__ = ["Builds"]


class Builds:
    """Builds for one engine; `cache` is the folder of cached steps."""

    def __init__(self, *, engine: "Engine", cache: Path, clock: Clock) -> None:
        self._engine = engine
        self._cache = cache
        self._clock = clock

    def build(self, request: "BuildRequest", report: "Report") -> Image:
        """Build an image. Raises DockerfileError, StepFailedError, UnknownImageError; leaves nothing half done."""
        recall = Recall(request, cache=self._cache, store=self._engine.images)
        known = recall.find(find=self._engine.find, report=report)
        if known is not None:
            return known
        self._engine.launcher.start()  # it gets ready while we do
        from airdock.builder.build import build  # a build that was done before goes without it

        self._engine.images.sweep()
        return build(
            request,
            store=self._engine.images,
            run=self.run_step,
            find=partial(self._engine.obtain, pull="always") if request.pull else self._engine.obtain,
            report=report,
            clock=self._clock,
            cache=self._cache,
            recall=recall,
            pull=partial(self._engine.obtain, pull="always"),
            push=self._engine.push,
        )

    def build_several(self, request: "BuildRequest", platforms: "Sequence[Platform]", report: "Report") -> "Digest":
        """Build for each platform, and an index of all; gives its digest. Raises as `build` does."""
        from airdock.builder.cache import BuildCache
        from airdock.builder.several import build_several  # most builds are for one

        with BuildCache(folder=self._cache, store=self._engine.images).working_folder() as folder:
            return build_several(
                *(request, platforms),
                store=self._engine.images,
                build=partial(self.build, report=report),
                spool=folder / "out.tar",
            )

    @contextmanager
    def open_context(self, source: str, *, stdin: BinaryIO | None = None, **more: Any) -> "Iterator[Context]":
        """Open what a build is to copy from: a folder, an address, or standard input for '-'. Raises BuildError.

        What had to be fetched for it is gone when the block ends.
        """
        from airdock.builder.base import Context

        if Path(source).is_dir():
            yield Context(folder=Path(source).absolute())
            return
        # Most builds go without what fetches.
        from airdock.builder.cache import BuildCache
        from airdock.builder.contexts import open_context
        from airdock.builder.remotes import is_remote

        if source != "-" and not is_remote(source):
            open_context(source, place=Path())  # says what is wrong with it
        with BuildCache(folder=self._cache, store=self._engine.images).working_folder() as folder:
            yield open_context(source, place=folder / "fetched", stdin=stdin, **more)

    def run_step(self, command: "Command", output: Callable[[bytes], None]) -> Layer:
        """One RUN of a build: `builder.base.RunStep`."""
        from airdock.builder.times import clamp_of  # a build that was done before goes without these
        from airdock.containers.base import TRANSIENT, RunRequest
        from airdock.runtime.capabilities import CAPABILITIES
        from airdock.runtime.confinement import SHM_BYTES, Confinement, parse_ulimit
        from airdock.runtime.launcher import Bundle
        from airdock.runtime.pipe import OutputPipe
        from airdock.runtime.spec import DEFAULT_CAPABILITIES, make_config

        container_id = os.urandom(32).hex()
        config = make_config(
            argv=command.argv,
            env=command.env,
            cwd=command.cwd,
            user=command.user,
            hostname=command.hostname,
            binds=[*self._engine.host_folders(command.labels), *command.mounts],
            stacks=[
                replace(stack, scratch=str(self._engine.folder(container_id) / f"stack-{number}"))
                for number, stack in enumerate(command.stacks)
            ],
            tmpfs=command.tmpfs,
            confinement=Confinement(
                shm_bytes=command.shm_bytes or SHM_BYTES,
                ulimits=[parse_ulimit(limit) for limit in command.ulimits],
            ),
            network="host" if command.network == "host" else "none",
            seccomp=not command.insecure,
            capabilities=CAPABILITIES if command.insecure else DEFAULT_CAPABILITIES,
            annotations=TRANSIENT,
        )
        bundle = Bundle(
            id=container_id,
            config=config,
            layers=self._engine.layer_paths(command.layers),
            folder=self._engine.folder(container_id),
            name=f"build-{container_id[:6]}",
            image="(build)",
        )
        request = RunRequest(network=command.network, extra_hosts=command.extra_hosts)
        clamp = clamp_of(command.source_date_epoch, time.time_ns())
        with OutputPipe(output) as pipe:
            container = self._engine.start(
                bundle, request, stdin=pipe.nothing, stdout=pipe.writing, stderr=pipe.writing
            )
            try:
                if not pipe.pump(container, cancel=command.cancel):
                    raise BuildCancelledError
                ended = container.wait()
                assert ended is not None
                if ended.exit_code != 0:
                    raise StepFailedError(_failure(ended), command_exit=ended.exit_code)
                return self._engine.images.commit_upper(container.upper, ignore=container.mount_points, clamp=clamp)
            finally:
                container.remove()


def _failure(ended: "Ended") -> str:
    if ended.oom:
        return f"the command ran out of memory at {ended.usage.memory_peak_bytes >> 20} MiB"
    if ended.signal:
        return f"the command was killed by signal {ended.signal}"
    return f"the command ended with exit code {ended.exit_code}"
