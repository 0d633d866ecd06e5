"""Upper folders become layers and come back as they were: whiteouts, opaque folders, owners, links, attributes."""

import io
import os
import socket
import stat
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airdock.errors import ImageError
from airdock.images.pack import Packer
from airdock.images.store import ImageStore
from airdock.images.xattrs import CAPABILITY, plain_capability, read_xattrs

from .archives import config_of, describe, make_store, tar_bytes

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: other owners, trusted attributes, capabilities")
MAPPINGS = ["one", pytest.param("ranges", marks=needs_root), pytest.param("root", marks=needs_root)]
CAPABILITY_2 = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=ep


def capability_3(root: int) -> bytes:
    """The same, as a user namespace whose root is `root` writes it."""
    return bytes.fromhex("01000003") + CAPABILITY_2[4:] + root.to_bytes(4, "little")


def pack(folder: Path, **options: Any) -> bytes:
    pieces: list[bytes] = []
    Packer(folder, pieces.append, **options).pack()
    return b"".join(pieces)


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {info.name: info for info in opened.getmembers()}


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, 0)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_whiteouts_and_opaque_folders_both_ways(mapping: str, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "opaque").mkdir(parents=True)
    (upper / "opaque/new").write_text("x")
    (upper / "plain").mkdir()
    whiteout(upper / "gone")
    whiteout(upper / "plain/gone")
    attribute = "trusted.overlay.opaque" if mapping == "root" else "user.overlay.opaque"
    os.setxattr(upper / "opaque", attribute, b"y")
    os.setxattr(upper / "plain", attribute, b"x")  # "has whiteouts kept as attributes", which isn't opaque
    found = members(pack(upper, mapping=mapping))
    assert list(found) == [".wh.gone", "opaque", "opaque/.wh..wh..opq", "opaque/new", "plain", "plain/.wh.gone"]
    assert found[".wh.gone"].isreg() and found[".wh.gone"].size == 0

    with closing(make_store(tmp_path / "first", mapping)) as first:
        layer = first.commit_upper(upper)
        moved = first.layer_path(layer.diff_id)
        with closing(make_store(tmp_path / "second", mapping)) as second:
            again = second.commit_tar(io.BytesIO(tar_bytes(first, layer)))
            made = second.layer_path(again.diff_id)
    assert again.diff_id == layer.diff_id
    os.removexattr(moved / "plain", attribute)
    assert describe(made) == describe(moved)
    assert stat.S_ISCHR((made / "gone").lstat().st_mode) and (made / "gone").lstat().st_rdev == 0
    assert read_xattrs(os.fsencode(made / "opaque")) == {attribute: b"y"}


@pytest.mark.parametrize("order", ["whiteout first", "folder first"])
def test_a_folder_beside_its_own_whiteout_is_opaque(order: str, tmp_path: Path) -> None:
    """The whiteout is for what lies below, the folder is new: image-spec, layer.md, 'Whiteouts'."""
    entries = [tarfile.TarInfo(".wh.d"), tarfile.TarInfo("d"), tarfile.TarInfo("d/f"), tarfile.TarInfo(".wh.f")]
    entries[1].type, entries[1].mode = tarfile.DIRTYPE, 0o755
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info in entries if order == "whiteout first" else [*entries[1:], entries[0]]:
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("f"))
    buffer.seek(0)
    with closing(make_store(tmp_path, "one")) as store:
        made = store.layer_path(store.commit_tar(buffer).diff_id)
    assert read_xattrs(os.fsencode(made / "d")) == {"user.overlay.opaque": b"y"}
    assert (made / "d/f").is_file() and (made / "f").is_file()


def test_bookkeeping_of_aufs_is_left_out(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(".wh..wh.plnk/x"))
        archive.addfile(tarfile.TarInfo(".wh..wh.aufs"))
        archive.addfile(tarfile.TarInfo("f"))
    buffer.seek(0)
    with closing(make_store(tmp_path, "one")) as store:
        made = store.layer_path(store.commit_tar(buffer).diff_id)
    assert "f" in os.listdir(made) and ".wh..wh.aufs" not in os.listdir(made)


