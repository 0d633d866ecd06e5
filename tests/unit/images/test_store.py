"""Images: stored, named, found, listed, removed; the layout stays one that other tools can read."""

import hashlib
import io
import json
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

import jsonschema
import pytest

from airdock.errors import DigestError, ImageError, InvalidReferenceError, UnknownImageError
from airdock.images.image import Image, Layer
from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor, Platform, host_platform
from airdock.oci.digest import Digest, digest_bytes
from airdock.oci.manifest import Index
from airdock.oci.media_types import INDEX, LAYER_GZIP, MANIFEST

from .archives import config_of, folder, leftovers, make_store, member, tar_of

SPEC = Path(__file__).parents[4] / "shared/data/oci/image-spec"


def layer_of(store: ImageStore, name: str, size: int = 10) -> Layer:
    return store.commit_tar(io.BytesIO(tar_of(member(name, content=b"x" * size))))


def image_of(store: ImageStore, *names: str, label: str = "") -> Image:
    return store.put_image(config_of(label or names[0]), [layer_of(store, name) for name in names])


def files_of(store: ImageStore) -> set[str]:
    """Everything that images need, as paths; not the folders they're in."""
    kinds = ("blobs/*/*", "diffs/*", "layers/*/*/diff")
    return {str(path.relative_to(store.root)) for kind in kinds for path in store.root.glob(kind)}


def test_an_image_is_found_by_each_of_its_names(store: ImageStore) -> None:
    image = image_of(store, "a", "b")
    store.tag("tools:1", image.digest)
    store.tag("registry.example:5000/team/tools", image.digest)
    names = ["tools:1", "docker.io/library/tools:1", "registry.example:5000/team/tools:latest"]
    names += ["registry.example:5000/team/tools", f"tools@{image.digest}", image.digest, image.image_id]
    names += [image.digest.hex, image.image_id.hex, image.image_id.hex[:12], image.digest.hex[:7]]
    names += [f"sha256:{image.image_id.hex[:9]}"]
    for name in names:
        assert store.find(name) == image
    assert image.image_id == digest_bytes(image.config.to_bytes())
    assert image.layers == store.find("tools:1").layers
    assert image.labels == {"name": "a"}


def test_unknown_names_tell_the_nearest(store: ImageStore) -> None:
    image = image_of(store, "a")
    store.tag("python:3.12-slim", image.digest)
    with pytest.raises(UnknownImageError) as caught:
        store.find("pyhton:3.12-slim")
    assert "'pyhton:3.12-slim'" in caught.value.message
    assert "python:3.12-slim" in caught.value.hint
    for wrong in ("", "UPPER", "fff", "python", "a b", "sha256:" + "0" * 64):
        with pytest.raises(UnknownImageError, match="expected an image"):
            store.find(wrong)


def test_an_empty_store_is_only_empty(tmp_path: Path) -> None:
    with closing(make_store(tmp_path / "none")) as store:
        assert store.list() == []
        with pytest.raises(UnknownImageError, match="none named 'x'"):
            store.find("x")
        assert store.prune().lines() == []


def test_an_id_that_two_images_begin_with(store: ImageStore) -> None:
    seen: dict[str, Image] = {}
    for number in range(400):
        image = store.put_image(config_of(str(number)), [layer_of(store, "a")])
        other = seen.setdefault(image.image_id.hex[:2], image)
        if other is not image:
            break
    with pytest.raises(ImageError, match="one image, found"):
        store.find(image.image_id.hex[:2])


def test_a_name_beats_an_id(store: ImageStore) -> None:
    first, second = image_of(store, "a"), image_of(store, "b")
    store.tag(first.image_id.hex[:12], second.digest)
    assert store.find(first.image_id.hex[:12]) == second


def test_tagging_moves_a_name(store: ImageStore) -> None:
    first, second = image_of(store, "a"), image_of(store, "b")
    store.tag("x", first.digest)
    store.tag("x", second.digest)
    assert store.find("x") == second
    assert {(row.repository, row.tag) for row in store.list()} == {("", ""), ("x", "latest")}
    store.tag("x", second.digest)
    store.tag("y", first.digest)
    assert sorted((row.repository, row.tag) for row in store.list()) == [("x", "latest"), ("y", "latest")]
    store.untag("x")
    assert store.find(second.digest) == second
    with pytest.raises(UnknownImageError):
        store.untag("x")


