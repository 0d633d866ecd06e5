"""`--output`: where the result of a build goes, beside or instead of the store.

    type=image                 the store, as without any output
    type=local,dest=DIR        the files of the last stage, into a folder
    type=tar,dest=FILE         the same as a tar
    type=oci,dest=FILE         the image as an OCI layout in a tar; with tar=false a folder
    type=docker,dest=FILE      the image as 'docker save' writes it

A bare value is a folder, `-` is a tar on standard output. Source: docs.docker.com/build/exporters/.
"""

import csv
import os
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from airdock.errors import BuildError
from airdock.images.archive_save import save_images
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.images.unpack import Unpacker
from airdock.record import record

__all__ = ["Output", "parse_output", "write_archive", "write_files"]

_TYPES: Final = ("docker", "image", "local", "oci", "registry", "tar")
STDOUT: Final = "/dev/stdout"


@record
class Output:
    """One output. `target` is a folder or a file; "" for the store."""

    kind: str
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_stored(self) -> bool:
        """Whether the store gets the image."""
        return self.kind in ("image", "registry") or (self.kind == "docker" and not self.target)

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
    if kind in ("local", "oci", "tar") and not target:
        if kind == "local":
            raise BuildError("expected dest= for --output type=local, found none", hint=_HINT)
        target = STDOUT
    return Output(kind=kind, target=STDOUT if target == "-" else target, options=found)


_HINT: Final = "such as -o out, -o type=tar,dest=files.tar or -o type=oci,dest=image.tar"


def write_files(output: Output, *, write: Callable[[str], Any], spool: Path) -> None:
    """Write the files of a stage: `write` makes a tar of them at a path, `spool` is a file for the way."""
    if output.kind == "tar":
        _check_terminal(output.target)
        write(output.target)
        return
    target = Path(output.target)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"expected a folder for the output, found: {error.strerror}", where=str(target)) from error
    write(str(spool))
    try:
        # They're whoever builds, as with BuildKit; owners are in the tar form.
        with spool.open("rb") as file, Unpacker(target, mapping="one") as unpacker:
            unpacker.unpack(file)
    finally:
        spool.unlink()


def write_archive(output: Output, store: ImageStore, image: Image, tags: tuple[str, ...]) -> None:
    """Write the image as an archive, with its names."""
    _check_terminal(output.target)
    with open(output.target, "wb") as file:
        save_images(store, tags or (image.digest,), file, form="oci" if output.kind == "oci" else "docker")


def _check_terminal(target: str) -> None:
    if target == STDOUT and os.isatty(1):
        raise BuildError(
            "expected standard output to be a file or a pipe, found a terminal", hint="say where with dest=FILE"
        )