@needs_root
def test_owners_are_shifted_back_with_all_they_guard(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "bin").mkdir(parents=True)
    program = upper / "bin/su"
    program.write_text("x")
    (upper / "link").symlink_to("bin/su")
    os.link(program, upper / "bin/other")
    capable = upper / "bin/ping"
    capable.write_text("y")
    for path in (upper, upper / "bin", program, upper / "link", capable):
        os.lchown(path, 200000, 200042)
    os.chmod(program, 0o4755)
    os.setxattr(capable, CAPABILITY, capability_3(200000))
    with closing(make_store(tmp_path / "store", "root", 200000)) as store:
        layer = store.commit_upper(upper)
        found = members(tar_bytes(store, layer))
        moved = store.layer_path(layer.diff_id)
    assert {(info.uid, info.gid) for info in found.values()} == {(0, 42)}
    assert found["bin/su"].islnk() and found["bin/su"].linkname == "bin/other"
    assert found["bin/other"].mode == 0o4755
    assert (
        found["bin/ping"].pax_headers[f"SCHILY.xattr.{CAPABILITY}"].encode("utf-8", "surrogateescape") == CAPABILITY_2
    )
    for path in (moved / "bin", moved / "bin/su", moved / "link"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (0, 42)
    assert (moved / "bin/su").stat().st_mode & 0o7777 == 0o4755
    assert os.getxattr(moved / "bin/ping", CAPABILITY) == CAPABILITY_2
    assert (moved / "bin/su").stat().st_ino == (moved / "bin/other").stat().st_ino
    assert not upper.exists()


def test_capabilities_of_other_namespaces_stay() -> None:
    assert plain_capability(capability_3(0), 200000) == CAPABILITY_2
    assert plain_capability(capability_3(7), 200000) == capability_3(7)
    assert plain_capability(CAPABILITY_2, 200000) == CAPABILITY_2


def test_ignored_paths_and_sockets_stay_out_of_tar_and_folder(tmp_path: Path, store: ImageStore) -> None:
    upper = tmp_path / "upper"
    (upper / "etc").mkdir(parents=True)
    (upper / "etc/resolv.conf").write_text("")
    (upper / "etc/resolv.conf.d").write_text("kept")
    (upper / "run/airdock/deep").mkdir(parents=True)
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(upper / "sock"))
    bound.close()
    os.utime(upper / "etc", ns=(5, 5))
    layer = store.commit_upper(upper, ignore=["/etc/resolv.conf", "run/airdock/"])
    assert list(members(tar_bytes(store, layer))) == ["etc", "etc/resolv.conf.d", "run"]
    moved = store.layer_path(layer.diff_id)
    assert sorted(str(path.relative_to(moved)) for path in moved.rglob("*")) == ["etc", "etc/resolv.conf.d", "run"]
    assert (moved / "etc").stat().st_mtime_ns == 5


@needs_root
@pytest.mark.parametrize("name", ["trusted.overlay.redirect", "trusted.overlay.metacopy", "user.overlay.redirect"])
def test_redirects_are_refused(name: str, tmp_path: Path, store: ImageStore) -> None:
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    os.setxattr(upper / "d", name, b"/other")
    with pytest.raises(ImageError, match=name.replace(".", r"\.")) as caught:
        store.commit_upper(upper)
    assert "redirect_dir=off" in caught.value.hint
    assert list(store.root.glob("blobs/sha256/.tmp-*")) == []


def test_names_that_mean_whiteouts_are_refused(tmp_path: Path, store: ImageStore) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    (upper / ".wh.x").write_text("")
    with pytest.raises(ImageError, match=r"\.wh\.x"):
        store.commit_upper(upper)