def test_what_can_not_be_tagged(store: ImageStore) -> None:
    image = image_of(store, "a")
    with pytest.raises(InvalidReferenceError):
        store.tag("Not A Name", image.digest)
    with pytest.raises(ImageError, match="digest"):
        store.tag(f"x@{image.digest}", image.digest)
    with pytest.raises(ImageError, match="expected blob"):
        store.tag("x", digest_bytes(b"nothing"))


def test_rows_say_sizes_and_age(store: ImageStore) -> None:
    base, top = layer_of(store, "base", 5000), layer_of(store, "top", 2000)
    old = store.put_image(config_of("old", created="2000-01-01T00:00:00Z"), [base])
    new = store.put_image(config_of("new", created="2000-01-01T00:00:00Z"), [base, top])
    os.utime(store.blob_path(old.digest), (1_750_000_000, 1_750_000_000))
    os.utime(store.blob_path(new.digest), (1_760_000_000, 1_760_000_000))
    store.tag("old", old.digest)
    store.tag("team/new:2", new.digest)
    first, second = store.list()
    assert (first.repository, first.tag, first.digest, first.image_id) == ("team/new", "2", new.digest, new.image_id)
    assert (first.created.timestamp(), second.created.timestamp()) == (1_760_000_000, 1_750_000_000)
    assert (first.shared_size, first.unique_size) == (second.size, first.size - second.size)
    assert (second.shared_size, second.unique_size) == (second.size, 0)
    assert second.size > 5000


def test_equal_images_are_one(store: ImageStore) -> None:
    assert image_of(store, "a").digest == image_of(store, "a").digest
    assert len(store.list()) == 1


def test_an_image_without_layers_gets_an_empty_one(store: ImageStore) -> None:
    image = store.put_image(config_of("empty"), [])
    assert len(image.layers) == 1
    assert list(store.layer_path(image.config.diff_ids[0]).iterdir()) == []


def test_layers_that_are_not_there_make_no_image(store: ImageStore) -> None:
    digest = digest_bytes(b"x")
    layer = Layer(descriptor=Descriptor(media_type=LAYER_GZIP, digest=digest, size=1), diff_id=digest)
    with pytest.raises(ImageError, match="none"):
        store.put_image(config_of("x"), [layer])
    assert store.list() == []


def test_import_tar(tmp_path: Path, store: ImageStore) -> None:
    tar = tmp_path / "rootfs.tar"
    tar.write_bytes(tar_of(folder("."), folder("./etc"), member("./etc/os-release", content=b"ID=x"), folder("./dev")))
    image = store.import_tar(tar, ImageConfig(architecture="arm64", cmd=("sh",)))
    assert image.config.cmd == ("sh",)
    assert (store.layer_path(image.config.diff_ids[0]) / "etc/os-release").read_text() == "ID=x"
    with tar.open("rb") as file:
        assert store.import_tar(file).config.architecture == host_platform().architecture


def test_commit_is_the_same_from_path_and_stream(tmp_path: Path, store: ImageStore) -> None:
    content = tar_of(member("f", content=os.urandom(3 << 20)))
    (tmp_path / "t").write_bytes(content)
    layer = store.commit_tar(tmp_path / "t")
    with closing(make_store(tmp_path / "other")) as other:
        assert other.commit_tar(io.BytesIO(content), unpack=False) == layer
        assert not list(other.root.glob("layers/*/*"))
        assert (other.layer_path(layer.diff_id) / "f").stat().st_size == 3 << 20
    assert layer.diff_id == digest_bytes(content)
    assert store.commit_tar(tmp_path / "t") == layer


def test_a_bad_tar_leaves_nothing(tmp_path: Path, store: ImageStore) -> None:
    (tmp_path / "t").write_bytes(b"no tar at all" * 100)
    for tar in (tmp_path / "t", tmp_path / "t"):
        with pytest.raises(ImageError, match="tar"):
            store.commit_tar(tar)
    assert leftovers(tmp_path) == []


def test_remove_takes_name_by_name(store: ImageStore) -> None:
    image = image_of(store, "a")
    store.tag("x:1", image.digest)
    store.tag("x:2", image.digest)
    with pytest.raises(ImageError, match="x:1, x:2"):
        store.remove(image.image_id[7:19])
    assert store.remove("x:1") == ["Untagged: x:1"]
    assert store.find("x:2") == image
    assert store.remove(image.image_id[7:19]) == ["Untagged: x:2", f"Deleted: {image.digest}"]
    assert files_of(store) == set()
    with pytest.raises(UnknownImageError):
        store.remove("x:2")


