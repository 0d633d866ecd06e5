"""Builders for layers: tars with anything in them, and folders told as plain values."""

import gzip
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

from airdock.images.calls import DirectCalls
from airdock.images.image import Layer
from airdock.images.store import ImageStore
from airdock.images.unpack import unpack
from airdock.images.xattrs import is_opaque, read_xattrs
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import host_platform

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: Any) -> Member:
    """An entry for `tar_of`; `fields` are TarInfo's."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def folder(name: str, **fields: Any) -> Member:
    return member(name, tarfile.DIRTYPE, mode=fields.pop("mode", 0o755), **fields)


def symlink(name: str, target: str) -> Member:
    return member(name, tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> Member:
    return member(name, tarfile.LNKTYPE, linkname=target)


def tar_of(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive made by the standard library, whose judgement is independent of ours."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpack_bytes(content: bytes, root: Path, *, mapping: str = "one", **limits: int) -> Path:
    """Unpack an uncompressed archive below `root` as a layer."""
    root.mkdir(exist_ok=True)
    (root / "blob").write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    made = unpack(
        layers=str(root / "layers"), mapping=mapping, blob=str(root / "blob"), compression="", digest=digest,
        diff_id=digest, **limits,
    )  # fmt: skip
    return Path(made)


def leftovers(root: Path) -> list[Path]:
    """What shouldn't be there any more."""
    return sorted(root.rglob(".tmp-*"))


def describe(top: Path) -> dict[str, tuple[Any, ...]]:
    """A folder as values: kind, mode, time, content, kept attributes, other names of the same file."""
    found: dict[str, tuple[Any, ...]] = {}
    names: dict[int, list[str]] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        name = str(path.relative_to(top))
        if not stat.S_ISDIR(status.st_mode):
            names.setdefault(status.st_ino, []).append(name)
        xattrs = {} if path.is_symlink() else read_xattrs(os.fsencode(path))
        is_whiteout = stat.S_ISCHR(status.st_mode)
        content: Any = None
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        found[name] = (
            stat.S_IFMT(status.st_mode),
            None if stat.S_ISLNK(status.st_mode) or is_whiteout else stat.S_IMODE(status.st_mode),
            None if is_whiteout else status.st_mtime_ns,
            content,
            is_opaque(xattrs),
            {key: value for key, value in xattrs.items() if key.startswith("user.") and "overlay" not in key},
            names.get(status.st_ino, [None])[0],
        )
    return found


def make_store(root: Path, mapping: str = "one", id_shift: int = 0) -> ImageStore:
    return ImageStore(root=root, calls=DirectCalls(mapping=mapping, id_shift=id_shift))


def tar_bytes(store: ImageStore, layer: Layer) -> bytes:
    """A layer's tar out of its blob."""
    with store.open_blob(layer.descriptor.digest) as blob:
        return gzip.decompress(blob.read())


def config_of(label: str = "", **fields: Any) -> ImageConfig:
    """A configuration that differs from others by a label."""
    return ImageConfig(architecture=host_platform().architecture, labels={"name": label}, **fields)
