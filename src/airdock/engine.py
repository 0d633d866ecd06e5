"""The façade over the container column: find, build and run images, and look after containers.

Everything that starts a container goes through `Engine.run`. It applies the image's own settings (entrypoint, command,
environment, folder, user), binds the host's folders where the image needs them, and keeps the layers of what it ran
from being removed for as long as this process lives, since its containers live no longer.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airdock.clock import Clock
from airdock.containers.base import (
    DEFAULT_PATH,
    HOST_LABEL,
    MOUNTS_ANNOTATION,
    RunRequest,
    command_of,
    environment_of,
    is_plain,
    network_of,
    publish_all,
)
from airdock.containers.names import claim_name, find_name, make_name, release_name
from airdock.errors import (
    AirdockError,
    ContainerError,
    DeniedError,
    ImageError,
    NotInRegistryError,
    UnknownImageError,
    UnreachableError,
)
from airdock.model.mount import Mount
from airdock.runtime.state import (
    ContainerState,
    find_container,
    load_state,
)

if TYPE_CHECKING:
    from airdock.builder.base import BuildRequest
    from airdock.building import Builds
    from airdock.containers.configure import Configurator
    from airdock.containers.containers import Containers
    from airdock.containers.files import Files
    from airdock.containers.volumes import Volumes
    from airdock.images.image import Image
    from airdock.images.store import ImageStore
    from airdock.model.progress import Report
    from airdock.networks.networks import Networks
    from airdock.oci.descriptor import Platform
    from airdock.oci.digest import Digest
    from airdock.remote.base import Tell
    from airdock.runtime.exec import Execution
    from airdock.runtime.launcher import Bundle, Container, Launcher
    from airdock.transfer import Transfers

__all__ = ["DEFAULT_PATH", "HOST", "HOST_LABEL", "Engine", "RunRequest", "command_of", "environment_of"]

HOST: Final = "host"
"""What the image is called that is made of this machine's own folders."""


