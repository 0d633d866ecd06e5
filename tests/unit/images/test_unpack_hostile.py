"""Archives that want to write outside their folder, or too much: refused in words, nothing outside, nothing left."""

import gzip
import hashlib
import os
import tarfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from airdock.errors import DigestError, ImageError, UnsafeArchiveError
from airdock.images.unpack import unpack
from airdock.images.xattrs import is_opaque, read_xattrs

from .archives import folder, hard_link, leftovers, member, symlink, tar_of, unpack_bytes

CHAR, BLOCK = tarfile.CHRTYPE, tarfile.BLKTYPE

HOSTILE = {
    "parent": [member("../outside/pwned", content=b"x")],
    "parent in the middle": [folder("a"), member("a/../../outside/pwned", content=b"x")],
    "absolute": [member("/outside/pwned", content=b"x")],
    "parent folder": [folder("..", mode=0o777)],
    "through an absolute link": [symlink("a", "OUTSIDE"), member("a/pwned", content=b"x")],
    "through a relative link": [symlink("a", "../../../../../outside"), member("a/pwned", content=b"x")],
    "through a link in the middle": [folder("d"), symlink("d/a", "OUTSIDE"), member("d/a/b/pwned", content=b"x")],
    "through a link to itself": [symlink("a", "a"), member("a/b", content=b"x")],
    "through a file": [member("a", content=b"x"), member("a/b", content=b"x")],
    "folder through a link": [symlink("a", "OUTSIDE"), folder("a/pwned")],
    "link through a link": [symlink("a", "OUTSIDE"), symlink("a/pwned", "x")],
    "hard link out": [hard_link("a", "../outside/secret")],
    "absolute hard link": [hard_link("a", "/etc/passwd")],
    "hard link through a link": [symlink("d", "OUTSIDE"), hard_link("a", "d/secret")],
    "hard link to nothing": [hard_link("a", "b")],
    "hard link to a folder": [folder("d"), hard_link("a", "d")],
    "hard link to the root": [hard_link("a", ".")],
    "hard link into itself": [folder("a"), member("a/b"), hard_link("a", "a/b")],
    "character device": [member("null", CHAR, devmajor=1, devminor=3)],
    "block device": [member("disk", BLOCK, devmajor=8)],
    "raw whiteout": [member("w", CHAR)],
    "whiteout of the parent": [member(".wh...")],
    "whiteout of the folder": [folder("d"), member("d/.wh..")],
    "whiteout of nothing": [member(".wh.")],
    "whiteout through a link": [symlink("a", "OUTSIDE"), member("a/.wh.secret")],
    "opaque through a link": [symlink("a", "OUTSIDE"), member("a/.wh..wh..opq")],
    "unknown type": [member("x", b"V")],
    "part too long": [member("n" * 256)],
    "too deep": [folder("/".join("a" * 257))],
    "path too long": [folder("/".join(["b" * 200] * 21))],
    "empty link": [symlink("a", "")],
}


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the store, which has to stay as it is."""
    made = tmp_path / "outside"
    made.mkdir()
    (made / "secret").write_text("s3cret")
    before = made.stat()
    yield made
    assert [path.name for path in made.iterdir()] == ["secret"]
    assert (made / "secret").stat().st_nlink == 1
    assert made.stat().st_mode == before.st_mode
    assert read_xattrs(os.fsencode(made)) == {}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(name: str, tmp_path: Path, outside: Path) -> None:
    members = HOSTILE[name]
    for info, _ in members:
        info.linkname = info.linkname.replace("OUTSIDE", str(outside))
        if info.name.startswith("/"):
            info.name = f"{tmp_path}{info.name}"
    with pytest.raises(UnsafeArchiveError) as caught:
        unpack_bytes(tar_of(*members), tmp_path / "root")
    assert "expected" in caught.value.message and "found" in caught.value.message
    assert caught.value.where
    assert leftovers(tmp_path) == []
    assert not list(tmp_path.glob("root/layers/*/*/diff"))


def test_links_out_of_the_root_are_only_text(tmp_path: Path, outside: Path) -> None:
    """A link itself may point anywhere: inside a container it means the container's files."""
    made = unpack_bytes(tar_of(symlink("a", "/etc/passwd"), symlink("b", "../../../x")), tmp_path / "root")
    assert str((made / "a").readlink()) == "/etc/passwd"
    assert str((made / "b").readlink()) == "../../../x"


