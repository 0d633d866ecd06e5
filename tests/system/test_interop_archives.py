"""What we save is taken by every other tool, and what each makes of it is taken by us: nothing is lost on the way."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from airdock.images.archive_load import Loaded, load_images
from airdock.images.archive_save import save_images
from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor, Platform
from airdock.oci.manifest import Index
from airdock.oci.media_types import INDEX, MANIFEST

from .interop import NAME, Tree, describe, differences, merged, put_hard_image

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="other tools keep owners and devices only as root")
SPEC = Path(__file__).parents[3] / "shared/data/oci/image-spec"
Make = Callable[[str], ImageStore]
DOCKERS_OWN = frozenset(
    {".dockerenv", "dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"}
)


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Make]:
    made: list[ImageStore] = []

    def make(name: str) -> ImageStore:
        made.append(ImageStore(root=tmp_path / name, calls=DirectCalls(mapping="root")))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(make_store: Make) -> ImageStore:
    made = make_store("images")
    put_hard_image(made)
    return made


@pytest.fixture
def expected(store: ImageStore, tmp_path: Path) -> Tree:
    return tree_of(store, NAME, tmp_path)


def tree_of(store: ImageStore, name: str, folder: Path, **options: Any) -> Tree:
    with merged(store, name, folder) as top:
        return describe(top, **options)


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program} (apt-get install {program})")


def do(*argv: str | Path, **more: Any) -> str:
    ended = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=120, **more)
    assert ended.returncode == 0, f"{' '.join(map(str, argv))}: {ended.stderr}"
    return ended.stdout.strip()


def save(store: ImageStore, path: Path, *names: str, form: str = "docker") -> Path:
    with path.open("wb") as file:
        save_images(store, names or (NAME,), file, form=form)
    return path


def load(store: ImageStore, path: Path) -> list[Loaded]:
    with path.open("rb") as file:
        return list(load_images(store, file))


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Callable[..., str]]:
    need("podman")
    run = Path(f"/tmp/airdock-podman-{os.getpid()}")  # its path may have 50 characters
    roots = ["--root", tmp_path / "podman", "--runroot", run, "--storage-driver", "vfs"]
    try:
        yield lambda *words: do("podman", *roots, *words)
    finally:
        shutil.rmtree(run, ignore_errors=True)


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[Callable[..., str]]:
    need("buildah")
    roots = ["--root", tmp_path / "buildah", "--runroot", tmp_path / "buildah-run", "--storage-driver", "vfs"]

    def call(*words: str | Path) -> str:
        return do("buildah", *roots, *words)

    yield call
    call("rm", "--all")


def test_what_is_saved_is_valid_by_the_schemas(store: ImageStore, tmp_path: Path) -> None:
    if not SPEC.exists():
        pytest.skip(f"{SPEC} is not on this machine")
    do("tar", "-xf", save(store, tmp_path / "a.tar"), "-C", tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    validate(json.loads((tmp_path / "oci-layout").read_text()), "image-layout-schema.json")
    validate(index, "image-index-schema.json")
    manifest = blob(tmp_path, index["manifests"][0])
    validate(manifest, "image-manifest-schema.json")
    validate(blob(tmp_path, manifest["config"]), "config-schema.json")


def blob(folder: Path, descriptor: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes())
    return found


def validate(document: dict[str, Any], schema: str) -> None:
    urls = json.loads((SPEC / "test/cases.json").read_text())["schema_urls"]
    resources = [
        (url, Resource(contents=json.loads((SPEC / name).read_text()), specification=DRAFT4))
        for name, places in urls.items()
        for url in places
    ]
    contents = json.loads((SPEC / schema).read_text())
    jsonschema.Draft4Validator(contents, registry=Registry().with_resources(resources)).validate(document)


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_our_own_archives(form: str, store: ImageStore, expected: Tree, make_store: Make, tmp_path: Path) -> None:
    other = make_store("other")
    loaded = load(other, save(store, tmp_path / "a.tar", form=form))
    assert other.find(NAME) == store.find(NAME) and [image.digest for image in loaded] == [store.find(NAME).digest]
    assert differences(tree_of(other, NAME, tmp_path), expected) == []


def test_podman_loads_and_saves(
    podman: Callable[..., str], store: ImageStore, expected: Tree, make_store: Make, tmp_path: Path
) -> None:
    assert NAME in podman("load", "-q", "-i", save(store, tmp_path / "a.tar"))
    assert podman("image", "inspect", "--format", "{{.Id}}", NAME) == store.find(NAME).image_id.hex
    top = Path(podman("image", "mount", NAME))
    try:
        assert differences(describe(top), expected) == []
    finally:
        podman("image", "unmount", NAME)
    for form in ("docker-archive", "oci-archive"):
        podman("save", "-q", "--format", form, "-o", tmp_path / f"{form}.tar", NAME)
        other = make_store(form)
        assert [name.familiar for image in load(other, tmp_path / f"{form}.tar") for name in image.names] == [NAME]
        assert other.find(NAME).image_id == store.find(NAME).image_id
        assert differences(tree_of(other, NAME, tmp_path), expected) == []


def test_docker_loads_and_saves(
    docker: Callable[..., Any], store: ImageStore, expected: Tree, make_store: Make, tmp_path: Path
) -> None:
    said = docker("load", input=save(store, tmp_path / "a.tar").read_bytes())
    assert NAME in said.stdout.decode()
    inspected = docker("image", "inspect", "--format", "{{.Id}}", NAME).stdout.decode().strip()
    assert inspected == store.find(NAME).image_id
    (tmp_path / "docker.tar").write_bytes(docker("save", NAME).stdout)
    other = make_store("other")
    assert [name.familiar for image in load(other, tmp_path / "docker.tar") for name in image.names] == [NAME]
    assert other.find(NAME).image_id == store.find(NAME).image_id
    assert differences(tree_of(other, NAME, tmp_path), expected) == []
    container = docker("create", NAME).stdout.decode().strip()
    try:
        (tmp_path / "root").mkdir()
        exported = docker("export", container).stdout
        do_input(
            "tar", "-x", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", tmp_path / "root", input=exported
        )
    finally:
        docker("rm", container)
        docker("rmi", NAME)
    without = frozenset({*DOCKERS_OWN, "data"})
    mine = {name: value for name, value in expected.items() if name not in without}
    # Docker exports file capabilities, and no attributes of users.
    seen = {name: only_capability(value) for name, value in describe(tmp_path / "root", without=without).items()}
    assert differences(seen, {name: only_capability(value) for name, value in mine.items()}) == []


def only_capability(value: tuple[Any, ...]) -> tuple[Any, ...]:
    attributes = {key: found for key, found in value[6].items() if key == "security.capability"}
    return (*value[:6], attributes, value[7])


def do_input(*argv: str | Path, input: bytes) -> None:
    subprocess.run([str(word) for word in argv], input=input, check=True, capture_output=True, timeout=120)


def test_umoci_unpacks_and_repacks(store: ImageStore, expected: Tree, make_store: Make, tmp_path: Path) -> None:
    need("umoci")
    layout = tmp_path / "layout"
    layout.mkdir()
    do("tar", "-xf", save(store, tmp_path / "a.tar", form="oci"), "-C", layout)
    relabel(layout, "one")
    do("umoci", "unpack", "--image", f"{layout}:one", tmp_path / "bundle")
    assert differences(describe(tmp_path / "bundle/rootfs"), expected) == []
    (tmp_path / "bundle/rootfs/etc/added").write_text("by umoci")
    (tmp_path / "bundle/rootfs/bin/setgid").unlink()
    do("umoci", "repack", "--image", f"{layout}:two", tmp_path / "bundle")
    do("umoci", "config", "--image", f"{layout}:two", "--config.env", "FROM=umoci")
    do("umoci", "gc", "--layout", layout)
    do("tar", "-cf", tmp_path / "umoci.tar", "-C", layout, ".")
    other = make_store("other")
    loaded = load(other, tmp_path / "umoci.tar")
    assert {image.names for image in loaded} == {()}
    changed = next(image for image in loaded if "FROM=umoci" in other.find(image.digest).config.env)
    other.tag("changed", changed.digest)
    found = tree_of(other, "changed", tmp_path)
    assert "bin/setgid" not in found and "etc/added" in found
    without = {"bin/setgid", "etc/added", "etc"}
    assert differences({k: v for k, v in found.items() if k not in without},
                       {k: v for k, v in expected.items() if k not in without}) == []  # fmt: skip


def relabel(layout: Path, tag: str) -> None:
    """umoci takes only tags for names."""
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (layout / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("kind", "compression"),
    [
        *(("oci-archive", compression) for compression in ("gzip", "zstd", "zstd:chunked")),
        *(("dir", compression) for compression in ("gzip", "zstd", "zstd:chunked")),
        ("docker-archive", "gzip"),
    ],
)
def test_skopeo_copies(
    compression: str, kind: str, store: ImageStore, expected: Tree, make_store: Make, tmp_path: Path
) -> None:
    need("skopeo")
    source = f"oci-archive:{save(store, tmp_path / 'a.tar')}:{NAME}"
    target = tmp_path / "copy"
    places = {"dir": f"dir:{target}", "docker-archive": f"docker-archive:{target}:{NAME}"}
    to = places.get(kind, f"oci-archive:{target}:{NAME}")
    options = ["--dest-compress-format", compression, "--dest-compress"] if compression != "gzip" else []
    do("skopeo", "--insecure-policy", "copy", *options, source, to)
    other = make_store("other")
    if kind == "dir":
        do("skopeo", "--insecure-policy", "copy", f"dir:{target}", f"oci-archive:{tmp_path / 'again'}:{NAME}")
        target = tmp_path / "again"
    load(other, target)
    found = other.find(NAME)
    assert found.image_id == store.find(NAME).image_id
    if compression != "gzip" and kind != "dir":
        assert all(layer.descriptor.media_type.endswith("+zstd") for layer in found.layers)
    assert differences(tree_of(other, NAME, tmp_path), expected) == []


def test_buildah_builds_on_ours_and_we_take_it(
    buildah: Callable[..., str], store: ImageStore, expected: Tree, make_store: Make, tmp_path: Path
) -> None:
    container = buildah("from", f"docker-archive:{save(store, tmp_path / 'a.tar')}")
    top = Path(buildah("mount", container))
    assert differences(describe(top, without=frozenset({"data"})), expected) == []
    (top / "etc/added").write_text("by buildah")
    shutil.rmtree(top / "names")
    buildah("umount", container)
    buildah("config", "--label", "built=yes", container)
    buildah("commit", "-q", "--format", "oci", container, f"oci-archive:{tmp_path / 'b.tar'}:built:1")
    other = make_store("other")
    load(other, tmp_path / "b.tar")
    assert other.find("built:1").labels["built"] == "yes"
    found = tree_of(other, "built:1", tmp_path)
    assert "names" not in found and "etc/added" in found
    left = {name: value for name, value in expected.items() if name != "etc" and name.split("/")[0] != "names"}
    assert (
        differences({name: value for name, value in found.items() if name not in ("etc", "etc/added", "data")}, left)
        == []
    )


def test_layers_packed_with_zstd_are_taken_by_others(
    docker: Callable[..., Any], podman: Callable[..., str], expected: Tree, tmp_path: Path
) -> None:
    made = ImageStore(root=tmp_path / "zstd", calls=DirectCalls(mapping="root"), compression="zstd")
    try:
        put_hard_image(made)
        path = save(made, tmp_path / "z.tar")
        assert differences(tree_of(made, NAME, tmp_path), expected) == []
        assert all(layer.descriptor.media_type.endswith("+zstd") for layer in made.find(NAME).layers)
    finally:
        made.close()
    podman("load", "-q", "-i", path)
    top = Path(podman("image", "mount", NAME))
    try:
        assert differences(describe(top), expected) == []
    finally:
        podman("image", "unmount", NAME)
    docker("load", input=path.read_bytes())
    docker("rmi", NAME)


@pytest.mark.parametrize("packer", ["gzip", "zstd", "bzip2", "xz"])
def test_packed_archives(packer: str, store: ImageStore, make_store: Make, tmp_path: Path) -> None:
    need(packer)
    path = save(store, tmp_path / "a.tar")
    packed = tmp_path / "packed"
    packed.write_bytes(subprocess.run([packer, "-c", str(path)], check=True, capture_output=True).stdout)
    other = make_store("other")
    load(other, packed)
    assert other.find(NAME) == store.find(NAME)


def test_an_archive_of_several_images(store: ImageStore, make_store: Make, tmp_path: Path) -> None:
    put_hard_image(store, "registry.example/team/hard:2")
    store.tag("other:1", store.find(NAME).digest)
    path = save(store, tmp_path / "a.tar", "registry.example/team/hard", "other:1")
    loaded = load(make_store("other"), path)
    assert sorted(name.familiar for image in loaded for name in image.names) == [
        "other:1",
        "registry.example/team/hard:1",
        "registry.example/team/hard:2",
    ]
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))


def test_an_index_of_platforms(store: ImageStore, make_store: Make, tmp_path: Path) -> None:
    need("skopeo")
    mine = store.find(NAME)
    foreign = store.put_image(ImageConfig(architecture="s390x"), mine.layers)
    entries = [
        Descriptor(
            media_type=MANIFEST,
            digest=image.digest,
            size=store.blob_path(image.digest).stat().st_size,
            platform=image.platform,
        )
        for image in (foreign, mine)
    ]
    name = "registry.example/team/many:1"
    store.tag(name, store.put_manifest(json.dumps(Index(manifests=tuple(entries)).to_json()).encode(), INDEX))
    path = save(store, tmp_path / "many.tar", name)
    copy = tmp_path / "copy"
    do("skopeo", "--insecure-policy", "copy", "--all", f"oci-archive:{path}:{name}", f"oci-archive:{copy}:{name}")
    other = make_store("other")
    load(other, copy)
    assert other.entry(name).digest == store.entry(name).digest
    assert other.find(name) == mine
    assert other.find(name, platform=Platform(os="linux", architecture="s390x")) == foreign
    shown = json.loads(do("skopeo", "inspect", "--override-arch", "s390x", "--config", f"oci-archive:{path}:{name}"))
    assert shown["architecture"] == "s390x"
