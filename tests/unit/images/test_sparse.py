"""Sparse files of tars: GNU tar's own four forms of one file, and what no file can be."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from airdock.errors import UnsafeArchiveError
from airdock.images.contents import pump_data, skip_data
from airdock.images.tar import BLOCK, REGULAR, Entry, padding, read_entries, render_header
from airdock.images.unpack import Unpacker

FORMS = {
    "gnu": ["--format=gnu"],
    "pax-0.0": ["--format=pax", "--sparse-version=0.0"],
    "pax-0.1": ["--format=pax", "--sparse-version=0.1"],
    "pax-1.0": ["--format=pax", "--sparse-version=1.0"],
}
PIECES = 60
"""More than an old header and the block behind it hold."""


@pytest.fixture(params=FORMS)
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[bytes, Path]:
    """A tar of GNU's with a sparse file between two others, and the folder that it was made of."""
    program = shutil.which("tar")
    if program is None or b"GNU tar" not in subprocess.run([program, "--version"], capture_output=True).stdout:
        pytest.skip("sparse files in all their forms need GNU tar")
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "a").write_text("before")
    (folder / "z").write_text("behind")
    with (folder / "holes").open("wb") as file:
        for number in range(PIECES):
            file.seek(number << 16)
            file.write(b"%d" % number)
        file.truncate((PIECES << 16) + 12345)
    (folder / "nothing").touch()
    os.truncate(folder / "nothing", 1 << 20)
    argv = [program, "-S", *FORMS[request.param], "-C", str(folder), "-cf", "-", "a", "holes", "nothing", "z"]
    return subprocess.run(argv, check=True, capture_output=True).stdout, folder


def test_files_have_their_holes(packed: tuple[bytes, Path], tmp_path: Path) -> None:
    archive, folder = packed
    target = tmp_path / "target"
    target.mkdir()
    assert len(archive) < 400_000  # blocks of the filesystem are what is kept
    with Unpacker(target, mapping="one") as unpacker:
        unpacker.unpack(io.BytesIO(archive))
    for name in ("a", "holes", "nothing", "z"):
        assert (target / name).read_bytes() == (folder / name).read_bytes()
    assert (target / "nothing").stat().st_blocks * 512 < 1 << 20


def test_they_become_whole_files_of_an_archive(packed: tuple[bytes, Path]) -> None:
    archive, folder = packed
    source, written = io.BytesIO(archive), io.BytesIO()
    for entry in read_entries(source):
        if entry.name == b"a":
            skip_data(source, entry)
            continue
        written.write(render_header(Entry(name=entry.name, kind=REGULAR, size=entry.whole)))
        pump_data(source, entry, written.write)
    written.write(bytes(2 * BLOCK))
    with tarfile.open(fileobj=io.BytesIO(written.getvalue())) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert found == {name: (folder / name).read_bytes() for name in ("holes", "nothing", "z")}


def _pax(records: dict[str, str], data: bytes) -> bytes:
    member = tarfile.TarInfo("f")
    member.size = len(data)
    member.pax_headers = records
    return member.tobuf(tarfile.PAX_FORMAT) + data + padding(len(data)) + bytes(2 * BLOCK)


def _gnu(change: Callable[[bytearray], None], size: int = 4) -> bytes:
    header = bytearray(render_header(Entry(name=b"f", kind=b"S", size=size)))
    header[257:265] = b"ustar  \0"
    header[386:410] = b"%011o\0%011o\0" % (0, size)
    header[483:495] = b"%011o\0" % size
    change(header)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(size) + padding(size)


def _set(start: int, value: bytes) -> Callable[[bytearray], None]:
    def change(header: bytearray) -> None:
        header[start : start + len(value)] = value

    return change


_V1 = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "f"}


@pytest.mark.parametrize(
    "archive",
    [
        _pax({"GNU.sparse.major": "1"}, b""),
        _pax({"GNU.sparse.size": "9"}, b"data"),
        _pax({"GNU.sparse.size": "9", "GNU.sparse.map": "0,5"}, b"data"),
        _pax({"GNU.sparse.size": "9", "GNU.sparse.map": "0,4,0"}, b"data"),
        _pax({"GNU.sparse.size": "9", "GNU.sparse.map": "4,2,3,2"}, b"data"),
        _pax({"GNU.sparse.size": "9", "GNU.sparse.map": "6,4"}, b"data"),
        _pax({"GNU.sparse.size": "9", "GNU.sparse.map": "-1,4"}, b"data"),
        _pax({"GNU.sparse.size": str(1 << 60), "GNU.sparse.map": "0,4"}, b"data"),
        _pax({**_V1, "GNU.sparse.realsize": "9"}, b"1000000000\n" + bytes(501)),
        _pax({**_V1, "GNU.sparse.realsize": "9"}, b"1" * 2048),
        _pax({**_V1, "GNU.sparse.realsize": "9"}, b"1\n0\n4\n"),
        _pax({**_V1, "GNU.sparse.realsize": "9"}, b"x\n" + bytes(510)),
        _pax({**_V1, "GNU.sparse.realsize": "9"}, b""),
        _gnu(_set(386, b"%011o\0%011o\0" % (1, 4))),
        _gnu(_set(482, b"\1"), size=0)[:512],
        _gnu(_set(386, b"\x80" + b"\xff" * 11)),
        _gnu(_set(483, b"\xff" * 12)),
        _gnu(_set(482, b"\1"), size=0) + (b"%011o\0%011o\0" % (0, 1) * 21 + b"\1".ljust(8, b"\0")) * 6000,
    ],
)
def test_what_no_file_can_be_is_refused(archive: bytes) -> None:
    source = io.BytesIO(archive)
    with pytest.raises(UnsafeArchiveError, match="expected"):
        for entry in read_entries(source):
            skip_data(source, entry)


def test_holes_count_as_bytes_of_a_layer(tmp_path: Path) -> None:
    one = _pax({"GNU.sparse.size": str(60 << 30), "GNU.sparse.map": "0,4"}, b"data")[: -2 * BLOCK]
    with Unpacker(tmp_path, mapping="one") as unpacker, pytest.raises(UnsafeArchiveError, match="holes"):
        unpacker.unpack(io.BytesIO(one * 2))
