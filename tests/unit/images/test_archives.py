"""Archives of images: what is written, what is read, and what is refused without a trace."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airdock.errors import AirdockError, DigestError, ImageError, UnknownImageError, UnsafeArchiveError
from airdock.images.archive_import import REPRODUCIBLE, import_root
from airdock.images.archive_load import load_images
from airdock.images.archive_save import save_images
from airdock.images.store import ImageStore
from airdock.oci.descriptor import Descriptor, Platform, host_platform
from airdock.oci.digest import digest_bytes
from airdock.oci.manifest import Index
from airdock.oci.media_types import INDEX, MANIFEST

from .archives import config_of, leftovers, make_store, member, tar_of

FOREIGN = Platform(os="linux", architecture="s390x")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[ImageStore]:
    with closing(make_store(tmp_path / "other")) as made:
        yield made


def put(store: ImageStore, name: str, *files: str, **fields: Any) -> str:
    layers = [store.commit_tar(io.BytesIO(tar_of(member(file, content=file.encode() * 99)))) for file in files]
    image = store.put_image(config_of(name, **fields), layers)
    if name:
        store.tag(name, image.digest)
    return image.digest


def saved(store: ImageStore, *names: str, **options: Any) -> bytes:
    output = io.BytesIO()
    save_images(store, names, output, **options)
    return output.getvalue()


def names_in(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.getnames()


def read(archive: bytes, name: str) -> Any:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        file = opened.extractfile(name)
        assert file is not None
        return json.load(file)


def docker_archive(config: dict[str, Any], layers: dict[str, bytes], tags: list[str] | None = None) -> bytes:
    """What Docker before 25 writes."""
    content = json.dumps(config).encode()
    name = f"{digest_bytes(content).hex}.json"
    manifest = [{"Config": name, "RepoTags": tags, "Layers": list(layers)}]
    return tar_of(
        *(member(path, content=data) for path, data in layers.items()),
        member(name, content=content),
        member("manifest.json", content=json.dumps(manifest).encode()),
        member("repositories", content=b"{}"),
    )


def config_for(*layers: bytes) -> dict[str, Any]:
    diff_ids = [digest_bytes(layer) for layer in layers]
    return {
        "architecture": host_platform().architecture,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "docker_version": "20.10",
    }


def test_equal_images_give_equal_archives(store: ImageStore, other: ImageStore) -> None:
    put(store, "a:1", "f", "g")
    archive = saved(store, "a:1")
    (loaded,) = load_images(other, io.BytesIO(archive))
    assert [name.familiar for name in loaded.names] == ["a:1"]
    assert saved(other, "a:1") == archive
    assert other.find("a:1") == store.find("a:1")
    assert leftovers(other.root) == []


def test_a_repository_stands_for_its_tags_and_blobs_go_in_once(store: ImageStore, other: ImageStore) -> None:
    put(store, "a:1", "f")
    put(store, "a:2", "f", "g")
    put(store, "b:1", "f")
    archive = saved(store, "a")
    assert len(names_in(archive)) == len(set(names_in(archive)))
    tags = sorted(tag for entry in read(archive, "manifest.json") for tag in entry["RepoTags"])
    assert tags == ["a:1", "a:2"]
    assert sorted(name.familiar for image in load_images(other, io.BytesIO(archive)) for name in image.names) == tags


def test_the_oci_form_has_nothing_of_dockers(store: ImageStore) -> None:
    put(store, "a:1", "f")
    archive = saved(store, "a:1", form="oci")
    assert "manifest.json" not in names_in(archive)
    assert read(archive, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
    assert read(archive, "index.json")["manifests"][0]["annotations"] == {
        "io.containerd.image.name": "docker.io/library/a:1",
        "org.opencontainers.image.ref.name": "docker.io/library/a:1",
    }


def test_an_image_asked_for_by_its_id_has_no_name(store: ImageStore, other: ImageStore) -> None:
    digest = put(store, "a:1", "f")
    archive = saved(store, store.find(digest).image_id)
    assert read(archive, "manifest.json")[0]["RepoTags"] is None
    (loaded,) = load_images(other, io.BytesIO(archive))
    assert (loaded.digest, loaded.names) == (digest, ())


def test_an_image_for_several_platforms(store: ImageStore, other: ImageStore) -> None:
    mine = put(store, "", "f")
    foreign = store.put_image(config_of("x").__class__(architecture="s390x"), store.find(mine).layers).digest
    entries = tuple(
        Descriptor(
            media_type=MANIFEST, digest=digest, size=store.blob_path(digest).stat().st_size, platform=platform
        )
        for digest, platform in ((foreign, FOREIGN), (mine, host_platform()))
    )  # fmt: skip
    index = store.put_manifest(json.dumps(Index(manifests=entries).to_json()).encode(), INDEX)
    store.tag("many:1", index)
    (row,) = [row for row in store.list() if row.name == "many:1"]
    assert [part.platform.architecture for part in row.platforms] == ["s390x", host_platform().architecture]
    (loaded,) = load_images(other, io.BytesIO(saved(store, "many:1")))
    assert loaded.digest == index and other.find("many:1").digest == mine
    assert other.find("many:1", platform=FOREIGN).digest == foreign
    only = saved(store, "many:1", platform=FOREIGN)
    assert read(only, "index.json")["manifests"][0]["digest"] == foreign


def test_dockers_older_form(store: ImageStore) -> None:
    layer, second = tar_of(member("f", content=b"f")), tar_of(member("g", content=b"g"))
    config = config_for(layer, second, layer)
    archive = docker_archive(config, {"1/layer.tar": layer, "2/layer.tar": second}, ["a:1", "team/b:2"])
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        manifest = json.load(opened.extractfile("manifest.json") or io.BytesIO())
    manifest[0]["Layers"].append("3/layer.tar")
    link = tarfile.TarInfo("3/layer.tar")
    link.type, link.linkname = tarfile.SYMTYPE, "../1/layer.tar"
    members = [member(name, content=data) for name, data in contents(archive).items() if name != "manifest.json"]
    archive = tar_of(*members, (link, b""), member("manifest.json", content=json.dumps(manifest).encode()))
    (loaded,) = load_images(store, io.BytesIO(archive))
    assert [name.familiar for name in loaded.names] == ["a:1", "team/b:2"]
    image = store.find("team/b:2")
    assert image.image_id == digest_bytes(json.dumps(config).encode())
    assert image.config.extra["docker_version"] == "20.10"
    assert (store.layer_path(image.layers[1].diff_id) / "g").read_bytes() == b"g"


def contents(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {entry.name: (opened.extractfile(entry) or io.BytesIO()).read() for entry in opened if entry.isfile()}


def changed(archive: bytes, name: str, content: bytes | None) -> bytes:
    files = {**contents(archive), name: content}
    return tar_of(*(member(key, content=value) for key, value in files.items() if value is not None))


def test_broken_archives_leave_nothing(store: ImageStore, other: ImageStore) -> None:
    put(store, "a:1", "f")
    archive = saved(store, "a:1")
    blobs = [name for name in contents(archive) if name.startswith("blobs/")]
    layer = tar_of(member("f"))
    lost = docker_archive(config_for(layer), {}, ["x:1"])
    wrong = docker_archive(config_for(tar_of(member("g"))), {"1/layer.tar": layer}, ["x:1"])
    cases: list[tuple[bytes, type[AirdockError], str]] = [
        (b"", ImageError, "found neither"),
        (b"junk", UnsafeArchiveError, "breaks off"),
        (tar_of(member("etc/passwd", content=b"x")), ImageError, "found neither"),
        (archive[: len(archive) // 2], AirdockError, "expected"),
        *((changed(archive, blob, None), ImageError, "expected") for blob in blobs),
        *((changed(archive, blob, b"other"), DigestError, "expected the blob") for blob in blobs),
        (changed(archive, "index.json", b"{"), ImageError, "JSON"),
        (changed(archive, "oci-layout", b'{"imageLayoutVersion": "2"}'), ImageError, "imageLayoutVersion"),
        (lost, ImageError, "expected 1 layers in manifest.json, found 0"),
        (wrong, DigestError, "expected the layer"),
        (tar_of(member("manifest.json", content=b"[{}]")), ImageError, "with their Config"),
        (tar_of(member("manifest.json", content=b'[{"Config": "../../etc/passwd"}]')), ImageError, "found none"),
        (b"\x1f\x8bnothing", DigestError, "gzip"),
        (b"\x28\xb5\x2f\xfdnothing", DigestError, "zstd"),
        (b"BZhnothing", DigestError, "bzip2"),
        (b"\xfd7zXZ\x00nothing", DigestError, "xz"),
    ]
    for content, kind, said in cases:
        with pytest.raises(kind, match=said):
            load_images(other, io.BytesIO(content))
        assert other.list() == []
        left = [path.name for pattern in ("blobs/*/*", "diffs/*") for path in other.root.glob(pattern)]
        assert left == [], (content[:40], left)


def test_names_that_are_only_tags_name_nothing(store: ImageStore, other: ImageStore) -> None:
    put(store, "a:1", "f")
    archive = saved(store, "a:1", form="oci")
    index = read(archive, "index.json")
    index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (loaded,) = load_images(other, io.BytesIO(changed(archive, "index.json", json.dumps(index).encode())))
    assert loaded.names == ()


def test_what_is_missing_is_told_before_anything_is_written(store: ImageStore) -> None:
    output = io.BytesIO()
    with pytest.raises(UnknownImageError):
        save_images(store, ["nothing"], output)
    assert output.getvalue() == b""


def test_a_root_filesystem_becomes_an_image(store: ImageStore) -> None:
    tar = tar_of(member("etc/x", content=b"x"))
    image = import_root(store, io.BytesIO(tar), source="rootfs.tar", comment="said")
    assert (image.config.created, image.config.history[0].comment) == (REPRODUCIBLE, "said")
    assert import_root(store, io.BytesIO(tar), source="rootfs.tar", comment="said").digest == image.digest
    later = import_root(store, io.BytesIO(tar), source="-", epoch=1_700_000_000, platform=FOREIGN)
    assert (later.config.created, later.config.architecture) == ("2023-11-14T22:13:20Z", "s390x")
    assert later.config.history[0].comment == "Imported from -"


def test_a_pipe_is_read_once(store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    put(store, "a:1", "f")
    (tmp_path / "a").write_bytes(saved(store, "a:1"))
    script = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), sys.stdout.buffer, 1000)"
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "a")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        (loaded,) = load_images(other, process.stdout)  # type: ignore[arg-type]
    assert process.wait(30) == 0 and loaded.names[0].familiar == "a:1"
