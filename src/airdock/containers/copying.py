"""`cp` between this machine and a container, by Docker's rules; archives of either side come and go as streams.

Docker's rules for where a copy goes: docs.docker.com, `docker container cp`.
"""

import os
import posixpath
from collections.abc import Callable, Sequence
from typing import IO, Any, Final

from airdock.containers.receiving import Receiver
from airdock.containers.sending import Sender, send_tree
from airdock.containers.view import View
from airdock.errors import CopyError
from airdock.record import record

__all__ = ["Place", "copy_in", "copy_out", "extract", "plan_copy", "stream_out", "take_stream"]

_INSIDE: Final = "airdock.containers.inside"


@record
class Place:
    """One side of a copy as it was found. `kind` is "folder", "file", "link" or "" for nothing; `parent` whether the
    folder above is there. `asked` is the path as it was written, `path` the one to work with."""

    asked: str
    path: str
    kind: str
    parent: bool = True

    @property
    def wants_folder(self) -> bool:
        return self.asked.endswith(("/", "/.")) or self.asked == "."

    @property
    def wants_contents(self) -> bool:
        return self.asked.endswith("/.") or self.asked == "."

    @property
    def name(self) -> str:
        """What it is called: as it was asked for, though that may be a link; empty for the root."""
        asked = posixpath.basename(posixpath.normpath(self.asked))
        return asked if asked not in ("", ".", "..") else posixpath.basename(posixpath.normpath(self.path))


def plan_copy(source: Place, target: Place) -> tuple[str, str]:
    """(folder to write to, name that the source gets there); an empty name is for what is in the source's folder.

    Raises CopyError where Docker's rules allow no copy.
    """
    if not source.kind:
        raise CopyError(f"expected a file or folder to copy, found none at {source.asked}")
    if source.kind != "folder" and source.wants_folder:
        raise CopyError(f"expected a folder, found a file at {source.asked}", hint="leave out the slash at its end")
    if target.kind == "folder":
        contents = source.kind == "folder" and (source.wants_contents or not source.name)
        return target.path, "" if contents else source.name
    if target.kind and target.wants_folder:
        raise CopyError(f"expected a folder, found a file at {target.asked}")
    if target.kind and source.kind == "folder":
        raise CopyError(f"cannot copy a folder to a file: {source.asked} to {target.asked}")
    if not target.kind and source.kind != "folder" and target.wants_folder:
        raise CopyError(f"expected a folder at {target.asked}, found nothing", hint="make it first")
    if not target.kind and not target.parent:
        raise CopyError(f"expected the folder that is to hold {target.asked}, found none", hint="make it first")
    folder, name = posixpath.split(posixpath.normpath(target.path))
    return folder or ".", name


def copy_out(view: View, source: str, target: str, *, follow: bool, archive: bool) -> int:
    """Copy from the container to this machine; gives the bytes of files.

    What is made belongs to the caller and has no set-user-id bits; with `archive` owners and bits are the container's.
    """
    found = _look_inside(view, source, follow=follow)
    folder, name = plan_copy(found, _look_here(target, follow=True))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        receiver = Receiver(
            folder=descriptor,
            owner="entry" if archive and os.geteuid() == 0 else None,
            set_id=archive,
            only=os.fsencode(name),
        )

        def read(stream: IO[bytes]) -> None:
            receiver.receive(stream)

        _pull(view, {"path": found.path, "top": name}, read)
        return receiver.received
    finally:
        os.close(descriptor)


def stream_out(view: View, source: str, write: Callable[[bytes], object], *, follow: bool) -> None:
    """Write a file or folder of the container as a tar; with /. at its end names are relative to it."""
    found = _look_inside(view, source, follow=follow)
    if not found.kind:
        raise CopyError(f"expected a file or folder to copy, found none at {source}")
    if found.kind != "folder" and found.wants_folder:
        raise CopyError(f"expected a folder, found a file at {source}", hint="leave out the slash at its end")
    # As Docker calls it: what a link leads to has its own name here, though a copy to a folder has the link's.
    top = "." if found.wants_contents else posixpath.basename(posixpath.normpath(found.path if follow else found.name))
    take_stream(view, {"path": found.path, "top": top}, write)


