"""A tree that is hard to carry, and trees told as values, so that tools can be held against each other."""

import hashlib
import io
import os
import stat
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import host_platform

NAME = "registry.example/team/hard:1"
EPOCH = 1_600_000_000
_CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service, effective

Tree = dict[str, tuple[Any, ...]]


class Layer:
    """A layer's tar in the making, by the standard library's writer."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: Any) -> None:
        xattrs = fields.pop("xattrs", {})
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mtime = kind, len(content), fields.pop("mtime", EPOCH)
        info.mode = fields.pop("mode", 0o755 if kind == tarfile.DIRTYPE else 0o644)
        for field, value in fields.items():
            setattr(info, field, value)
        info.pax_headers = {
            f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape") for key, value in xattrs.items()
        }
        self._tar.addfile(info, io.BytesIO(content))

    def folder(self, name: str, **fields: Any) -> None:
        self.add(name, tarfile.DIRTYPE, **fields)

    def stream(self) -> io.BytesIO:
        """The whole archive, with two blocks at its end: skopeo before 1.12 loses what fills up a record after them."""
        end = self._tar.offset + 2 * tarfile.BLOCKSIZE
        self._tar.close()
        return io.BytesIO(self._buffer.getvalue()[:end])


def hard_layers() -> list[Layer]:
    """Three layers with what is known to break tools."""
    low, middle, top = Layer(), Layer(), Layer()
    low.folder("etc", mode=0o755)
    low.add("etc/passwd", content=b"root:x:0:0::/:/bin/sh\n")
    low.folder("bin")
    low.add("bin/setuid", content=b"#!/bin/sh\n", mode=0o4755)
    low.add("bin/setgid", content=b"x", mode=0o2711, gid=42)
    low.add("bin/capable", content=b"capable", mode=0o755, xattrs={"security.capability": _CAPABILITY})
    low.add("bin/hard-a", content=b"linked" * 100)
    low.add("bin/hard-b", tarfile.LNKTYPE, linkname="bin/hard-a")
    low.add("bin/soft", tarfile.SYMTYPE, linkname="../etc/passwd")
    low.add("bin/dangling", tarfile.SYMTYPE, linkname="/nowhere/at/all", uid=7, gid=8)
    low.folder("owners", uid=1234, gid=4321, mode=0o750)
    low.add("owners/high", uid=60_001, gid=60_002, mode=0o600)
    low.add("owners/attributes", content=b"a", xattrs={"user.note": b"kept"})
    low.folder("tmp", mode=0o1777)
    low.add("run.fifo", tarfile.FIFOTYPE, mode=0o620)
    low.folder("names")
    low.add("names/" + "n" * 200, content=b"long name")
    deep = "names/" + "/".join(["d" * 60] * 5)
    for end in range(1, 6):
        low.folder("names/" + "/".join(["d" * 60] * end))
    low.add(deep + "/file", content=b"deep")
    low.add("names/\N{SNOWMAN} blank and 'quotes'", content="\N{SNOWMAN}".encode())
    low.add("names/back\\slash", content=b"b")
    low.add("names/new\nline", content=b"n")
    low.add("sparse", content=b"begin" + bytes(1 << 20) + b"end")
    low.add("empty")
    low.add("fraction", mtime=EPOCH + 0.123456789)
    low.folder("gone/inside")
    low.add("gone/inside/file", content=b"x")
    low.folder("covered")
    low.add("covered/old", content=b"old")
    low.add("replaced-by-folder", content=b"file")
    low.folder("replaced-by-file")
    low.add("replaced-by-file/inner", content=b"x")
    middle.add(".wh.gone")
    middle.folder("covered")
    middle.add("covered/.wh..wh..opq")
    middle.add("covered/new", content=b"new")
    middle.add(".wh.replaced-by-folder")
    middle.folder("replaced-by-folder")
    middle.add("replaced-by-folder/inner", content=b"y")
    middle.add("replaced-by-file", content=b"now a file")
    middle.add("bin/.wh.hard-b")
    top.folder("etc", mode=0o711)
    top.add("etc/passwd", content=b"changed\n", mode=0o640)
    top.folder("gone")
    top.add("gone/again", content=b"back")
    return [low, middle, top]


def put_hard_image(store: ImageStore, name: str = NAME) -> None:
    """The hard tree as an image of three layers."""
    config = ImageConfig(
        architecture=host_platform().architecture,
        env=("PATH=/bin", "A=b c"),
        cmd=("/bin/sh",),
        labels={"k": "v"},
        exposed_ports=("80/tcp",),
        volumes=("/data",),
        working_dir="/tmp",
        created="2026-01-02T03:04:05Z",
    )
    layers = [store.commit_tar(layer.stream()) for layer in hard_layers()]
    store.tag(name, store.put_image(config, layers).digest)


@contextmanager
def merged(store: ImageStore, name: str, folder: Path) -> Iterator[Path]:
    """The image's root as the kernel makes it of the unpacked layers; needs root."""
    lowers = [str(store.layer_path(layer.diff_id)) for layer in store.find(name).layers]
    target = folder / f"merged-{os.urandom(4).hex()}"
    target.mkdir(parents=True)
    stack = ":".join(reversed(lowers)) + (f":{_empty(folder)}" if len(lowers) == 1 else "")
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={stack}", str(target)], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", str(target)], check=True)


