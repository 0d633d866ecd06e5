"""The façade over the container column: find, build and run images, and look after containers.

Everything that starts a container goes through `Engine.run`. It applies the image's own settings (entrypoint, command,
environment, folder, user), binds the host's folders where the image needs them, and keeps the layers of what it ran
from being removed for as long as this process lives, since its containers live no longer.
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from airdock.clock import Clock
from airdock.containers.base import (
    DEFAULT_PATH,
    MOUNTS_ANNOTATION,
    Placed,
    RunRequest,
    command_of,
    environment_of,
    publish_all,
)
from airdock.containers.names import claim_name, find_name, make_name
from airdock.errors import (
    AirdockError,
    BuildCancelledError,
    ContainerError,
    DeniedError,
    ImageError,
    NotInRegistryError,
    StepFailedError,
    UnknownImageError,
    UnreachableError,
)
from airdock.images.image import Image, Layer
from airdock.images.store import ImageStore
from airdock.model.mount import Mount
from airdock.oci.digest import Digest
from airdock.runtime.confinement import SHM_BYTES, Confinement, find_runtime, parse_ulimit
from airdock.runtime.launcher import Bundle, Container, Ended, Launcher
from airdock.runtime.spec import DEFAULT_CAPABILITIES, RUNTIME_ANNOTATION, make_config
from airdock.runtime.state import (
    ContainerState,
    find_container,
    is_alive,
    load_state,
    process_start,
)

if TYPE_CHECKING:
    from airdock.builder.base import BuildRequest, Command, Context
    from airdock.containers.containers import Containers
    from airdock.containers.files import Files
    from airdock.containers.volumes import Volumes
    from airdock.model.progress import Report
    from airdock.networks.base import Joined
    from airdock.networks.networks import Networks
    from airdock.oci.descriptor import Platform
    from airdock.remote.base import Tell
    from airdock.runtime.exec import Execution
    from airdock.transfer import Transfers

__all__ = ["DEFAULT_PATH", "HOST", "HOST_LABEL", "Engine", "RunRequest", "command_of", "environment_of"]

HOST: Final = "host"
"""What the image is called that is made of this machine's own folders."""

HOST_LABEL: Final = "airdock.host"
"""The label of an image that needs folders of this machine; its value is JSON with `binds`, a list of their paths."""

_OWNER: Final = "owner"
"""The file in a container's folder that says which process made it: pid and start time."""

_TRANSIENT: Final = {"airdock.transient": "yes"}


