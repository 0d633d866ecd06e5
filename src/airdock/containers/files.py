"""The files of a home's containers: copied in and out, compared, exported, committed; running or not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from airdock.containers import copying
from airdock.containers.snapshot import commit_container, export_container, merge_config
from airdock.containers.view import Launch, View
from airdock.runtime.freeze import freeze, thaw

if TYPE_CHECKING:
    from airdock.containers.containers import Containers
    from airdock.containers.known import Known
    from airdock.images.image import Image
    from airdock.images.store import ImageStore
    from airdock.oci.config import ImageConfig

__all__ = ["Files"]


class Files:
    """Every verb takes a container's name or id and raises UnknownContainerError where there is none.

    `work` is the folder that launchers mount in.
    """

    def __init__(self, *, containers: "Containers", images: "ImageStore", launcher: Launch, work: Path) -> None:
        self._containers = containers
        self._images = images
        self._launcher = launcher
        self._work = work

    def copy_out(self, name: str, source: str, target: str, *, follow: bool = False, archive: bool = False) -> int:
        """Copy a path of the container to this machine; gives the bytes of files. See `copying.copy_out`."""
        with self._view(name) as view:
            return copying.copy_out(view, source, target, follow=follow, archive=archive)

    def copy_in(self, name: str, source: str, target: str, *, follow: bool = False, archive: bool = False) -> int:
        """Copy a path of this machine into the container; gives the bytes of files.

        What is made belongs to root; with `archive` owners stay, where the container has them.
        """
        with self._view(name) as view:
            return copying.copy_in(view, source, target, follow=follow, owner=self._owner(archive))

    def stream_out(self, name: str, source: str, write: Callable[[bytes], object], *, follow: bool = False) -> None:
        """Write a path of the container as a tar."""
        with self._view(name) as view:
            copying.stream_out(view, source, write, follow=follow)

    def extract(self, name: str, source: IO[bytes], target: str) -> int:
        """Unpack a tar into a folder of the container; owners are those of the archive where the account has them."""
        with self._view(name) as view:
            return copying.extract(view, source, target, owner=self._owner(archive=True))

    def changes(self, name: str) -> list[tuple[str, str]]:
        """What the container changed: ("A", "C" or "D", path), sorted by path."""
        with self._containers.holding(name) as known:
            view = self._see(known)
            found = self._launcher.call(
                "airdock.containers.changes:list_changes",
                {
                    "upper": str(view.folder / "upper"),
                    "layers": [str(layer) for layer in view.layers],
                    "ignore": list(known.state.mount_points),
                },
            )
        return [(kind, path) for kind, path in found]

    def export(self, name: str, write: Callable[[bytes], object]) -> None:
        """Write the container's root as a tar, without what is mounted in it."""
        with self._view(name) as view:
            export_container(view, write)

    def commit(
        self,
        name: str,
        *,
        author: str = "",
        message: str = "",
        change: "Callable[[ImageConfig], ImageConfig]" = lambda config: config,
        pause: bool = True,
    ) -> "Image":
        """An image, without a name yet, of the container's files; `change` is applied to its configuration.

        With `pause` a running container is stopped meanwhile. Raises ContainerError where it can't be.
        """
        with self._containers.holding(name) as known:
            base = self._images.find(known.state.image_digest)
            config = change(merge_config(base.config, dict(known.state.config), record=known.record))
            with _paused(known) if pause and known.status == "running" else nullcontext():
                return commit_container(
                    self._see(known),
                    base,
                    self._images,
                    config=config,
                    ignore=known.state.mount_points,
                    author=author,
                    message=message,
                    command=known.state.command,
                    created=datetime.now(UTC).isoformat(),
                )

    def _owner(self, archive: bool) -> Sequence[int] | str | None:
        if self._launcher.mapping == "one":
            return None
        return "entry" if archive else (0, 0)

    @contextmanager
    def _view(self, name: str) -> Iterator[View]:
        with self._containers.holding(name) as known:
            yield self._see(known)

    def _see(self, known: "Known") -> View:
        from airdock.oci.digest import Digest

        layers = (
            [Digest(text) for text in known.record.layers]
            if known.record
            else [layer.diff_id for layer in self._images.find(known.state.image_digest).layers]
        )
        return View(
            folder=Path(known.folder),
            layers=self._images.layer_paths(layers),
            mounts=known.state.config.get("mounts", ()),
            state=known.state,
            launcher=self._launcher,
            work=self._work,
        )


@contextmanager
def _paused(known: "Known") -> Iterator[None]:
    """Nothing in the container runs until the block ends."""
    freeze(known.state)
    try:
        yield
    finally:
        thaw(known.state)