def _empty(folder: Path) -> Path:
    made = folder / "empty"
    made.mkdir(exist_ok=True)
    return made


def describe(top: Path, *, without: frozenset[str] = frozenset(), xattrs: bool = True) -> Tree:
    """A tree as values: kind, mode, owners, seconds, content, link, attributes, first name of the same file.

    `without` are paths below which nothing is looked at.
    """
    found: Tree = {}
    names: dict[tuple[int, int], str] = {}
    for folder, folders, files in os.walk(os.fsencode(top)):
        relative = os.path.relpath(folder, os.fsencode(top))
        folders.sort()
        for raw in sorted([*folders, *files]):
            path = os.path.join(folder, raw)
            name = os.fsdecode(os.path.normpath(os.path.join(relative, raw)))
            if name in without:
                if raw in folders:
                    folders.remove(raw)
                continue
            found[name] = _describe(path, name, names, xattrs=xattrs)
    return found


def _describe(path: bytes, name: str, names: dict[tuple[int, int], str], *, xattrs: bool) -> tuple[Any, ...]:
    status = os.lstat(path)
    kind, content = stat.S_IFMT(status.st_mode), ""
    if stat.S_ISREG(kind):
        content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
    elif stat.S_ISLNK(kind):
        content = os.fsdecode(os.readlink(path))
    attributes: dict[str, bytes] = {}
    if xattrs and not stat.S_ISLNK(kind):
        for key in os.listxattr(path, follow_symlinks=False):
            if key == "security.capability" or (key.startswith("user.") and "overlay" not in key):
                attributes[key] = os.getxattr(path, key, follow_symlinks=False)
    first = "" if stat.S_ISDIR(kind) else names.setdefault((status.st_dev, status.st_ino), name)
    mode = 0o777 if stat.S_ISLNK(kind) else stat.S_IMODE(status.st_mode)
    seconds = 0 if stat.S_ISDIR(kind) else int(status.st_mtime)
    return (kind, mode, status.st_uid, status.st_gid, seconds, content, attributes, first)


def differences(found: Tree, expected: Tree) -> list[str]:
    """What one tree has otherwise than the other; empty when they're equal."""
    lines = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    lines += [f"too much: {name}" for name in sorted(found.keys() - expected.keys())]
    return lines + [
        f"{name}: expected {expected[name]}, found {found[name]}"
        for name in sorted(expected.keys() & found.keys())
        if expected[name] != found[name]
    ]
