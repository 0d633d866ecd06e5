"""The volumes of one home: folders that outlive containers, with names or without.

AIRDOCK_HOME/volumes/
  lock                  held for every change of what volumes there are
  <name>/
    volume.json         Volume
    _data/              what containers see; its owners are as in a container
    .scratch/           while it is being filled
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from airdock.containers.base import MOUNTS_ANNOTATION, Placed
from airdock.containers.mount_words import VOLUME_NAME, MountRequest
from airdock.containers.view import Launch
from airdock.errors import MountError, VolumeError
from airdock.files import save_json
from airdock.model.mount import Mount
from airdock.record import record
from airdock.runtime.state import list_containers

__all__ = ["Volume", "Volumes", "inherit", "places_of"]

_RECORD: Final = "volume.json"
_DATA: Final = "_data"
_SCRATCH: Final = ".scratch"


@record
class Volume:
    """`container` is whom a volume without a name was made for; with `transient` it goes when that one is removed."""

    name: str
    path: str
    created: str
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    container: str = ""
    transient: bool = False

    @property
    def is_anonymous(self) -> bool:
        return bool(self.container)

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if name in value})


class Volumes:
    """`root` is AIRDOCK_HOME/volumes, `containers` AIRDOCK_HOME/run/containers. Safe for several processes at once."""

    def __init__(self, *, root: Path, containers: Path, launcher: Launch) -> None:
        self._root = root
        self._containers = containers
        self._launcher = launcher

    def list(self) -> Sequence[Volume]:
        """All volumes, by name."""
        self.sweep()
        return self._all()

    def _all(self) -> Sequence[Volume]:
        found = (self._load(path.parent.name) for path in self._root.glob(f"*/{_RECORD}"))
        return sorted((volume for volume in found if volume), key=lambda volume: volume.name)

    def find(self, name: str) -> Volume:
        """The volume of that name. Raises VolumeError."""
        volume = self._load(name) if VOLUME_NAME.fullmatch(name) else None
        if volume is None:
            names = ", ".join(volume.name for volume in self.list()[:8]) or "none"
            raise VolumeError(f"expected a volume named {name!r}, found {names}", hint="airdock volume ls")
        return volume

    def create(
        self,
        name: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        container: str = "",
        transient: bool = False,
    ) -> Volume:
        """The volume of that name, made where it's missing; without a name a new one with a name by chance.

        Raises VolumeError for a name that can't be one.
        """
        if name and not VOLUME_NAME.fullmatch(name):
            raise VolumeError(
                f"expected a volume's name of letters, digits, '_', '.' and '-', at least two, found {name!r}"
            )
        name = name or os.urandom(32).hex()
        with self._locked():
            known = self._load(name)
            if known is not None:
                return known
            volume = Volume(
                name=name,
                path=str((self._root / name / _DATA).absolute()),
                created=datetime.now(UTC).isoformat(),
                labels=dict(labels or {}),
                options=dict(options or {}),
                container=container,
                transient=transient,
            )
            Path(volume.path).mkdir(mode=0o755, parents=True, exist_ok=True)
            Path(volume.path).chmod(0o755)
            save_json(self._root / name / _RECORD, volume.to_dict())
        return volume

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that no container has. Raises VolumeError; with `force` one that isn't there is fine."""
        try:
            volume = self.find(name)
        except VolumeError:
            if force:
                return
            raise
        with self._locked():
            users = self.users().get(volume.name, ())
            if users:
                shown = ", ".join(user[:12] for user in users)
                raise VolumeError(
                    f"expected a volume that no container has, found {volume.name} in use by {shown}",
                    hint="remove the container first: airdock container rm",
                )
            self._remove(volume)

    def prune(
        self, *, every: bool = False, passes: Callable[[Volume], bool] = lambda volume: True
    ) -> Sequence[tuple[Volume, int]]:
        """Remove volumes that no container has, of those that pass: those without a name, or with `every` all.

        Gives them with the bytes that they took.
        """
        self.sweep()
        with self._locked():
            users = self.users()
            spare = [volume for volume in self._all() if volume.name not in users and passes(volume)]
            chosen = [volume for volume in spare if every or volume.is_anonymous]
            return [(volume, self._remove(volume)) for volume in chosen]

    def size(self, volume: Volume) -> int:
        """Bytes that a volume takes on the disk."""
        return int(self._launcher.call("airdock.images.unpack:measure_tree", {"path": volume.path}))

    def users(self) -> Mapping[str, Sequence[str]]:
        """Which containers, running or not, have a volume: ids by the volume's name."""
        found: dict[str, list[str]] = {}
        for state in list_containers(self._containers):
            for place in places_of(state.config):
                if place["Type"] == "volume":
                    found.setdefault(place["Name"], []).append(state.id)
        return found

    def forget(self, container: str) -> None:
        """Remove the volumes without a name that were made for a container which is gone."""
        self._drop(lambda volume: volume.container == container)

    def sweep(self) -> None:
        """Remove the volumes without a name of containers that removed themselves."""
        self._drop(lambda volume: volume.transient and not (self._containers / volume.container).exists())

    def place(
        self,
        requests: Sequence[MountRequest],
        *,
        container: str,
        transient: bool,
        layers: Callable[[], Sequence[Path]],
        inherited: Sequence[Mapping[str, Any]] = (),
        declared: Sequence[str] = (),
    ) -> Placed:
        """Have everything ready that a container is to mount.

        `layers` gives its image's, which fresh volumes are filled from; `declared` are the image's own VOLUMEs, which
        get one without a name where nothing else is mounted; `inherited` the places of other containers.
        Raises MountError, VolumeError.
        """
        wanted = {place["Destination"]: place for place in inherited}
        wanted = {target: place for target, place in wanted.items() if target not in {r.target for r in requests}}
        taken = {request.target for request in requests} | wanted.keys()
        own = [MountRequest(kind="volume", target=target) for target in declared if target.rstrip("/") not in taken]
        places: list[Mapping[str, Any]] = [*wanted.values()]
        tmpfs = [request.tmpfs for request in requests if request.kind == "tmpfs"]
        for request in [*requests, *own]:
            if request.kind == "bind":
                places.append(_place_bind(request))
            elif request.kind == "volume":
                places.append(self._place_volume(request, container, transient, layers))
        mounts = [
            Mount(source=place["Source"], target=place["Destination"], read_only=not place["RW"]) for place in places
        ]
        note = json.dumps(places, separators=(",", ":"))
        return Placed(mounts=tuple(mounts), tmpfs=tuple(tmpfs), annotations={MOUNTS_ANNOTATION: note} if places else {})

    def _place_volume(
        self, request: MountRequest, container: str, transient: bool, layers: Callable[[], Sequence[Path]]
    ) -> dict[str, Any]:
        volume = self.create(
            request.source,
            labels=dict(request.labels),
            container="" if request.source else container,
            transient=transient and not request.source,
        )
        if not request.no_copy:
            self._fill(volume, request.target, layers)
        source = volume.path
        if request.subpath:
            source = os.path.realpath(os.path.join(volume.path, request.subpath))
            if os.path.commonpath([source, os.path.realpath(volume.path)]) != os.path.realpath(volume.path):
                raise MountError(f"expected volume-subpath to stay in the volume, found {request.subpath!r}")
            if not os.path.exists(source):
                raise MountError(f"expected {request.subpath!r} in volume {volume.name}, found nothing")
        place = _describe("volume", source, request)
        return {**place, "Name": volume.name, "Driver": "local"}

    def _fill(self, volume: Volume, target: str, layers: Callable[[], Sequence[Path]]) -> None:
        """Give an empty volume what the image has there, once whoever asks at the same time."""
        folder = self._root / volume.name
        with _held(folder / _RECORD):
            if not self._is_empty(volume.path):
                return
            scratch = folder / _SCRATCH
            scratch.mkdir(exist_ok=True)
            try:
                self._launcher.call(
                    "airdock.containers.filling:fill_volume",
                    {
                        "layers": [str(layer) for layer in layers()],
                        "target": target,
                        "data": volume.path,
                        "scratch": str(scratch.absolute()),
                        "work": str((self._containers.parent / "mounts").absolute()),
                        "mapping": self._launcher.mapping,
                    },
                )
            finally:
                self._clear(scratch)

    def _is_empty(self, path: str) -> bool:
        try:
            with os.scandir(path) as entries:
                return next(entries, None) is None
        except PermissionError:
            return False  # it was given to somebody else inside, so it was filled

    def _drop(self, is_wanted: Callable[[Volume], bool]) -> None:
        gone = [
            volume
            for entry in (os.scandir(self._root) if self._root.is_dir() else ())
            if len(entry.name) == 64 and (volume := self._load(entry.name)) and is_wanted(volume)
        ]
        if gone:
            with self._locked():
                users = self.users()
                for volume in gone:
                    if not {*users.get(volume.name, ())} - {volume.container}:
                        self._remove(volume)

    def _remove(self, volume: Volume) -> int:
        size = self.size(volume)
        self._clear(self._root / volume.name)
        return size

    def _clear(self, path: Path) -> None:
        self._launcher.call("airdock.images.unpack:remove_tree", {"path": str(path.absolute())})

    def _load(self, name: str) -> Volume | None:
        try:
            return Volume.from_dict(json.loads((self._root / name / _RECORD).read_bytes()))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _held(self._root / "lock"):
            yield