def test_devices_below_dev_are_left_out(tmp_path: Path) -> None:
    made = unpack_bytes(tar_of(folder("dev"), member("./dev/null", CHAR, devmajor=1, devminor=3)), tmp_path / "root")
    assert list((made / "dev").iterdir()) == []


def test_a_later_entry_replaces_an_earlier_one(tmp_path: Path, outside: Path) -> None:
    made = unpack_bytes(
        tar_of(
            symlink("link", str(outside / "secret")),
            member("link", content=b"now a file"),
            symlink("folder", str(outside)),
            folder("folder"),
            member("folder/in", content=b"1"),
            folder("gone/deep"),
            member("gone/deep/in"),
            member("gone", content=b"2"),
            member("twice", content=b"longer than the other"),
            member("twice", content=b"short"),
            hard_link("twice", "twice"),
            folder("kept", mode=0o700),
            member("kept/in"),
            folder("kept", mode=0o755),
            member("was", content=b"x"),
            hard_link("was", "twice"),
        ),
        tmp_path / "root",
    )
    assert (made / "link").read_text() == "now a file" and not (made / "link").is_symlink()
    assert (made / "folder/in").read_text() == "1" and not (made / "folder").is_symlink()
    assert (made / "gone").read_text() == "2"
    assert (made / "twice").read_text() == "short" and (made / "was").read_text() == "short"
    assert (made / "kept").stat().st_mode & 0o777 == 0o755 and (made / "kept/in").exists()
    assert (outside / "secret").read_text() == "s3cret"


def test_folders_that_become_files_and_folders_again(tmp_path: Path) -> None:
    made = unpack_bytes(
        tar_of(
            *(folder(name, mode=0o700, mtime=1) for name in ("a", "a/b", "a/b/c", "z", "z/y")),
            member("a"),
            folder("a", mode=0o755, mtime=2),
            folder("a/b", mode=0o711, mtime=3),
            symlink("z/y", "/etc"),
            member(".wh.w"),
            folder("w"),
        ),
        tmp_path / "root",
    )
    assert [made.joinpath(name).stat().st_mode & 0o777 for name in ("a", "a/b", "z")] == [0o755, 0o711, 0o700]
    assert [made.joinpath(name).stat().st_mtime for name in ("a", "a/b", "z")] == [2, 3, 1]
    assert not (made / "a/b/c").exists() and (made / "z/y").is_symlink()
    assert is_opaque(read_xattrs(os.fsencode(made / "w")))


def test_attributes_of_many_folders_are_not_held(tmp_path: Path) -> None:
    attributes = {"SCHILY.xattr.trusted.nobody-keeps-it": "x" * 200_000}
    archive = tar_of(*(folder(f"d{number}", pax_headers=attributes) for number in range(100)))
    tracemalloc.start()
    try:
        unpack_bytes(archive, tmp_path / "root")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 15 << 20


def test_names_of_folders_take_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airdock.images.unpack._MOST_NOTED", 10_000)
    with pytest.raises(UnsafeArchiveError, match="names take at most"):
        unpack_bytes(tar_of(*(folder(f"{number:0200}") for number in range(50))), tmp_path / "root")


def test_overlays_own_attributes_are_not_taken(tmp_path: Path) -> None:
    attributes = {f"SCHILY.xattr.{kind}.overlay.redirect": "/etc" for kind in ("user", "trusted")}
    attributes |= {"SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.user.kept": "1"}
    made = unpack_bytes(
        tar_of(folder("d", pax_headers=attributes), member("f", pax_headers=attributes)), tmp_path / "r"
    )
    for name in ("d", "f"):
        assert read_xattrs(os.fsencode(made / name)) == {"user.kept": b"1"}


