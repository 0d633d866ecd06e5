"""Hostile layers: whatever bytes come, either they are unpacked below the folder or refused in our own words.

AIRDOCK_FUZZ_EXAMPLES sets how many are tried of each kind.
"""

import hashlib
import io
import os
import tarfile
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airdock.containers.receiving import Receiver
from airdock.errors import AirdockError, UnsafeArchiveError
from airdock.images.tar import BLOCK, read_entries
from airdock.images.trees import remove_tree
from airdock.images.unpack import unpack

FUZZ = settings(
    max_examples=int(os.environ.get("AIRDOCK_FUZZ_EXAMPLES", "80")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

NAMES = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", "dev", ".wh.a", ".wh..wh..opq", ".wh.", ".wh...", "é", "x" * 120, "\n"])
    | st.text(st.characters(exclude_characters="\0"), max_size=12),
    min_size=1,
    max_size=5,
).flatmap(lambda parts: st.sampled_from(["/".join(parts), "/" + "/".join(parts), "/".join(parts) + "/"]))
TYPES = st.sampled_from(b"01234567SDgxLKVM\0" + b"z").map(lambda value: bytes([value]))


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A tar with names, links, types, sizes, owners and pax records of all kinds, perhaps with bytes changed."""
    stream = io.BytesIO()
    kind = draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]))
    with tarfile.open(fileobj=stream, mode="w", format=kind):
        for _ in range(draw(st.integers(1, 6))):
            member = tarfile.TarInfo(draw(NAMES))
            member.type = draw(TYPES)
            member.linkname = draw(NAMES)
            member.mode = draw(st.integers(0, 0o7777))
            member.uid = draw(st.sampled_from([0, 1000, 65536, 2097151]))
            member.mtime = draw(st.sampled_from([0, 1, 1700000000, 8589934591]))
            data = draw(st.binary(max_size=40)) if member.type in (b"0", b"x", b"L") else b""
            member.size = len(data) if draw(st.booleans()) else draw(st.sampled_from([0, len(data), 600, 1 << 30]))
            if kind == tarfile.PAX_FORMAT and draw(st.booleans()):
                member.pax_headers = draw(
                    st.dictionaries(
                        st.sampled_from(
                            [
                                *("path", "linkpath", "size", "uid", "mtime", "SCHILY.xattr.user.a"),
                                *("GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.realsize", "GNU.sparse.name"),
                            ]
                        ),
                        st.sampled_from(["1", "-1", "../x", "1e9", "9" * 30, "0,1", "2,600,9,1", "a/b", "\udcff"])
                        | st.text(max_size=8),
                        max_size=2,
                    )
                )
            try:
                header = member.tobuf(kind, errors="surrogateescape")
            except (ValueError, UnicodeError):
                continue
            stream.write(header + data + bytes(-len(data) % BLOCK))
    content = bytearray(stream.getvalue())
    for _ in range(draw(st.integers(0, 4))):
        if content:
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    for start in range(0, len(content) - BLOCK + 1, BLOCK):
        if draw(st.integers(0, 3)) == 0:
            _seal(content, start)
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)


def _seal(content: bytearray, start: int) -> None:
    """Make a changed header's checksum right again, so that more than that is tried."""
    content[start + 148 : start + 156] = b" " * 8
    total = sum(content[start : start + BLOCK])
    content[start + 148 : start + 156] = b"%06o\0 " % total


@contextmanager
def guarded() -> Iterator[Path]:
    """A folder to write in; what is beside it must stay as it is."""
    with tempfile.TemporaryDirectory() as name:
        around = Path(name)
        (around / "secret").write_text("secret")
        (around / "target").mkdir()
        before = seen(around)
        try:
            yield around / "target"
            assert seen(around) == before, "something outside was changed"
        finally:
            remove_tree(around / "target")


def seen(around: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        entry.name: (entry.stat().st_mode, entry.stat().st_mtime_ns, Path(entry).read_bytes())
        for entry in os.scandir(around)
        if entry.name != "target"
    }


def unpack_layer(content: bytes, target: Path) -> None:
    blob = target / "blob"
    blob.write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    unpack(
        layers=str(target / "layers"),
        mapping="one",
        blob=str(blob),
        compression="",
        digest=digest,
        diff_id=digest,
        max_bytes=1 << 22,
        max_entries=100,
    )


@FUZZ
@given(archives())
def test_a_layer_is_unpacked_in_its_folder_or_refused(content: bytes) -> None:
    with guarded() as target:
        try:
            unpack_layer(content, target)
        except AirdockError as error:
            assert error.message
            (layer,) = (target / "layers/one").iterdir()
            assert not (layer / "diff").exists(), "half a layer is none"


@FUZZ
@given(st.binary(max_size=3000))
@example(b"\0" * BLOCK)
@example(b"x" * (BLOCK - 1))
def test_bytes_that_are_no_tar_are_refused(content: bytes) -> None:
    with guarded() as target:
        try:
            unpack_layer(content, target)
        except AirdockError as error:
            assert "expected" in error.message


@FUZZ
@given(archives(), archives())
def test_a_copy_stays_in_its_folder(first: bytes, second: bytes) -> None:
    """The second may build upon links that the first left."""
    with guarded() as target:
        folder = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for content in (first, second):
                try:
                    Receiver(folder=folder).receive(io.BytesIO(content))
                except (AirdockError, OSError):
                    continue
        finally:
            os.close(folder)


class Endless:
    """A stream without an end, which counts what was read."""

    def __init__(self, beginning: bytes, then: bytes) -> None:
        self._beginning = io.BytesIO(beginning)
        self._then = then
        self.count = 0

    def read(self, size: int, /) -> bytes:
        piece = self._beginning.read(size)
        piece += (self._then * (size // len(self._then) + 1))[: size - len(piece)]
        self.count += len(piece)
        return piece


def header(name: bytes, kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo(name.decode())
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_an_extension_is_read_only_when_its_size_is_sane(kind: bytes) -> None:
    endless = Endless(header(b"name", kind, 1 << 40), b"a")
    with pytest.raises(UnsafeArchiveError, match="at most 1 MiB"):
        next(read_entries(endless))
    assert endless.count <= BLOCK


@pytest.mark.parametrize("kind", [b"x", b"L", b"g"])
def test_endless_extensions_take_bounded_memory_and_end(kind: bytes) -> None:
    """Each is small; that there are so many of them must end somewhere."""
    body = (b"30 path=" + b"a" * 21 + b"\n") if kind != b"L" else b"a" * 30
    one = header(b"name", kind, 30) + body.ljust(BLOCK, b"\0")
    endless = Endless(b"", one)
    tracemalloc.start()
    try:
        with pytest.raises(UnsafeArchiveError):
            next(read_entries(endless))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_endless_entries_and_bytes_meet_the_limits(tmp_path: Path) -> None:
    entries = b"".join(header(f"f{number}".encode(), b"0", 0) for number in range(101)) + bytes(2 * BLOCK)
    with pytest.raises(UnsafeArchiveError, match="at most 100 entries"):
        unpack_layer(entries, tmp_path)
    big = header(b"big", b"0", 8 << 20) + bytes(8 << 20)
    with pytest.raises(AirdockError, match="at most 4194304 bytes"):
        unpack_layer(big, tmp_path)


@pytest.mark.parametrize(
    "members",
    [
        [("a", b"2", "/etc"), ("a/passwd", b"0", "")],
        [("a", b"2", ".."), ("a/x", b"0", "")],
        [("a", b"2", "."), ("a/../x", b"0", "")],
        [("a", b"1", "../secret")],
        [("a", b"2", "../secret"), ("b", b"1", "a/x")],
        [("/abs", b"0", "")],
        [("a", b"5", ""), ("a/b", b"2", "../.."), ("a/b/c/d", b"0", "")],
        [("sd", b"4", "")],
        [("f", b"0", ""), ("f/x", b"0", "")],
    ],
)
def test_each_way_out_is_refused(members: list[tuple[str, bytes, str]], tmp_path: Path) -> None:
    stream = io.BytesIO()
    for name, kind, link in members:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        stream.write(member.tobuf(tarfile.GNU_FORMAT))
    stream.write(bytes(2 * BLOCK))
    with pytest.raises(UnsafeArchiveError):
        unpack_layer(stream.getvalue(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"blob", "layers"}