class Engine:
    """Images and containers of one home folder.

    `builtin` makes the images that need no build, such as "host". `trusts` says whether a value of `HOST_LABEL` was
    made on this machine: an image from elsewhere could ask for any folder.
    """

    def __init__(
        self,
        *,
        images: "Callable[[], ImageStore]",
        launcher: "Callable[[], Launcher]",
        containers: Path,
        cache: Path,
        clock: Clock,
        builtin: "Callable[[str], Image | None]" = lambda name: None,
        trusts: Callable[[str], bool] = lambda label: False,
        networks: "Callable[[], Networks] | None" = None,
        transfers: "Callable[[], Transfers] | None" = None,
        pull: str = "missing",
        runtime: str = "",
    ) -> None:
        self._images = images
        self._make_launcher = launcher
        self._containers = containers
        self._cache = cache
        self._clock = clock
        self._builtin = builtin
        self._trusts = trusts
        self._runtime = runtime
        self._networks = networks
        self._transfers = transfers
        self._pull = pull
        self._launchers: dict[str, Launcher] = {}
        self._owner = f"engine of process {os.getpid()} {os.urandom(4).hex()}"
        self._leased: dict[Digest, Path] = {}
        self._lock = threading.Lock()
        self._is_swept = False

    @property
    def images(self) -> "ImageStore":
        """The images of this home; `exec` goes without them."""
        return self._images()

    @property
    def launcher(self) -> "Launcher":
        """What starts the containers of this home; an equal build and `exec` go without it."""
        return self._make_launcher()

    @cached_property
    def _configurator(self) -> "Configurator":
        from airdock.containers.configure import Configurator  # exec goes without it

        return Configurator(
            find=self.container,
            layer_paths=self.layer_paths,
            volumes=lambda: self.volumes,
            trusts=self._trusts,
            runtime=self._runtime,
        )

    def find(self, name: str) -> "Image":
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
    ) -> "Image":
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
        if found is not None and platform is not None and not _fits(found, platform):
            unknown = UnknownImageError(
                f"expected image {name} for {platform.architecture}, found it here for {found.config.architecture}"
            )
            found = None
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

    def push(self, name: str, *, tell: "Tell | None" = None) -> "Digest":
        """Send an image to the registry that its name says; gives its digest there. Raises RegistryError."""
        return self.transfers.push(name, tell=tell or _ignore)

    def build(self, request: "BuildRequest", report: "Report") -> "Image":
        """Build an image. Raises DockerfileError, StepFailedError, UnknownImageError; leaves nothing half done."""
        return self.builds.build(request, report)

    @cached_property
    def builds(self) -> "Builds":
        """What makes images of Dockerfiles."""
        from airdock.building import Builds  # running containers goes without the builder

        return Builds(engine=self, cache=self._cache, clock=self._clock)

    @property
    def transfers(self) -> "Transfers":
        """Registries, for the images of this engine."""
        if self._transfers is None:
            raise ContainerError("expected a registry client, found none here")
        return self._transfers()

    def run(self, image: "Image", request: RunRequest, *, stdin: int, stdout: int, stderr: int) -> "Container":
        """Start a container; comes back once its command was executed. The descriptors stay the caller's.

        The caller waits for it and removes it. Raises CommandNotFoundError, NotExecutableError, IsolationError,
        ContainerError.
        """
        from airdock.runtime.launcher import Bundle  # an equal build and exec go without it

        container_id = os.urandom(32).hex()
        config = self._configurator.configure(image, request, container_id)
        request = publish_all(image.config, request)
        bundle = Bundle(
            id=container_id,
            config=config,
            layers=self.layer_paths([layer.diff_id for layer in image.layers]),
            folder=self.folder(container_id),
            name=request.name or make_name(),
            image=request.image_name or image.image_id.hex[:12],
            image_digest=image.digest,
        )
        if MOUNTS_ANNOTATION not in config.get("annotations", {}):
            return self.start(bundle, request, stdin=stdin, stdout=stdout, stderr=stderr)
        try:
            made = self.start(bundle, request, stdin=stdin, stdout=stdout, stderr=stderr)
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

        self._sweep_once()
        return Containers(
            root=self._containers,
            launcher=self.launcher,
            images=self.images,
            configure=self._configurator.configure,
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

    def host_folders(self, labels: Mapping[str, str]) -> list[Mount]:
        """What an image made on this machine's folders needs bound. Raises ContainerError for one from elsewhere."""
        return self._configurator.host_folders(labels)

    def close(self) -> None:
        """End what runs in launchers of our own, and leave the networks."""
        for launcher in self._launchers.values():
            launcher.stop()
        for launcher in self._launchers.values():
            launcher.join()

    def start(self, bundle: "Bundle", request: RunRequest, *, stdin: int, stdout: int, stderr: int) -> "Container":
        from airdock.containers.abandoned import make_folder  # exec goes without it

        self._sweep_once()
        network = network_of(request, bundle.config.get("hostname", ""))
        needs_place = not is_plain(network)
        try:
            make_folder(bundle.folder)
            if request.name:
                claim_name(self._containers.parent, request.name, bundle.id)
            if needs_place:
                joined = self.networks.attach(container_id=bundle.id, name=bundle.name, **network)
                bundle = replace(bundle, config=joined.apply(bundle.config))
                launcher = self._launcher_in(joined.user_namespace)
            else:
                joined, launcher = None, self.launcher
            container = launcher.run(bundle, stdin=stdin, stdout=stdout, stderr=stderr)
        except BaseException:
            self._release(bundle.id, request.name, attached=needs_place)
            self.launcher.remove(bundle.folder)
            raise
        container.notes = joined.notes if joined else ()
        if needs_place or request.name:
            container.release = lambda: self._release(bundle.id, request.name, attached=needs_place)
        return container

    def _release(self, container_id: str, name: str, *, attached: bool) -> None:
        if attached:
            self.networks.detach(container_id)
        if name:
            release_name(self._containers.parent, name, container_id)

    def _sweep_once(self) -> None:
        with self._lock:
            is_swept, self._is_swept = self._is_swept, True
        if not is_swept:
            from airdock.containers.abandoned import remove_abandoned  # exec goes without it

            remove_abandoned(self._containers, self.launcher)

    def _launcher_in(self, user_namespace: str) -> "Launcher":
        """A launcher that may join what belongs to a user namespace."""
        if not user_namespace:
            return self.launcher
        with self._lock:
            if user_namespace not in self._launchers:
                self._launchers[user_namespace] = self.launcher.inside(user_namespace)
            return self._launchers[user_namespace]

    def _monitor_settings(self, network: Mapping[str, Any]) -> dict[str, Any]:
        """What a monitor needs to know to start a container on that network: `containers.place`."""
        return {"launcher": self.launcher.settings, "networks": {} if is_plain(network) else self.networks.settings}

    def layer_paths(self, diff_ids: "Sequence[Digest]") -> tuple[Path, ...]:
        """The unpacked folders of layers, which stay for as long as this process lives."""
        with self._lock:
            missing = [diff_id for diff_id in diff_ids if diff_id not in self._leased]
            if missing:
                self.images.lease(missing, self._owner)
        paths = self.images.layer_paths(missing)  # may take long, so not under the lock
        with self._lock:
            self._leased.update(zip(missing, paths, strict=True))
        return tuple(self._leased[diff_id] for diff_id in diff_ids)

    def folder(self, container_id: str) -> Path:
        """Where what belongs to a container is kept."""
        return self._containers / container_id


def _fits(image: "Image", platform: "Platform") -> bool:
    """Whether an image is for a platform; the host image is this machine and says so itself."""
    own = image.platform
    return HOST_LABEL in image.labels or (own.os, own.architecture) == (platform.os, platform.architecture)


def _ignore(transfer: object) -> None:
    """For whoever wants to hear nothing of a transfer."""
