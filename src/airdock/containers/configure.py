"""From an image and a request to the configuration of a container, as the OCI runtime spec has it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airdock.containers.base import HOST_LABEL, TRANSIENT, Placed, RunRequest, command_of, environment_of
from airdock.errors import ContainerError
from airdock.images.image import Image
from airdock.model.mount import Mount
from airdock.oci.digest import Digest
from airdock.runtime.confinement import Confinement, find_runtime
from airdock.runtime.spec import RUNTIME_ANNOTATION, make_config
from airdock.runtime.state import ContainerState

if TYPE_CHECKING:
    from airdock.containers.volumes import Volumes

__all__ = ["Configurator"]


class Configurator:
    """Makes configurations for one home. `trusts` says whether a value of `HOST_LABEL` was made on this machine: an
    image from elsewhere could ask for any folder. `runtime` is used where a request names none.
    """

    def __init__(
        self,
        *,
        find: Callable[[str], ContainerState],
        layer_paths: Callable[[Sequence[Digest]], tuple[Path, ...]],
        volumes: "Callable[[], Volumes]",
        trusts: Callable[[str], bool],
        runtime: str,
    ) -> None:
        self._find = find
        self._layer_paths = layer_paths
        self._volumes = volumes
        self._trusts = trusts
        self._runtime = runtime

    def configure(self, image: Image, request: RunRequest, container_id: str) -> dict[str, Any]:
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
            binds=[*self.host_folders(image.labels), *request.mounts, *placed.mounts],
            tmpfs=[*request.tmpfs, *placed.tmpfs],
            network="host" if request.network == "host" else "none",
            resources=request.resources,
            read_only_root=request.read_only_root,
            confinement=self._confinement(request),
            annotations={**(TRANSIENT if request.transient else {}), **placed.annotations},
        )

    def _place(self, image: Image, request: RunRequest, container_id: str) -> Placed:
        """What is mounted for the user. Raises MountError, VolumeError, UnknownContainerError."""
        # What the image declares makes no difference to a container that goes at its end, if it can write anywhere.
        declared = () if request.transient and not request.read_only_root else image.config.volumes
        if not (request.volumes or request.volumes_from or declared):
            return Placed()
        return self._volumes().place(
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
        return inherit(self._find(name).config, mode)

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
        state = self._find(mode.removeprefix("container:"))
        if not state.alive:
            raise ContainerError(
                f"expected container {state.name or state.id[:12]} to run, so that its {kind} namespace can be joined"
            )
        return f"/proc/{state.command_pid}/ns/{kind}"

    def host_folders(self, labels: Mapping[str, str]) -> list[Mount]:
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
