"""`--output`: where the result of a build goes, beside or instead of the store.

    type=image[,name=NAME]     the store, as without any output; with push=true the registry, too
    type=registry[,name=NAME]  type=image,push=true
    type=local,dest=DIR        the files of the last stage, into a folder
    type=tar,dest=FILE         the same as a tar
    type=oci,dest=FILE         the image as an OCI layout in a tar; with tar=false in a folder
    type=docker,dest=FILE      the image as 'docker save' writes it; without dest= it's type=image

A bare value is a folder, `-` is a tar on standard output. Source: docs.docker.com/build/exporters/.
"""

import csv
import os
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, BinaryIO, Final

from airdock.errors import BuildError
from airdock.images.archive_save import save_images
from airdock.images.store import ImageStore
from airdock.images.unpack import Unpacker
from airdock.oci.digest import Digest
from airdock.record import record

__all__ = ["Output", "parse_output", "write_archive", "write_files"]

_TYPES: Final = ("docker", "image", "local", "oci", "registry", "tar")
STDOUT: Final = "/dev/stdout"


@record
class Output:
    """One output. `target` is a folder or a file; "" for the store. `names` are for the image, `annotations` for its
    manifest; `push` sends it to the registries of its names, `packed` says whether an archive is one file."""

    kind: str
    target: str = ""
    names: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    push: bool = False
    packed: bool = True

    @property
    def is_files(self) -> bool:
        """Whether only the files count, not the image."""
        return self.kind in ("local", "tar")


def parse_output(text: str) -> Output:
    """The value of `--output`. Raises `BuildError`."""
    if text == "-":
        return Output(kind="tar", target=STDOUT)
    if "=" not in text:
        return Output(kind="local", target=text)
    found: dict[str, str] = {}
    for part in next(csv.reader([text]), []):
        key, equals, value = part.partition("=")
        if not equals:
            raise BuildError(f"expected --output to be key=value pairs, found {part!r}", hint=_HINT)
        found[key.strip().lower()] = value
    kind = found.pop("type", "")
    target = found.pop("dest", "")
    if kind not in _TYPES:
        raise BuildError(f"expected --output type= to be one of {', '.join(_TYPES)}, found {kind!r}", hint=_HINT)
    packed = _take_flag(found, "tar", default=True) if kind in _ARCHIVES else True
    if kind in ("local", "oci", "tar") and not target:
        if kind == "local" or not packed:
            raise BuildError(f"expected dest= with a folder for --output {text}, found none", hint=_HINT)
        target = STDOUT
    names = tuple(name.strip() for name in found.pop("name", "").split(",") if name.strip())
    annotations = {key.partition(".")[2]: found.pop(key) for key in list(found) if key.startswith("annotation.")}
    push = _take_flag(found, "push", default=kind == "registry") if kind in ("image", "registry") else False
    if (names or annotations) and kind in ("local", "tar"):
        raise BuildError(f"expected files to have no name and no annotations, found {text!r}", hint=_HINT)
    for key, value in found.items():
        if value not in _AS_IT_IS.get(key, ()):
            raise BuildError(f"expected --output type={kind} without {key}={value}, found {text!r}", hint=_HINT)
    return Output(
        kind=kind,
        target=STDOUT if target == "-" else target,
        names=names,
        annotations=annotations,
        push=push,
        packed=packed,
    )


def _take_flag(found: dict[str, str], key: str, *, default: bool) -> bool:
    text = found.pop(key, str(default)).lower()
    if text not in ("true", "false", "1", "0"):
        raise BuildError(f"expected --output {key}= to be true or false, found {text!r}", hint=_HINT)
    return text in ("true", "1")


_HINT: Final = "such as -o out, -o type=tar,dest=files.tar, -o type=oci,dest=image.tar or -o type=registry,name=NAME"
_ARCHIVES: Final = ("docker", "oci")
_AS_IT_IS: Final = {
    "compression": ("gzip",),
    "oci-mediatypes": ("true", "1"),
    "platform-split": ("true", "1"),
    "rewrite-timestamp": ("true", "1"),
    "unpack": ("true", "1"),
}
"""What BuildKit can be told and is so here anyway."""


def write_files(output: Output, *, write: Callable[[str], Any], spool: Path) -> None:
    """Write the files of a stage: `write` makes a tar of them at a path, `spool` is a file for the way."""
    if output.kind == "tar":
        _check_terminal(output.target)
        write(output.target)
        return
    target = _make_folder(output)
    write(str(spool))
    _unpack(spool, target)


def write_archive(output: Output, store: ImageStore, digest: Digest, tags: tuple[str, ...], *, spool: Path) -> None:
    """Write an image or an index as an archive, with its names; `spool` is a file for the way into a folder."""
    form = "oci" if output.kind == "oci" else "docker"
    if output.packed:
        _check_terminal(output.target)
        with _open(output.target) as file:
            save_images(store, tags or (digest,), file, form=form)
        return
    target = _make_folder(output)
    with spool.open("wb") as file:
        save_images(store, tags or (digest,), file, form=form)
    _unpack(spool, target)


def _open(target: str) -> BinaryIO:
    try:
        return open(target, "wb")
    except OSError as error:
        raise BuildError(f"expected a file for the output, found: {error.strerror}", where=target) from error


def _make_folder(output: Output) -> Path:
    target = Path(output.target)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"expected a folder for the output, found: {error.strerror}", where=str(target)) from error
    return target


def _unpack(spool: Path, target: Path) -> None:
    """The files are whoever's that builds, as with BuildKit; owners are in the tar form."""
    try:
        with spool.open("rb") as file, Unpacker(target, mapping="one") as unpacker:
            unpacker.unpack(file)
    finally:
        spool.unlink()


def _check_terminal(target: str) -> None:
    if target == STDOUT and os.isatty(1):
        raise BuildError(
            "expected standard output to be a file or a pipe, found a terminal", hint="say where with dest=FILE"
        )