def test_remove_keeps_what_others_need(store: ImageStore) -> None:
    base = layer_of(store, "base")
    kept = store.put_image(config_of("kept"), [base])
    before = files_of(store)
    gone = store.put_image(config_of("gone"), [base, layer_of(store, "top")])
    store.tag("gone", gone.digest)
    store.remove("gone")
    assert files_of(store) == before
    assert store.find(kept.digest) == kept
    assert leftovers(store.root) == []


def test_layers_in_use_are_kept(store: ImageStore) -> None:
    image = image_of(store, "a")
    store.tag("x", image.digest)
    store.lease(image.config.diff_ids, "container 7")
    with pytest.raises(ImageError, match="container 7") as caught:
        store.remove("x")
    assert "force" in caught.value.hint
    assert store.find("x") == image
    assert store.remove("x", force=True) == ["Untagged: x:latest"]
    assert store.layer_path(image.config.diff_ids[0]).is_dir()
    assert store.prune().lines() == []
    store.release("container 7")
    store.release("container 7")
    assert store.prune().lines() == [f"Deleted: {image.digest}"]
    assert files_of(store) == set()


def test_leases_do_not_hinder_untagging_or_other_images(store: ImageStore) -> None:
    base = layer_of(store, "base")
    used, other = (store.put_image(config_of(name), [base]) for name in ("used", "other"))
    store.tag("used", used.digest)
    store.tag("alias", used.digest)
    store.tag("other", other.digest)
    store.lease(used.config.diff_ids, "c")
    assert store.remove("alias") == ["Untagged: alias:latest"]
    assert store.remove("other")[-1].startswith("Deleted")
    assert store.layer_path(base.diff_id).is_dir()


def test_committed_layers_live_until_an_image_has_them(tmp_path: Path, store: ImageStore) -> None:
    with closing(make_store(store.root)) as builder:
        layer = layer_of(builder, "a")
        store.prune()
        assert store.keep(layer)
    with closing(make_store(store.root)) as later:
        later.prune()
        assert later.has_blob(layer.descriptor.digest)  # `store` said keep
        image = store.put_image(config_of("x"), [layer])
        store.tag("x", image.digest)
        later.remove("x")
        assert not later.keep(layer)
    assert files_of(store) == set()


def test_an_upper_on_another_filesystem_is_unpacked(store: ImageStore) -> None:
    if os.stat("/dev/shm").st_dev == store.root.parent.stat().st_dev:
        pytest.skip("needs /dev/shm on a filesystem of its own")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        (Path(name) / "upper/d").mkdir(parents=True)
        (Path(name) / "upper/d/f").write_text("x")
        layer = store.commit_upper(Path(name) / "upper")
        assert (Path(name) / "upper").is_dir()
    assert (store.layer_path(layer.diff_id) / "d/f").read_text() == "x"


def test_an_image_without_a_name_stays_while_its_maker_lives(store: ImageStore) -> None:
    with closing(make_store(store.root)) as maker:
        image = image_of(maker, "a")
        assert store.prune().lines() == []
        with pytest.raises(ImageError, match=f"process {os.getpid()}"):
            store.remove(image.digest)
    assert store.prune().lines() == [f"Deleted: {image.digest}"]


def test_damaged_blobs_are_noticed(store: ImageStore) -> None:
    image = image_of(store, "a")
    store.tag("x", image.digest)
    blob = store.blob_path(image.layers[0].descriptor.digest)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DigestError, match="expected the blob"), store.open_blob(Digest(f"sha256:{blob.name}")) as file:
        file.read(1)
    config = store.blob_path(image.image_id)
    config.write_bytes(b"{}")
    with pytest.raises(DigestError, match="expected the blob"):
        store.find("x")
    with pytest.raises(DigestError, match="expected the blob"):
        store.read_json(image.image_id)
    assert store.list() == []
    assert store.remove("x")[-1] == f"Deleted: {image.digest}"


