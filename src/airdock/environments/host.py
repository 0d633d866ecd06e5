"""The image named `host`: this machine's own system and Python, seen through an image.

Its one layer is an empty skeleton. What is in it is bound read-only from the machine, each folder at its own path, as
the label `airdock.host` says: `/usr`, `/etc` and the folders of one Python; of homes nothing else. So it costs nothing
and runs on this machine only. `host` has the server's Python and its packages, `host:3.9` that of another version.
"""

import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import airdock
from airdock.engine import DEFAULT_PATH, HOST, HOST_LABEL
from airdock.environments.python import Interpreter, Pythons
from airdock.errors import ImageError
from airdock.files import save_bytes, save_json
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.oci.config import History, ImageConfig
from airdock.oci.descriptor import host_platform
from airdock.record import record

__all__ = ["HOST", "HostImage", "python_folders"]

_FOLDERS: Final = ("dev", "etc", "home", "opt", "proc", "root", "run", "sys", "usr", "var", "workspace")
_SHARED: Final = ("tmp", "var/tmp")
_LINKS: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""On most systems links into /usr; where one is a folder of its own, it is bound."""
_PACKAGES: Final = (
    "/var/lib/dpkg/status",
    "/lib/apk/db/installed",
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/pacman/local",
)
"""Where distributions write down what is installed."""
_LIBC: Final = ("/lib/*-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/lib/libc.so.6", "/lib/ld-musl-*.so.1")


def python_folders() -> tuple[str, ...]:
    """The folders that the server's Python loads from: its installation, its environment, and its path.

    Without the first entry of the path, which is wherever the command was started or its script lies.
    """
    path = sys.path if sys.flags.safe_path else sys.path[1:]
    own = Path(airdock.__file__).parents[1]
    return tuple(folder for folder in (sys.base_prefix, sys.prefix, *path, str(own)) if Path(folder).is_dir())


@record
class _Host:
    """What a host image is made of: the folders to bind, those of programs, and files that say what is in them."""

    interpreter: Interpreter
    binds: tuple[str, ...]
    programs: tuple[str, ...]

    @property
    def evidence(self) -> tuple[Path, ...]:
        libraries = (path for pattern in _LIBC for path in sorted(Path("/").glob(pattern.lstrip("/"))))
        packages = (Path(path) for path in _PACKAGES)
        return (*(path for path in packages if path.exists()), *libraries, Path(self.interpreter.path))

    @property
    def identity(self) -> list[Any]:
        """Changes whenever what `fingerprint` reads may have changed; costs a few calls of stat."""
        said = [sys.platform, os.uname().machine, self.interpreter.to_dict(), self.binds, self.programs]
        return [*said, *(_identity(path) for path in self.evidence)]

    def fingerprint(self) -> str:
        """Names package status, libc, interpreter and folder list by their content."""
        content = hashlib.sha256(json.dumps([self.interpreter.to_dict(), self.binds], sort_keys=True).encode())
        for path in self.evidence:
            content.update(str(path).encode() + b"\0")
            content.update(_digest(path))
        return content.hexdigest()


class HostImage:
    """Makes host images on demand. `memory` is a folder for what was found out; `folders` are the server's own."""

    def __init__(
        self, *, images: ImageStore, pythons: Pythons, memory: Path, folders: Sequence[str] | None = None
    ) -> None:
        self._images = images
        self._pythons = pythons
        self._memory = memory
        self._folders = python_folders() if folders is None else tuple(folders)

    def find(self, name: str) -> Image | None:
        """The image that `host` or `host:3.9` names; None for every other name.

        Raises EnvironmentFailedError where that Python isn't here.
        """
        repository, _, tag = name.partition(":")
        if repository != HOST or "@" in tag:
            return None
        return self.ensure(None if tag in ("", "latest") else tag)

    def ensure(self, python: str | None = None) -> Image:
        """The host image with the server's Python, or with another version, made first where need be."""
        host = self._describe(self.interpreter(python), is_server=python is None)
        memory = self._memory / f"host-{host.interpreter.series if python else 'server'}.json"
        identity = json.loads(json.dumps(host.identity))
        known = _load(memory)
        if known.get("identity") == identity:
            try:
                found = self._images.find(known["digest"])
                if self.made(found.labels[HOST_LABEL]):
                    return found
            except ImageError:
                pass  # removed since
        image = self._make(host)
        self._images.tag(HOST if python is None else f"{HOST}:{python}", image.digest)
        self._memory.mkdir(parents=True, exist_ok=True)
        save_json(memory, {"identity": identity, "digest": str(image.digest)}, durable=False)
        return image

    def interpreter(self, python: str | None) -> Interpreter:
        """The interpreter of the host image for that version; None is the server's."""
        return Interpreter.current() if python is None else self._pythons.find(python)

    def made(self, label: str) -> bool:
        """Whether this value of the host label was made here, lately or long ago."""
        return self._proof(label).exists()

    def _proof(self, label: str) -> Path:
        return self._memory / "hosts" / hashlib.sha256(label.encode()).hexdigest()

    def _describe(self, interpreter: Interpreter, *, is_server: bool) -> _Host:
        folders = self._folders if is_server else (interpreter.prefix,)
        programs = (f"{sys.prefix}/bin",) if is_server else ()
        return _Host(
            interpreter=interpreter,
            binds=tuple(_outermost(["/usr", "/etc", *folders, interpreter.path, *_strays()])),
            programs=tuple(dict.fromkeys((*programs, str(Path(interpreter.path).parent)))),
        )

    def _make(self, host: _Host) -> Image:
        platform = host_platform()
        label = {
            "binds": host.binds,
            "python": list(host.interpreter.version),
            "interpreter": host.interpreter.path,
            "fingerprint": host.fingerprint(),
        }
        text = json.dumps(label, sort_keys=True)
        self._proof(text).parent.mkdir(parents=True, exist_ok=True)
        save_bytes(self._proof(text), b"", durable=False)
        path = [folder for folder in host.programs if folder not in DEFAULT_PATH.split(":")]
        config = ImageConfig(
            architecture=platform.architecture,
            variant=platform.variant,
            env=(f"PATH={':'.join([*path, DEFAULT_PATH])}", "LANG=C.UTF-8"),
            cmd=("/bin/sh",),
            working_dir="/",
            labels={HOST_LABEL: text},
            history=(History(created_by="airdock: skeleton of the host image"),),
        )
        return self._images.put_image(config, [self._images.commit_tar(io.BytesIO(_skeleton()))])


