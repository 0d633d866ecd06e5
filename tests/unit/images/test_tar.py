"""Headers of ours are read by the standard library, and the other way round."""

import io
import tarfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.errors import UnsafeArchiveError
from airdock.images.tar import (
    DIRECTORY,
    END,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    Entry,
    padding,
    read_entries,
    render_header,
)

names = st.lists(
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=60).filter(
        lambda part: part not in (".", "..") and not part.isspace()
    ),
    min_size=1,
    max_size=6,
).map("/".join)

entries = st.builds(
    Entry,
    name=names.map(str.encode),
    kind=st.sampled_from([REGULAR, SYMLINK, HARD_LINK, DIRECTORY, FIFO]),
    mode=st.integers(0, 0o7777),
    uid=st.one_of(st.integers(0, 70000), st.integers(0, 2**32 - 2)),
    gid=st.one_of(st.integers(0, 70000), st.integers(0, 2**32 - 2)),
    mtime_ns=st.integers(-(10**18), 4 * 10**18),
    xattrs=st.dictionaries(st.sampled_from([b"user.a", b"user.b.c"]), st.binary(max_size=300), max_size=2),
)


def as_written(entry: Entry, link: bytes, content: bytes) -> tuple[Entry, bytes]:
    linked = link if entry.kind in (SYMLINK, HARD_LINK) else b""
    size = len(content) if entry.kind == REGULAR else 0
    full = Entry(
        name=entry.name, kind=entry.kind, mode=entry.mode, uid=entry.uid, gid=entry.gid, size=size,
        mtime_ns=entry.mtime_ns, link=linked, xattrs=entry.xattrs,
    )  # fmt: skip
    return full, content[:size]


def archive_of(items: list[tuple[Entry, bytes]]) -> bytes:
    return b"".join(render_header(entry) + content + padding(len(content)) for entry, content in items) + END


def read_all(archive: bytes) -> list[tuple[Entry, bytes]]:
    source = io.BytesIO(archive)
    found = []
    for entry in read_entries(source):
        found.append((entry, source.read(entry.size)))
        source.read(len(padding(entry.size)))
    return found


items = st.lists(st.builds(as_written, entries, names.map(str.encode), st.binary(max_size=1200)), max_size=4)


@given(items)
def test_what_is_written_is_read_again(written: list[tuple[Entry, bytes]]) -> None:
    archive = archive_of(written)
    assert len(archive) % 512 == 0
    found = [
        (entry if entry.kind != DIRECTORY else Entry(**{**fields(entry), "name": entry.name.removesuffix(b"/")}), data)
        for entry, data in read_all(archive)
    ]
    assert found == written


def fields(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__slots__}


@given(items)
def test_the_standard_library_reads_the_same(written: list[tuple[Entry, bytes]]) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive_of(written))) as archive:
        members = archive.getmembers()
        assert len(members) == len(written)
        for info, (entry, content) in zip(members, written, strict=True):
            assert info.name.encode() == entry.name.rstrip(b"/")
            assert (info.type, info.mode, info.uid, info.gid) == (entry.kind, entry.mode, entry.uid, entry.gid)
            assert info.linkname.encode().rstrip(b"/") == entry.link.rstrip(b"/")
            assert abs(info.mtime - entry.mtime_ns / 1e9) < 1e-3
            assert (info.uname, info.gname) == ("", "")
            if info.isreg():
                extracted = archive.extractfile(info)
                assert extracted is not None and extracted.read() == content


def test_plain_entries_need_no_pax_records() -> None:
    header = render_header(Entry(name=b"a" * 90 + b"/" + b"b" * 90, kind=REGULAR, mtime_ns=10**18))
    assert len(header) == 512
    assert len(render_header(Entry(name=b"a", kind=REGULAR, mtime_ns=1))) == 1536


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_every_dialect(form: int) -> None:
    long = "d" * 50 + "/" + "n" * 90 if form == tarfile.USTAR_FORMAT else "ü" * 200
    info = tarfile.TarInfo(long)
    info.mtime, info.uid, info.size, info.uname = 5, 2097151, 3, "someone"
    linked = tarfile.TarInfo("link")
    linked.type, linked.linkname = tarfile.SYMTYPE, long[:95]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        archive.addfile(info, io.BytesIO(b"abc"))
        archive.addfile(linked)
    (first, content), (second, _) = read_all(buffer.getvalue())
    assert (first.name.decode(), first.uid, first.mtime_ns, content) == (long, 2097151, 5 * 10**9, b"abc")
    assert second.link.decode() == long[:95]


def test_reads_big_numbers_of_gnu() -> None:
    info = tarfile.TarInfo("big")
    info.uid, info.mtime = 3_000_000, -5
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info)
    [(entry, _)] = read_all(buffer.getvalue())
    assert (entry.uid, entry.mtime_ns) == (3_000_000, -5 * 10**9)


@given(st.binary(max_size=2048))
def test_noise_is_refused_or_empty(noise: bytes) -> None:
    try:
        assert read_all(noise) == []
    except UnsafeArchiveError as error:
        assert "expected" in error.message


@given(st.data())
def test_flipped_bytes_never_break_the_reader(data: st.DataObject) -> None:
    archive = bytearray(archive_of([(Entry(name="ü".encode() * 80, kind=REGULAR, mtime_ns=1), b"")]))
    at = data.draw(st.integers(0, len(archive) - 1))
    archive[at] = data.draw(st.integers(0, 255))
    try:
        read_all(bytes(archive))
    except UnsafeArchiveError as error:
        assert "expected" in error.message


@pytest.mark.parametrize(
    "records",
    ["x", "5 a=b", "99 a=b\n", "0 a=b\n", "9 path=\0\n", "12 path=a\0b\n", "11 uid=ab\n", "18 uid=4294967295\n"],
)
def test_broken_pax_records_are_refused(records: str) -> None:
    body = records.encode()
    header = render_header(Entry(name=b"p", kind=b"x", size=len(body)))
    archive = header + body + padding(len(body)) + archive_of([(Entry(name=b"f", kind=REGULAR), b"")])
    with pytest.raises(UnsafeArchiveError, match="expected"):
        read_all(archive)


def test_huge_extensions_are_refused() -> None:
    with pytest.raises(UnsafeArchiveError, match="1 MiB"):
        read_all(render_header(Entry(name=b"p", kind=b"L", size=1 << 22)))