class Engine:
    """Images and containers of one home folder.

    `builtin` makes the images that need no build, such as "host". `trusts` says whether a value of `HOST_LABEL` was
    made on this machine: an image from elsewhere could ask for any folder.
    """

    def __init__(
        self,
        *,
        images: ImageStore,
        launcher: Launcher,
        containers: Path,
        cache: Path,
        clock: Clock,
        builtin: Callable[[str], Image | None] = lambda name: None,
        trusts: Callable[[str], bool] = lambda label: False,
        networks: "Callable[[], Networks] | None" = None,
        transfers: "Callable[[], Transfers] | None" = None,
        pull: str = "missing",
        runtime: str = "",
    ) -> None:
        self._runtime = runtime
        self.images = images
        self.launcher = launcher
        self._containers = containers
        self._cache = cache
        self._clock = clock
        self._builtin = builtin
        self._trusts = trusts
        self._networks = networks
        self._transfers = transfers
        self._pull = pull
        self._launchers: dict[str, Launcher] = {}
        self._owner = f"engine of process {os.getpid()} {os.urandom(4).hex()}"
        self._leased: dict[Digest, Path] = {}
        self._lock = threading.Lock()
        self._is_swept = False

    def find(self, name: str) -> Image:
        """The image of that name, digest or id. Raises UnknownImageError."""
        return self._builtin(name) or self.images.find(name)

    def has(self, name: str) -> bool:
        """Whether an image of that name is on this machine."""
        try:
            self.find(name)
        except ImageError:
            return False
        return True

    def obtain(
        self, name: str, *, pull: str = "", platform: "Platform | None" = None, tell: "Tell | None" = None
    ) -> Image:
        """The image of that name, fetched from its registry where need be.

        `pull` is "missing", "always" or "never"; empty is what the settings say. Raises UnknownImageError,
        RegistryError.
        """
        pull = pull or self._pull
        found: Image | None = None
        unknown: AirdockError | None = None
        try:
            found = self._builtin(name) or self.images.find(name, platform=platform)
        except UnknownImageError as error:
            unknown = error
        if found is not None and (pull != "always" or HOST_LABEL in found.labels):
            return found
        if pull == "never" or self._transfers is None:
            raise unknown or UnknownImageError(f"expected image {name}, found none")
        try:
            return self.transfers.pull(name, platform=platform, tell=tell or _ignore)
        except (UnreachableError, NotInRegistryError, DeniedError) as error:
            if unknown is None:
                raise
            raise type(error)(
                f"{unknown.message}; and {error.message}",
                where=error.where,
                hint=f"{unknown.hint}; or {error.hint}" if error.hint else unknown.hint,
            ) from error

    def push(self, name: str, *, tell: "Tell | None" = None) -> Digest:
        """Send an image to the registry that its name says; gives its digest there. Raises RegistryError."""
        return self.transfers.push(name, tell=tell or _ignore)

    @property
    def transfers(self) -> "Transfers":
        """Registries, for the images of this engine."""
        if self._transfers is None:
            raise ContainerError("expected a registry client, found none here")
        return self._transfers()

    def build(self, request: "BuildRequest", report: "Report") -> Image:
        """Build an image. Raises DockerfileError, StepFailedError, UnknownImageError; leaves nothing half done."""
        # Running containers goes without the builder, and a build that was done before without most of it.
        from airdock.builder.recall import Recall

        recall = Recall(request, cache=self._cache, store=self.images)
        known = recall.find(find=self.find, report=report)
        if known is not None:
            return known
        self.launcher.start()  # it gets ready while we do
        from airdock.builder.build import build

        self.images.sweep()
        return build(
            request,
            store=self.images,
            run=self._run_step,
            find=partial(self.obtain, pull="always") if request.pull else self.obtain,
            report=report,
            clock=self._clock,
            cache=self._cache,
            recall=recall,
            pull=partial(self.obtain, pull="always"),
            push=self.push,
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
        with BuildCache(folder=self._cache, store=self.images).working_folder() as folder:
            yield open_context(source, place=folder / "fetched", stdin=stdin, **more)

    def run(self, image: Image, request: RunRequest, *, stdin: int, stdout: int, stderr: int) -> Container:
        """Start a container; comes back once its command was executed. The descriptors stay the caller's.

        The caller waits for it and removes it. Raises CommandNotFoundError, NotExecutableError, IsolationError,
        ContainerError.
        """
        container_id = os.urandom(32).hex()
        config = self._configure(image, request, container_id)
        request = publish_all(image.config, request)
        bundle = Bundle(
            id=container_id,
            config=config,
            layers=self._layer_paths([layer.diff_id for layer in image.layers]),
            folder=self._folder(container_id),
            name=request.name or make_name(),
            image=request.image_name or image.image_id.hex[:12],
            image_digest=image.digest,
        )
        if MOUNTS_ANNOTATION not in config.get("annotations", {}):
            return self._start(bundle, request, stdin=stdin, stdout=stdout, stderr=stderr)
        try:
            made = self._start(bundle, request, stdin=stdin, stdout=stdout, stderr=stderr)
        except BaseException:
            self.volumes.forget(container_id)
            raise
        made.release = self._with_volumes(container_id, made.release)
        return made

    def _with_volumes(self, container_id: str, release: Callable[[], None]) -> Callable[[], None]:
        def release_all() -> None:
            release()
            self.volumes.forget(container_id)

        return release_all

    def exec(
        self,
        name: str,
        request: RunRequest,
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        detached: bool = False,
        privileged: bool = False,
    ) -> "Execution":
        """Start one more command in a running container; of the request, argv, env, user, workdir and terminal count.

        `detached` lets it go on without us, `privileged` gives it every capability of the container's namespaces.
        Raises UnknownContainerError when it doesn't run, CommandNotFoundError, NotExecutableError, ContainerError.
        """
        from airdock.runtime.exec import start_exec  # most commands go without it

        return start_exec(
            self.container(name),
            argv=request.argv or (),
            env=request.env,
            cwd=request.workdir,
            user=request.user,
            terminal=request.terminal,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            detached=detached,
            privileged=privileged,
        )

    @cached_property
    def containers(self) -> "Containers":
        """The containers of this home."""
        from airdock.containers.containers import Containers  # what runs in the foreground goes without it

        return Containers(
            root=self._containers,
            launcher=self.launcher,
            images=self.images,
            configure=self._configure,
            settings=self._monitor_settings,
        )

    @cached_property
    def volumes(self) -> "Volumes":
        """The volumes of this home."""
        from airdock.containers.volumes import Volumes  # most containers have none

        run = self._containers.parent
        return Volumes(root=run.parent / "volumes", containers=self._containers, launcher=self.launcher)

    @cached_property
    def files(self) -> "Files":
        """The files of this home's containers."""
        from airdock.containers.files import Files  # running containers goes without it

        return Files(
            containers=self.containers,
            images=self.images,
            launcher=self.launcher,
            work=self._containers.parent / "mounts",
        )

    def container(self, name: str) -> ContainerState:
        """The container of that name, id, or unique beginning of an id. Raises UnknownContainerError."""
        known = find_name(self._containers.parent, name)
        state = load_state(self._containers / known) if known else None
        return state or find_container(self._containers, name)

    def remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove an ended container; with `force` a running one is killed first.

        With `volumes` its volumes without a name go too, unless another container has them.
        """
        container_id = self.container(name).id
        self.containers.remove(name, force=force)
        if volumes:
            self.volumes.forget(container_id)
        self.volumes.sweep()

    @property
    def networks(self) -> "Networks":
        """The networks of this home."""
        if self._networks is None:
            raise ContainerError("expected a network of the host or none, found no others here")
        return self._networks()

    def close(self) -> None:
        """End what runs in launchers of our own, and leave the networks."""
        for launcher in self._launchers.values():
            launcher.stop()
        for launcher in self._launchers.values():
            launcher.join()

    def _start(self, bundle: Bundle, request: RunRequest, *, stdin: int, stdout: int, stderr: int) -> Container:
        self._sweep_once()
        is_plain = request.network in ("host", "none") and not (request.ports or request.extra_hosts or request.dns)
        try:
            bundle.folder.mkdir(parents=True)
            bundle.folder.joinpath(_OWNER).write_text(f"{os.getpid()} {process_start(os.getpid())}")
            if request.name:
                claim_name(self._containers.parent, request.name, bundle.id)
            if is_plain:
                return self.launcher.run(bundle, stdin=stdin, stdout=stdout, stderr=stderr)
            joined = self._attach(bundle, request)
            bundle = replace(bundle, config=joined.apply(bundle.config))
            launcher = self._launcher_in(joined.user_namespace)
            container = launcher.run(bundle, stdin=stdin, stdout=stdout, stderr=stderr)
            container.notes = joined.notes
            container.release = lambda: self.networks.detach(bundle.id)
            return container
        except BaseException:
            if not is_plain:
                self.networks.detach(bundle.id)
            self.launcher.remove(bundle.folder)
            raise

    def _attach(self, bundle: Bundle, request: RunRequest) -> "Joined":
        return self.networks.attach(
            container_id=bundle.id,
            mode=request.network,
            hostname=bundle.config.get("hostname", ""),
            name=bundle.name,
            aliases=request.network_aliases,
            ports=request.ports,
            dns=request.dns,
            extra_hosts=request.extra_hosts,
            ip=request.ip,
        )

    def _launcher_in(self, user_namespace: str) -> Launcher:
        """A launcher that may join what belongs to a user namespace."""
        if not user_namespace:
            return self.launcher
        with self._lock:
            if user_namespace not in self._launchers:
                self._launchers[user_namespace] = self.launcher.inside(user_namespace)
            return self._launchers[user_namespace]

    def _sweep_once(self) -> None:
        """Remove what killed processes left: containers that never ran, and those that nobody wants without them."""
        with self._lock:
            if self._is_swept:
                return
            self._is_swept = True
        if not self._containers.is_dir():
            return
        descriptor = os.open(self._containers, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for folder in self._containers.iterdir():
                if _is_abandoned(folder):
                    self._sweep(folder)
        except BlockingIOError:
            pass  # somebody else is at it
        finally:
            os.close(descriptor)

    def _sweep(self, folder: Path) -> None:
        try:
            self.launcher.remove(folder)
        except AirdockError as error:  # it must not keep everything else from running
            import logging  # costs every command more than a millisecond

            logging.getLogger(__name__).warning("what is left of a container could not be removed: %s", error.message)

    def _run_step(self, command: "Command", output: Callable[[bytes], None]) -> Layer:
        """One RUN of a build: `builder.base.RunStep`."""
        # Most commands need nothing of it in this process.
        from airdock.builder.times import clamp_of
        from airdock.runtime.pipe import OutputPipe
        from airdock.runtime.syscalls import CAPABILITIES

        container_id = os.urandom(32).hex()
        config = make_config(
            argv=command.argv,
            env=command.env,
            cwd=command.cwd,
            user=command.user,
            hostname=command.hostname,
            binds=[*self._host_folders(command.labels), *command.mounts],
            stacks=[
                replace(stack, scratch=str(self._folder(container_id) / f"stack-{number}"))
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
            annotations=_TRANSIENT,
        )
        bundle = Bundle(
            id=container_id,
            config=config,
            layers=self._layer_paths(command.layers),
            folder=self._folder(container_id),
            name=f"build-{container_id[:6]}",
            image="(build)",
        )
        request = RunRequest(network=command.network, extra_hosts=command.extra_hosts)
        clamp = clamp_of(command.source_date_epoch, time.time_ns())
        with OutputPipe(output) as pipe:
            container = self._start(bundle, request, stdin=pipe.nothing, stdout=pipe.writing, stderr=pipe.writing)
            try:
                if not pipe.pump(container, cancel=command.cancel):
                    raise BuildCancelledError
                ended = container.wait()
                assert ended is not None
                if ended.exit_code != 0:
                    raise StepFailedError(_failure(ended), command_exit=ended.exit_code)
                return self.images.commit_upper(container.upper, ignore=container.mount_points, clamp=clamp)
            finally:
                container.remove()

    def _configure(self, image: Image, request: RunRequest, container_id: str) -> dict[str, Any]:
        """The OCI configuration of a container. Raises ContainerError."""
        argv = command_of(image.config, request)
        if not argv:
            raise ContainerError(
                "expected a command: the image has neither ENTRYPOINT nor CMD, and none was given",
                hint="name one after the image",
            )
        placed = self._place(image, request, container_id)
        return make_config(
            argv=argv,
            env=environment_of(image.config, request),
            cwd=request.workdir or image.config.working_dir or "/",
            user=request.user or image.config.user,
            hostname=request.hostname or container_id[:12],
            terminal=request.terminal,
            binds=[*self._host_folders(image.labels), *request.mounts, *placed.mounts],
            tmpfs=[*request.tmpfs, *placed.tmpfs],
            network="host" if request.network == "host" else "none",
            resources=request.resources,
            read_only_root=request.read_only_root,
            confinement=self._confinement(request),
            annotations={**(_TRANSIENT if request.transient else {}), **placed.annotations},
        )

    def _place(self, image: Image, request: RunRequest, container_id: str) -> Placed:
        """What is mounted for the user. Raises MountError, VolumeError, UnknownContainerError."""
        # What the image declares makes no difference to a container that goes at its end, if it can write anywhere.
        declared = () if request.transient and not request.read_only_root else image.config.volumes
        if not (request.volumes or request.volumes_from or declared):
            return Placed()
        return self.volumes.place(
            request.volumes,
            container=container_id,
            transient=request.transient or request.remove_volumes,
            layers=lambda: self._layer_paths([layer.diff_id for layer in image.layers]),
            inherited=[place for name in request.volumes_from for place in self._inherit(name)],
            declared=declared,
        )

    def _inherit(self, text: str) -> "Sequence[Mapping[str, object]]":
        """What another container has mounted, as `--volumes-from NAME[:ro|rw]` asks for it."""
        from airdock.containers.volumes import inherit  # few containers need it

        name, _, mode = text.partition(":")
        return inherit(self.container(name).config, mode)

    def _confinement(self, request: RunRequest) -> Confinement:
        """The request's, with the names of other containers as the paths of their namespaces."""
        given = request.confinement
        notes = {**given.annotations}
        if self._runtime and RUNTIME_ANNOTATION not in notes:
            notes[RUNTIME_ANNOTATION] = find_runtime(self._runtime)
        return replace(
            given,
            ipc=self._namespace("ipc", given.ipc),
            uts=self._namespace("uts", given.uts),
            annotations=notes,
        )

    def _namespace(self, kind: str, mode: str) -> str:
        if not mode.startswith("container:"):
            return mode
        state = self.container(mode.removeprefix("container:"))
        if not state.alive:
            raise ContainerError(
                f"expected container {state.name or state.id[:12]} to run, so that its {kind} namespace can be joined"
            )
        return f"/proc/{state.command_pid}/ns/{kind}"

    def _monitor_settings(self, network: str) -> dict[str, Any]:
        """What a monitor needs to know to start a container on that network: `containers.place`."""
        is_plain = network in ("host", "none")
        return {"launcher": self.launcher.settings, "networks": {} if is_plain else self.networks.settings}

    def _layer_paths(self, diff_ids: Sequence[Digest]) -> tuple[Path, ...]:
        with self._lock:
            missing = [diff_id for diff_id in diff_ids if diff_id not in self._leased]
            if missing:
                self.images.lease(missing, self._owner)
        paths = self.images.layer_paths(missing)  # may take long, so not under the lock
        with self._lock:
            self._leased.update(zip(missing, paths, strict=True))
        return tuple(self._leased[diff_id] for diff_id in diff_ids)

    def _host_folders(self, labels: Mapping[str, str]) -> list[Mount]:
        """What an image made on this machine's own folders needs bound, read-only, each at its own path."""
        label = labels.get(HOST_LABEL)
        if label is None:
            return []
        if not self._trusts(label):
            raise ContainerError(
                f"expected an image whose label {HOST_LABEL} was made on this machine, found one from elsewhere",
                hint="build it again here, FROM host, or on a base that is portable",
            )
        return [Mount(source=path, target=path) for path in json.loads(label)["binds"]]

    def _folder(self, container_id: str) -> Path:
        return self._containers / container_id


def _is_abandoned(folder: Path) -> bool:
    """Whether the process that made this container's folder is gone, and the container is of no use without it."""
    try:
        pid, started = map(int, folder.joinpath(_OWNER).read_text().split())
    except (OSError, ValueError):
        return False  # being made, or being removed
    if is_alive(pid, started):
        return False
    state = load_state(folder)
    return state is None or (not state.alive and _TRANSIENT.items() <= state.config.get("annotations", {}).items())


def _failure(ended: Ended) -> str:
    if ended.oom:
        return f"the command ran out of memory at {ended.usage.memory_peak_bytes >> 20} MiB"
    if ended.signal:
        return f"the command was killed by signal {ended.signal}"
    return f"the command ended with exit code {ended.exit_code}"


def _ignore(transfer: object) -> None:
    """For whoever wants to hear nothing of a transfer."""