def _strays() -> Iterator[str]:
    """Top folders that aren't links into /usr, and where links out of /etc lead that programs can't do without."""
    tops = (Path("/", name) for name in _LINKS)
    yield from (str(top) for top in tops if top.is_dir() and not top.is_symlink())
    yield os.path.realpath("/etc/resolv.conf")


def _outermost(paths: Iterable[str]) -> Iterator[str]:
    """The paths that are there, each where it is named and where links lead from there, without what another holds."""
    named = {form for path in paths for form in (Path(path).absolute(), Path(path).resolve()) if form.exists()}
    kept: list[Path] = []
    for path in sorted(named - {Path("/")}, key=lambda path: (len(path.parts), path)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return iter(sorted(map(str, kept)))


def _skeleton() -> bytes:
    """The tar of the empty root folder: the same bytes on every machine of a kind."""
    import tarfile  # made once per machine, while every command would pay for the import

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entries = [(name, 0o700 if name == "root" else 0o755) for name in _FOLDERS] + [
            (name, 0o1777) for name in _SHARED
        ]
        for name, mode in sorted(entries):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        for name in _LINKS:
            if Path("/", name).is_symlink():
                link = tarfile.TarInfo(name)
                link.type, link.mode, link.linkname = tarfile.SYMTYPE, 0o777, str(Path("/", name).readlink())
                tar.addfile(link)
    return buffer.getvalue()


def _identity(path: Path) -> list[Any]:
    status = path.stat()
    return [str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]


def _digest(path: Path) -> bytes:
    if path.is_dir():  # pacman keeps a folder per package, named by its version
        return hashlib.sha256("\0".join(sorted(each.name for each in path.iterdir())).encode()).digest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _load(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