def test_too_many_entries(tmp_path: Path) -> None:
    archive = tar_of(*(member(f"f{number}") for number in range(11)))
    with pytest.raises(UnsafeArchiveError, match="at most 10 entries"):
        unpack_bytes(archive, tmp_path / "root", max_entries=10)
    assert unpack_bytes(archive, tmp_path / "root", max_entries=11).is_dir()


def test_a_small_blob_that_unpacks_without_end(tmp_path: Path) -> None:
    """Zeros after the archive's end are read for the digest, and counted too."""
    bomb = gzip.compress(tar_of(member("f")) + bytes(64 << 20), 9)
    (tmp_path / "blob").write_bytes(bomb)
    digest = f"sha256:{hashlib.sha256(bomb).hexdigest()}"
    threads = threading.active_count()
    with pytest.raises(ImageError, match="at most 1000000 bytes"):
        unpack(
            layers=str(tmp_path / "layers"), mapping="one", blob=str(tmp_path / "blob"), compression="gzip",
            digest=digest, diff_id=digest, max_bytes=1_000_000,
        )  # fmt: skip
    assert threading.active_count() == threads
    assert leftovers(tmp_path) == []


def test_a_header_that_claims_more_than_there_is(tmp_path: Path) -> None:
    archive = tar_of(member("f", content=b"x" * 600))
    for cut in (512, 700, 1024, 1100):
        with pytest.raises(ImageError, match="breaks off"):
            unpack_bytes(archive[:cut], tmp_path / "root")


def test_wrong_digests(tmp_path: Path) -> None:
    content = tar_of(member("f", content=b"x"))
    packed = gzip.compress(content, 1)
    (tmp_path / "blob").write_bytes(packed)
    right = {
        "digest": f"sha256:{hashlib.sha256(packed).hexdigest()}",
        "diff_id": f"sha256:{hashlib.sha256(content).hexdigest()}",
    }
    for wrong in ("digest", "diff_id"):
        digests = {**right, wrong: f"sha256:{'0' * 64}"}
        with pytest.raises(DigestError, match="expected the"):
            unpack(layers=str(tmp_path), mapping="one", blob=str(tmp_path / "blob"), compression="gzip", **digests)
    assert leftovers(tmp_path) == []
    assert not list(tmp_path.glob("*/*/diff"))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage behind", "not gzip"])
def test_damaged_gzip(damage: str, tmp_path: Path) -> None:
    content = tar_of(member("f", content=os.urandom(5000)))
    packed = bytearray(gzip.compress(content, 1))
    if damage == "truncated":
        del packed[-6:]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    elif damage == "garbage behind":
        packed += b"garbage"
    else:
        packed[:] = content
    (tmp_path / "blob").write_bytes(packed)
    digest = f"sha256:{hashlib.sha256(packed).hexdigest()}"
    diff_id = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with pytest.raises(ImageError, match="expected"):
        unpack(
            layers=str(tmp_path), mapping="one", blob=str(tmp_path / "blob"), compression="gzip", digest=digest,
            diff_id=diff_id,
        )  # fmt: skip
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("form", ["gzip", "members", "padded", "zstd"])
def test_every_compression(form: str, tmp_path: Path) -> None:
    content = tar_of(member("f", content=os.urandom(3 << 20)))
    if form == "zstd":
        zstd = pytest.importorskip("backports.zstd")
        packed = zstd.compress(content[:70000]) + zstd.compress(content[70000:])
    elif form == "members":
        packed = b"".join(gzip.compress(content[at : at + 99999], 1) for at in range(0, len(content), 99999))
    else:
        packed = gzip.compress(content, 1) + (bytes(700) if form == "padded" else b"")
    (tmp_path / "blob").write_bytes(packed)
    made = unpack(
        layers=str(tmp_path / "layers"), mapping="one", blob=str(tmp_path / "blob"),
        compression="zstd" if form == "zstd" else "gzip", digest=f"sha256:{hashlib.sha256(packed).hexdigest()}",
        diff_id=f"sha256:{hashlib.sha256(content).hexdigest()}",
    )  # fmt: skip
    assert (Path(made) / "f").stat().st_size == 3 << 20