def test_a_damaged_layer_that_has_to_be_unpacked_again_is_named(store: ImageStore) -> None:
    image = image_of(store, "a")
    layer = image.layers[0]
    folder, blob = store.layer_path(layer.diff_id), store.blob_path(layer.descriptor.digest)
    shutil.rmtree(folder.parent)
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(DigestError) as damaged:
        store.layer_path(layer.diff_id)
    blob.unlink()
    with pytest.raises(ImageError, match="expected the blob of a layer, found none") as missing:
        store.layer_path(layer.diff_id)
    for error in (damaged.value, missing.value):
        assert (error.where, error.hint) == (
            f"layer {layer.diff_id}, blob {layer.descriptor.digest}",
            "build or pull its image again",
        )
    assert not folder.exists()


def test_blobs_are_written_whole_or_not_at_all(store: ImageStore) -> None:
    with store.open_writer() as writer:
        writer.write(b"abc")
        writer.write(b"def")
        assert writer.commit(digest_bytes(b"abcdef")) == (digest_bytes(b"abcdef"), 6)
    with store.open_blob(digest_bytes(b"abcdef")) as blob:
        assert blob.read() == b"abcdef"
    with pytest.raises(DigestError, match="expected the blob"), store.open_writer() as writer:
        writer.write(b"other")
        writer.commit(digest_bytes(b"abc"))
    with store.open_writer() as writer:
        writer.write(b"left")
    long = digest_bytes(b"long", "sha512")
    with store.open_writer() as writer:
        writer.write(b"long")
        assert writer.commit(long) == (long, 4)
    with store.open_blob(long) as blob:
        assert blob.read() == b"long"
    assert leftovers(store.root) == []
    assert len(list(store.root.glob("blobs/*/*"))) == 2
    with pytest.raises(ImageError, match="found none"):
        store.open_blob(digest_bytes(b"left"))
    with pytest.raises(DigestError, match="algorithms"):
        store.blob_path(Digest("md5:00"))


def test_an_index_of_several_platforms(store: ImageStore) -> None:
    image = image_of(store, "a")
    store.tag("a", image.digest)
    host = host_platform()
    size = store.blob_path(image.digest).stat().st_size
    mine = Descriptor(media_type=MANIFEST, digest=image.digest, size=size, platform=host)
    foreign = Descriptor(
        media_type=MANIFEST, digest=digest_bytes(b"x"), size=1, platform=Platform(os="linux", architecture="s390x")
    )
    document = json.dumps(Index(manifests=(foreign, mine)).to_json()).encode()
    digest = store.put_manifest(document, INDEX)
    store.tag("b", digest)
    store.remove("a")
    assert store.find("b") == store.find(digest) == store.find(image.digest) == store.find(image.image_id) == image
    assert store.find("b", platform=host) == image
    with pytest.raises(UnknownImageError, match=f"for linux/s390x, found it for linux/{host.architecture}") as caught:
        store.find("b", platform=Platform(os="linux", architecture="s390x"))
    assert "--platform linux/s390x" in caught.value.hint
    with pytest.raises(UnknownImageError, match="for linux/riscv64"):
        store.find("b", platform=Platform(os="linux", architecture="riscv64"))
    with pytest.raises(ImageError, match="part of"):
        store.remove(image.digest)
    store.untag("b")
    store.prune()
    assert files_of(store) == set()


def test_images_of_other_tools_are_listed_by_their_own_names(store: ImageStore) -> None:
    image = image_of(store, "a")
    path = store.root / "index.json"
    index = json.loads(path.read_bytes())
    index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": "Some Name"}
    path.write_text(json.dumps(index))
    assert [(row.repository, row.tag) for row in store.list()] == [("Some Name", "")]
    assert store.find("Some Name") == image
    assert store.remove("Some Name") == ["Untagged: Some Name", f"Deleted: {image.digest}"]


@pytest.mark.skipif(not SPEC.exists(), reason=f"{SPEC} is not on this machine")
def test_the_layout_is_valid_by_the_schemas(store: ImageStore) -> None:
    image = image_of(store, "a", "b")
    store.tag("x", image.digest)
    layout = json.loads((SPEC / "image-layout-schema.json").read_text())
    jsonschema.Draft4Validator(layout).validate(json.loads((store.root / "oci-layout").read_text()))
    for blob in store.root.glob("blobs/sha256/*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    index = Index.from_json(json.loads((store.root / "index.json").read_text()))
    assert [entry.digest for entry in index.manifests] == [image.digest]


def test_nobody_else_may_look_into_layers(store: ImageStore) -> None:
    image_of(store, "a")
    assert (store.root / "layers").stat().st_mode & 0o777 == 0o700
