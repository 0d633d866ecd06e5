"""Builders for tests of builds: a store in a temporary folder, a bench that builds, a reader of layers."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airdock.builder.base import BuildRequest
from airdock.builder.build import build
from airdock.builder.memory import FunctionRun, Program
from airdock.clock import ManualClock
from airdock.images.calls import DirectCalls
from airdock.images.image import Image, Layer
from airdock.images.store import ImageStore
from airdock.images.tar import DIRECTORY, END, REGULAR, SYMLINK, Entry, padding, read_entries, render_header
from airdock.model.progress import BuildOutput, BuildStep, Note, Progress
from airdock.oci.config import ImageConfig


def pack(entries: list[tuple[Entry, bytes]]) -> io.BytesIO:
    """A tar of entries with their data."""
    return io.BytesIO(b"".join(render_header(entry) + data + padding(len(data)) for entry, data in entries) + END)


def folder(name: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> tuple[Entry, bytes]:
    return Entry(name=name.encode(), kind=DIRECTORY, mode=mode, uid=uid, gid=gid, mtime_ns=10**18), b""


def file(name: str, data: str = "", mode: int = 0o644) -> tuple[Entry, bytes]:
    return Entry(name=name.encode(), kind=REGULAR, mode=mode, size=len(data), mtime_ns=10**18), data.encode()


def link(name: str, to: str) -> tuple[Entry, bytes]:
    return Entry(name=name.encode(), kind=SYMLINK, mode=0o777, link=to.encode()), b""


BASE = [
    folder("etc"),
    file("etc/passwd", "root:x:0:0::/root:/bin/sh\nairflow:x:1000:1001::/home/airflow:/bin/sh\n"),
    file("etc/group", "root:x:0:\nairflow:x:1001:\nstaff:x:50:\n"),
    folder("home"),
    folder("home/airflow", 0o700, 1000, 1001),
    link("lib", "usr/lib"),
    folder("tmp", 0o1777),
    folder("usr"),
    folder("usr/lib"),
    file("usr/lib/old", "old"),
]


@dataclass
class Bench:
    """Builds Dockerfiles over one store; keeps what was told."""

    folder: Path
    store: ImageStore
    programs: dict[str, Program] = field(default_factory=dict)
    events: list[Progress] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = self.folder / "context"
        self.context.mkdir()
        self.run = FunctionRun(store=self.store, programs=self.programs)

    def base(self, name: str, entries: list[tuple[Entry, bytes]] | None = None, **config: object) -> Image:
        """Put an image of one layer under a name."""
        settings = ImageConfig(architecture="amd64", env=("PATH=/bin",), **config)  # type: ignore[arg-type]
        image = self.store.put_image(settings, [self.store.commit_tar(pack(BASE if entries is None else entries))])
        self.store.tag(name, image.digest)
        return image

    def write(self, files: Mapping[str, str]) -> None:
        """Put files into the context."""
        for name, text in files.items():
            path = self.context / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def build(self, dockerfile: str, **request: object) -> Image:
        """Build with the bench's context."""
        self.events.clear()
        settings: dict[str, object] = {"context": self.context, "label": "test", **request}
        find = settings.pop("find", self.store.find)
        return build(
            BuildRequest(dockerfile=dockerfile, **settings),  # type: ignore[arg-type]
            store=self.store,
            run=self.run,
            find=find,  # type: ignore[arg-type]
            report=self.events.append,
            clock=ManualClock(),
            cache=self.folder / "cache",
        )

    def entries(self, layer: Layer) -> dict[str, Entry]:
        """What is in a layer's tar, by name."""
        import gzip

        with gzip.open(self.store.blob_path(layer.descriptor.digest), "rb") as source:
            found = {}
            for entry in read_entries(source):
                found[entry.name.decode().rstrip("/")] = entry
                source.read(entry.size + len(padding(entry.size)))
            return found

    def text(self, image: Image, path: str) -> str:
        """A file as a container of the image would see it, links not followed."""
        for layer in reversed(image.layers):
            full = self.store.layer_path(layer.diff_id) / path
            if full.is_file():
                return full.read_text()
        raise AssertionError(f"{path} is in no layer")

    @property
    def lines(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, BuildOutput)]

    @property
    def notes(self) -> list[str]:
        return [event.line for event in self.events if isinstance(event, Note)]

    @property
    def ended(self) -> list[tuple[int, int, str, bool]]:
        """Number, total, text and whether it was cached, of the steps that ended."""
        return [
            (event.number, event.total, event.text, event.cached)
            for event in self.events
            if isinstance(event, BuildStep) and event.seconds is not None
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(folder=tmp_path, store=ImageStore(root=tmp_path / "images", calls=DirectCalls()))
