"""Times that a layer forgets."""

import importlib.util
import os
import py_compile
import struct
from pathlib import Path

import pytest

from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore
from airdock.images.times import set_time

SECOND = 10**9


def test_a_compiled_file_still_fits_its_source(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("x = 1\n")
    compiled = Path(
        py_compile.compile(str(source), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    )
    for path in (source, compiled):
        status = path.stat()
        set_time(os.fsencode(path), status, since_ns=status.st_mtime_ns - 2 * SECOND, time_ns=946_684_800 * SECOND)
    assert source.stat().st_mtime == 946_684_800
    magic, flags, source_s, size = struct.unpack("<4sIII", compiled.read_bytes()[:16])
    assert (magic, flags) == (importlib.util.MAGIC_NUMBER, 0)
    assert (source_s, size) == (946_684_800, source.stat().st_size)


@pytest.mark.parametrize(
    "header",
    [
        importlib.util.MAGIC_NUMBER + struct.pack("<III", 1, 2**31, 5),  # by hash, not by time
        importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, 1000, 5),  # older than what is to change
        b"text" + struct.pack("<III", 0, 2**31, 5),
    ],
)
def test_other_files_keep_their_bytes(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "a.pyc"
    path.write_bytes(header + b"rest")
    set_time(os.fsencode(path), path.stat(), since_ns=2000 * SECOND, time_ns=3 * SECOND)
    assert path.read_bytes() == header + b"rest"


def test_layers_of_equal_files_are_equal_whenever_they_were_written(tmp_path: Path) -> None:
    store = ImageStore(root=tmp_path / "images", calls=DirectCalls())
    layers = []
    for written_s in (2_000_000_000, 2_000_000_777):
        upper = tmp_path / f"upper-{written_s}"
        (upper / "d").mkdir(parents=True)
        (upper / "d/new").write_text("1")
        (upper / "d/link").symlink_to("new")
        (upper / "d/old").write_text("2")
        os.utime(upper / "d/old", (1_000_000_000, 1_000_000_000))
        for path in (upper / "d/new", upper / "d/link", upper / "d", upper):
            os.utime(path, (written_s, written_s), follow_symlinks=False)
        layers.append(store.commit_upper(upper, clamp=(1_999_999_999 * SECOND, 5 * SECOND)))
    assert layers[0] == layers[1]
    folder = store.layer_path(layers[0].diff_id)
    times = {name: (folder / name).lstat().st_mtime for name in ("d", "d/new", "d/link", "d/old")}
    assert times == {"d": 5, "d/new": 5, "d/link": 5, "d/old": 1_000_000_000}