def take_stream(view: View, arguments: dict[str, Any], write: Callable[[bytes], object]) -> None:
    """Have the container's files sent (`inside.send`), and write the tar as it comes."""

    def read(stream: IO[bytes]) -> None:
        while piece := stream.read(1 << 18):
            write(piece)

    _pull(view, arguments, read)


def copy_in(view: View, source: str, target: str, *, follow: bool, owner: Sequence[int] | str | None) -> int:
    """Copy from this machine into the container; gives the bytes of files. `owner` is as in `Receiver`."""
    found = _look_here(source, follow=follow)
    folder, name = plan_copy(found, _look_inside(view, target, follow=True))
    above, base = (found.path, ".") if not name else posixpath.split(found.path)
    descriptor = os.open(above or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:

        def send(stream: IO[bytes]) -> None:
            send_tree(descriptor, os.fsencode(base or "."), os.fsencode(name), Sender(write=stream.write))

        return _push(view, {"path": folder, "only": name, "owner": owner}, send)
    finally:
        os.close(descriptor)


def extract(view: View, source: IO[bytes], target: str, *, owner: Sequence[int] | str | None) -> int:
    """Unpack a tar into a folder of the container."""
    found = _look_inside(view, target, follow=True)
    if found.kind != "folder":
        what = "a file" if found.kind else "nothing"
        raise CopyError(f"expected a folder at {target} to unpack into, found {what}")

    def send(stream: IO[bytes]) -> None:
        while piece := source.read(1 << 18):
            stream.write(piece)

    return _push(view, {"path": found.path, "only": "", "owner": owner}, send)


def _look_inside(view: View, path: str, *, follow: bool) -> Place:
    absolute = "/" + path.lstrip("/")
    follow = follow or path.endswith(("/", "/."))
    return Place(asked=path, **view.ask(f"{_INSIDE}:look", {"path": posixpath.normpath(absolute), "follow": follow}))


def _look_here(path: str, *, follow: bool) -> Place:
    follow = follow or path.endswith(("/", "/."))
    found = (
        os.path.realpath(path) if follow else os.path.join(os.path.realpath(os.path.dirname(path) or "."), _base(path))
    )
    kind = ""
    if os.path.lexists(found):
        kind = "link" if os.path.islink(found) else "folder" if os.path.isdir(found) else "file"
    return Place(asked=path, path=found, kind=kind, parent=os.path.isdir(os.path.dirname(found)))


def _base(path: str) -> str:
    return os.path.basename(path) or "."


def _pull(view: View, arguments: dict[str, Any], read: Callable[[IO[bytes]], None]) -> None:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with open(reader, "rb", buffering=1 << 18) as stream:
        try:
            work = view.begin(f"{_INSIDE}:send", arguments, writer)
        finally:
            os.close(writer)
        _both(work.result, lambda: read(stream), stream)


def _push(view: View, arguments: dict[str, Any], send: Callable[[IO[bytes]], None]) -> int:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with open(writer, "wb", buffering=0) as stream:
        try:
            work = view.begin(f"{_INSIDE}:receive", arguments, reader)
        finally:
            os.close(reader)
        return int(_both(work.result, lambda: send(_Whole(stream)), stream)["bytes"])  # type: ignore[arg-type]


class _Whole:
    """Writes all of what it is given: a raw pipe takes what fits."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._descriptor = stream.fileno()

    def write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            view = view[os.write(self._descriptor, view) :]


def _both(result: Callable[[], Any], ours: Callable[[], None], stream: IO[bytes]) -> Any:
    """Do our half of the work, and take what came of the other; the one who failed first is told of."""
    failed: BaseException | None = None
    try:
        ours()
    except BaseException as error:
        failed = error
    stream.close()
    try:
        value = result()
    except BrokenPipeError:
        raise failed or CopyError("the copy was broken off") from failed
    if failed is not None:
        raise failed
    return value