def places_of(config: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """What was mounted for a container's user, in the shape of Docker's `Mounts`."""
    found = json.loads(config.get("annotations", {}).get(MOUNTS_ANNOTATION, "[]"))
    assert isinstance(found, list)
    return found


def inherit(config: Mapping[str, Any], mode: str) -> Sequence[dict[str, Any]]:
    """What a container with that configuration has mounted for its user, with `mode` "ro", "rw" or "" to keep it."""
    if mode not in ("", "ro", "rw"):
        raise MountError(f"expected CONTAINER, CONTAINER:ro or CONTAINER:rw, found {mode!r} behind the colon")
    places = places_of(config)
    return [{**place, "RW": False, "Mode": "ro"} for place in places] if mode == "ro" else places


def _place_bind(request: MountRequest) -> dict[str, Any]:
    if not os.path.lexists(request.source):
        if not request.make_source:
            raise MountError(
                f"expected a file or folder to bind, found nothing at {request.source}",
                hint="make it first; -v makes a folder by itself",
            )
        try:
            os.makedirs(request.source, exist_ok=True)
        except OSError as error:
            raise MountError(f"can't make {request.source} to bind it: {error.strerror}") from error
    return _describe("bind", request.source, request)


def _describe(kind: str, source: str, request: MountRequest) -> dict[str, Any]:
    return {
        "Type": kind,
        "Source": source,
        "Destination": request.target,
        "Mode": "ro" if request.read_only else "",
        "RW": not request.read_only,
        "Propagation": "rprivate" if kind == "bind" else "",
    }


@contextmanager
def _held(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