@needs_root
def test_devices_are_refused(tmp_path: Path, store: ImageStore) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    os.mknod(upper / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with pytest.raises(ImageError, match="device"):
        store.commit_upper(upper)


def test_a_missing_upper_says_so(tmp_path: Path, store: ImageStore) -> None:
    with pytest.raises(ImageError, match="No such file"):
        store.commit_upper(tmp_path / "missing")


def test_one_id_owns_everything_in_the_tar(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    assert members(pack(tmp_path, mapping="one"))["f"].uid == 0


def test_names_that_are_not_utf8(tmp_path: Path, store: ImageStore) -> None:
    upper = os.fsencode(tmp_path / "upper")
    os.mkdir(upper)
    for name in (b"\xff\xfe", b"\xff" * 150, "ü".encode() * 120):
        with open(upper + b"/" + name, "wb") as file:
            file.write(name)
    before = describe(tmp_path / "upper")
    layer = store.commit_upper(tmp_path / "upper")
    with closing(make_store(tmp_path / "other", "one")) as other:
        again = other.commit_tar(io.BytesIO(tar_bytes(store, layer)))
        assert describe(other.layer_path(again.diff_id)) == before


def test_folders_that_nobody_may_write_to(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "locked/in").mkdir(parents=True)
    (upper / "locked/in/f").write_text("x")
    (upper / "locked/in/f").chmod(0)
    if os.getuid():
        (upper / "locked/in/f").chmod(0o400)
    (upper / "locked/in").chmod(0o500)
    (upper / "locked").chmod(0o555)
    before = describe(upper)
    archive = pack(upper, mapping="one")
    with closing(make_store(tmp_path / "store", "one")) as store:
        layer = store.commit_tar(io.BytesIO(archive))
        assert describe(store.layer_path(layer.diff_id)) == before
        image = store.put_image(config_of("x"), [layer])
        store.remove(image.digest)
        assert list((store.root / "layers/one").iterdir()) == []


tree_names = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=12)
trees = st.recursive(
    st.one_of(
        st.tuples(st.just("file"), st.binary(max_size=700), st.integers(0o400, 0o777), st.integers(0, 2**61)),
        st.tuples(st.just("link"), st.text("ab/.", min_size=1, max_size=120)),
        st.tuples(st.just("gone")),
        st.tuples(st.just("pipe")),
        st.tuples(st.just("same")),
    ),
    lambda inner: st.tuples(
        st.just("folder"), st.dictionaries(tree_names, inner, max_size=5), st.booleans(), st.integers(0, 2**61)
    ),
    max_leaves=12,
)


def grow(path: Path, tree: Any, files: list[Path]) -> None:
    """Make a generated tree; `same` is another name of a file made before."""
    match tree:
        case ("file", content, mode, time):
            path.write_bytes(content)
            path.chmod(mode)
            os.utime(path, ns=(time, time))
            files.append(path)
        case ("link", target):
            path.symlink_to(target)
        case ("gone",):
            whiteout(path)
        case ("pipe",):
            os.mkfifo(path)
        case ("same",):
            os.link(files[0], path) if files else path.write_bytes(b"")
        case ("folder", inside, opaque, time):
            path.mkdir()
            for name, child in inside.items():
                if name not in (".", "..") and not name.startswith(".wh.") and not os.path.lexists(path / name):
                    grow(path / name, child, files)
            if opaque:
                os.setxattr(path, "user.overlay.opaque", b"y")
            os.setxattr(path, "user.note", b"\0\xff")
            os.utime(path, ns=(time, time))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(tree_names.filter(lambda name: name not in (".", "..") and name[:4] != ".wh."), trees, max_size=5)
)
def test_pack_then_unpack_gives_the_same_folder(tree: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        upper = top / "upper"
        grow(upper, ("folder", tree, False, 1), [])
        before = describe(upper)
        archive = pack(upper, mapping="one")
        assert archive == pack(upper, mapping="one")
        with closing(make_store(top / "store", "one")) as store:
            layer = store.commit_tar(io.BytesIO(archive))
            made = store.layer_path(layer.diff_id)
            assert describe(made) == before
            assert pack(made, mapping="one") == archive
            assert store.commit_upper(upper) == layer
