"""Pull and push between a store and a registry: whole images, several platforms, mirrors, and what goes wrong."""

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airdock.errors import DeniedError, DigestError, ImageError, NotInRegistryError, UnknownImageError
from airdock.images.archive_load import load_images
from airdock.images.archive_save import save_images
from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import host_platform
from airdock.oci.digest import Digest
from airdock.oci.index import parse_platform
from airdock.oci.media_types import CONFIG, INDEX, LAYER_GZIP, LAYER_TAR, LAYER_ZSTD, MANIFEST
from airdock.remote.base import Login, RemoteSettings, Transfer
from airdock.remote.client import Remote
from airdock.remote.credentials import DockerCredentials
from airdock.transfer import Transfers

from .remote.server import Server, answer, cut, hang_up, serve, sha256

HERE = host_platform().architecture
ELSEWHERE = "s390x"


def tar_of(name: str, content: bytes = b"content\n" * 40_000) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    from backports import zstd as module

    return module.compress(content)


PACKERS: dict[str, Callable[[bytes], bytes]] = {LAYER_TAR: bytes, LAYER_GZIP: gzip.compress, LAYER_ZSTD: zstd}


def put_image(
    server: Server,
    *tars: bytes,
    tag: str = "",
    packing: str = LAYER_GZIP,
    architecture: str = HERE,
    docker: bool = False,
    repository: str = "team/app",
    **changes: Any,
) -> dict[str, Any]:
    """Put an image into a registry by hand; gives the descriptor of its manifest."""
    blobs = [PACKERS[packing](tar) for tar in tars]
    diff_ids = [sha256(tar) for tar in tars]
    config = {
        "architecture": architecture,
        "os": changes.pop("os", "linux"),
        "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": changes.pop("diff_ids", diff_ids)},
    }
    document = json.dumps(config).encode()
    kinds = (MANIFEST, CONFIG, packing)
    if docker:
        kinds = (
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        )
    manifest = {
        "schemaVersion": 2,
        "mediaType": kinds[0],
        "config": {"mediaType": kinds[1], "digest": server.add_blob(document, repository), "size": len(document)},
        "layers": [
            {"mediaType": kinds[2], "digest": server.add_blob(blob, repository), "size": len(blob)} for blob in blobs
        ],
        **changes,
    }
    content = json.dumps(manifest).encode()
    digest = server.add_manifest(content, kinds[0], tag, repository)
    return {"mediaType": kinds[0], "digest": digest, "size": len(content)}


def put_index(server: Server, tag: str, **by_architecture: dict[str, Any]) -> str:
    entries = [
        {**descriptor, "platform": {"os": "linux", "architecture": architecture}}
        for architecture, descriptor in by_architecture.items()
    ]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return server.add_manifest(json.dumps(document).encode(), INDEX, tag)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as made:
        yield made


Make = Callable[..., Transfers]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[tuple[ImageStore, Transfers]] = []

    def open_transfers(name: str = "images", *, login: Login | None = None, **settings: Any) -> Transfers:
        credentials = DockerCredentials([tmp_path / f"{name}.json"])
        if login is not None:
            credentials.save(settings.pop("registry"), login)
        store = ImageStore(root=tmp_path / name, calls=DirectCalls())
        transfers = Transfers(
            images=store,
            remote=Remote(settings=RemoteSettings(**{"timeout_s": 5.0, **settings}), credentials=credentials),
            credentials=credentials,
            cache=tmp_path / f"{name}-cache",
            bound="airdock.host",
        )
        made.append((store, transfers))
        return transfers

    yield open_transfers
    for store, transfers in made:
        transfers.close()
        store.close()


def store_of(transfers: Transfers) -> ImageStore:
    return transfers._images


def files_of(transfers: Transfers, name: str) -> list[str]:
    store = store_of(transfers)
    found = []
    for layer in store.find(name).layers:
        found += sorted(path.name for path in store.layer_path(layer.diff_id).iterdir())
    return found


# pull


@pytest.mark.parametrize("packing", list(PACKERS))
def test_an_image_comes_verified_and_unpacked(packing: str, server: Server, make: Make) -> None:
    described = put_image(server, tar_of("a"), tar_of("b"), tag="1", packing=packing)
    transfers, name = make(), f"{server.address}/team/app:1"
    told: list[Transfer] = []
    image = transfers.pull(name, tell=told.append)
    assert image.digest == described["digest"]
    layers = store_of(transfers).root / "layers"
    assert len(list(layers.glob("*/*/diff"))) == 2, "it should be unpacked by now"
    assert files_of(transfers, name) == ["a", "b"]
    assert [event.state for event in told if event.state in ("waiting", "done")] == ["waiting"] * 2 + ["done"] * 2
    assert all(event.done <= event.total for event in told)
    assert not list((store_of(transfers).root / "downloads").iterdir())


def test_dockers_own_media_types_are_kept_as_they_came(server: Server, make: Make) -> None:
    described = put_image(server, tar_of("a"), tag="1", docker=True)
    transfers = make()
    transfers.pull(f"{server.address}/team/app:1")
    assert store_of(transfers).entry(f"{server.address}/team/app:1").digest == described["digest"]
    assert files_of(transfers, f"{server.address}/team/app:1") == ["a"]


def test_what_is_here_is_not_fetched_again(server: Server, make: Make) -> None:
    put_image(server, tar_of("a"), tag="1")
    put_image(server, tar_of("a"), tar_of("b"), tag="2")
    transfers = make()
    transfers.pull(f"{server.address}/team/app:1")
    server.requests.clear()
    told: list[Transfer] = []
    transfers.pull(f"{server.address}/team/app:2", tell=told.append)
    assert len(server.asked("GET", "/blobs/")) == 2  # the configuration and one layer
    assert [event.state for event in told].count("exists") == 1


def test_the_same_layer_twice_is_fetched_once(server: Server, make: Make) -> None:
    put_image(server, tar_of("a"), tar_of("a"), tag="1")
    transfers = make()
    transfers.pull(f"{server.address}/team/app:1")
    assert len(server.asked("GET", "/blobs/")) == 2


def test_of_several_platforms_this_machines_comes(server: Server, make: Make) -> None:
    own = put_image(server, tar_of("own"))
    other = put_image(server, tar_of("other"), architecture=ELSEWHERE)
    index = put_index(server, "1", **{ELSEWHERE: other, HERE: own})
    transfers, name = make(), f"{server.address}/team/app:1"
    assert transfers.pull(name).digest == own["digest"]
    assert store_of(transfers).entry(name).digest == index
    assert files_of(transfers, name) == ["own"]
    assert len(store_of(transfers).list()) == 1, "the manifest inside the index is no image of its own"
    with pytest.raises(UnknownImageError, match=ELSEWHERE):
        store_of(transfers).find(name, platform=parse_platform(ELSEWHERE))


def test_another_platform_comes_when_asked_for_and_stays_packed(server: Server, make: Make) -> None:
    own = put_image(server, tar_of("own"))
    other = put_image(server, tar_of("other"), architecture=ELSEWHERE)
    put_index(server, "1", **{HERE: own, ELSEWHERE: other})
    transfers, name = make(), f"{server.address}/team/app:1"
    wanted = parse_platform(ELSEWHERE)
    assert transfers.pull(name, platform=wanted).digest == other["digest"]
    assert store_of(transfers).find(name, platform=wanted).digest == other["digest"]
    assert not list((store_of(transfers).root / "layers").glob("*/*/diff"))
    assert transfers.pull(name).digest == own["digest"]
    assert store_of(transfers).find(name, platform=wanted).digest == other["digest"]
    assert len(store_of(transfers).list()) == 1


def test_a_platform_that_it_does_not_have(server: Server, make: Make) -> None:
    put_index(server, "1", **{ELSEWHERE: put_image(server, tar_of("a"), architecture=ELSEWHERE)})
    with pytest.raises(ImageError, match=f"linux/{ELSEWHERE}") as caught:
        make().pull(f"{server.address}/team/app:1")
    assert "--platform" in caught.value.hint


def test_an_image_for_another_system_comes_only_when_asked_for(server: Server, make: Make) -> None:
    described = put_image(server, tar_of("a"), tag="1", architecture="amd64", os="windows")
    transfers, name = make(), f"{server.address}/team/app:1"
    with pytest.raises(ImageError, match="for linux, found it for windows") as caught:
        transfers.pull(name)
    assert left(transfers) == []
    assert "--platform windows/amd64" in caught.value.hint
    assert transfers.pull(name, platform=parse_platform("windows/amd64")).digest == described["digest"]


def test_an_image_comes_by_its_digest(server: Server, make: Make) -> None:
    described = put_image(server, tar_of("a"))
    transfers = make()
    name = f"{server.address}/team/app@{described['digest']}"
    assert transfers.pull(name).digest == described["digest"]
    store = store_of(transfers)
    assert store.find(name).digest == described["digest"]
    (row,) = store.list()
    assert (row.name, row.repository, row.tag) == (name, f"{server.address}/team/app", "")
    assert store.prune().deleted == ()  # whoever pins an image means to keep it
    store.tag(f"{server.address}/team/app:1", row.digest)
    assert [row.name for row in store.list()] == [f"{server.address}/team/app:1"]
    transfers.pull(name)
    assert [row.name for row in store.list()] == [f"{server.address}/team/app:1"]
    store.tag("mine", row.digest)
    assert store.remove("mine") == ["Untagged: mine:latest"]


def test_what_was_fetched_by_its_digest_goes_by_that(server: Server, make: Make) -> None:
    described = put_image(server, tar_of("a"))
    transfers = make()
    name = f"{server.address}/team/app@{described['digest']}"
    transfers.pull(name)
    store, saved = store_of(transfers), io.BytesIO()
    save_images(store, [name], saved)
    saved.seek(0)
    (loaded,) = load_images(store, saved)
    assert loaded.names == ()
    with pytest.raises(ImageError, match="tag to push"):
        transfers.push(name)
    assert store.remove(name) == [f"Untagged: {name}", f"Deleted: {described['digest']}"]
    assert store.list() == []


def test_a_tag_that_moved_is_followed(server: Server, make: Make) -> None:
    transfers, name = make(), f"{server.address}/team/app:1"
    put_image(server, tar_of("a"), tag="1")
    transfers.pull(name)
    put_image(server, tar_of("b"), tag="1")
    transfers.pull(name)
    assert files_of(transfers, name) == ["b"]


# pull, when something is wrong


def left(transfers: Transfers) -> list[str]:
    """What can be seen of images and layers."""
    store = store_of(transfers)
    return [row.name for row in store.list()] + [str(path) for path in (store.root / "layers").glob("*/*/diff")]


def test_nothing_there(server: Server, make: Make) -> None:
    with pytest.raises(NotInRegistryError, match="team/app:1"):
        make().pull(f"{server.address}/team/app:1")


def test_a_layer_that_is_another_leaves_nothing(server: Server, make: Make) -> None:
    put_image(server, tar_of("a"), tag="1")
    layer = max(server.blobs, key=lambda digest: len(server.blobs[digest]))
    right = server.blobs[layer]
    server.blobs[layer] = gzip.compress(tar_of("evil"))[: len(right)].ljust(len(right), b"\0")
    transfers = make()
    with pytest.raises((DigestError, ImageError)):
        transfers.pull(f"{server.address}/team/app:1")
    assert left(transfers) == []
    assert not store_of(transfers).has_blob(Digest(layer))
    server.blobs[layer] = right
    transfers.pull(f"{server.address}/team/app:1")
    assert files_of(transfers, f"{server.address}/team/app:1") == ["a"]


def test_a_layer_that_unpacks_to_another_leaves_nothing(server: Server, make: Make) -> None:
    put_image(server, tar_of("a"), tag="1", diff_ids=[sha256(b"another")])
    transfers = make()
    with pytest.raises(DigestError, match="layer"):
        transfers.pull(f"{server.address}/team/app:1")
    assert left(transfers) == []


def test_as_many_diff_ids_as_layers(server: Server, make: Make) -> None:
    put_image(server, tar_of("a"), tag="1", diff_ids=[])
    with pytest.raises(ImageError, match="diff_ids"):
        make().pull(f"{server.address}/team/app:1")


def test_a_layer_that_reaches_out_leaves_nothing(server: Server, make: Make, tmp_path: Path) -> None:
    put_image(server, tar_of("../escaped"), tag="1")
    transfers = make()
    with pytest.raises(ImageError, match=r"\.\."):
        transfers.pull(f"{server.address}/team/app:1")
    assert left(transfers) == [] and not list(tmp_path.rglob("escaped"))


def test_an_artifact_is_no_image(server: Server, make: Make) -> None:
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": server.add_blob(b"{}"), "size": 2}
    put_image(server, tar_of("a"), tag="1", config=empty)
    with pytest.raises(ImageError, match="artifact"):
        make().pull(f"{server.address}/team/app:1")


def test_a_download_that_was_given_up_goes_on_the_next_time(server: Server, make: Make) -> None:
    put_image(server, tar_of("a", b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(60_000))), tag="1")
    layer = max(server.blobs, key=lambda digest: len(server.blobs[digest]))
    server.fault(layer, cut(1_000_000))
    server.fault(layer, hang_up, times=9)
    with pytest.raises(ImageError):
        make(retries=1).pull(f"{server.address}/team/app:1")
    server.faults.clear()
    server.requests.clear()
    transfers = make()
    transfers.pull(f"{server.address}/team/app:1")
    (asked,) = server.asked("GET", layer)
    assert int(asked.headers["Range"].removeprefix("bytes=").rstrip("-")) > 500_000
    assert files_of(transfers, f"{server.address}/team/app:1") == ["a"]


def test_what_was_left_of_a_download_and_is_damaged_is_fetched_again(server: Server, make: Make) -> None:
    put_image(server, tar_of("a"), tag="1")
    layer = max(server.blobs, key=lambda digest: len(server.blobs[digest]))
    transfers = make()
    downloads = store_of(transfers).root / "downloads"
    downloads.mkdir(parents=True)
    (downloads / layer.removeprefix("sha256:")).write_bytes(b"rubbish")
    transfers.pull(f"{server.address}/team/app:1")
    assert files_of(transfers, f"{server.address}/team/app:1") == ["a"]


def test_two_who_pull_the_same_fetch_it_once(server: Server, make: Make) -> None:
    content = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(100_000))
    put_image(server, tar_of("a", content), tar_of("b", content), tag="1")
    name = f"{server.address}/team/app:1"
    both = [make(), make()]  # over the same folder
    failures: list[BaseException] = []

    def pull(transfers: Transfers) -> None:
        try:
            transfers.pull(name)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=pull, args=(transfers,)) for transfers in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert files_of(both[0], name) == ["a", "b"]
    for digest in server.blobs:
        if len(server.blobs[digest]) > 10_000:
            assert len(server.asked("GET", digest)) == 1


# mirrors


def test_mirrors_are_asked_first_and_in_their_order(server: Server, make: Make) -> None:
    with serve() as mirror, serve() as empty:
        put_image(mirror, tar_of("a"), tag="1", repository="cache/team/app")
        transfers = make(
            mirrors={server.address: [f"http://{empty.address}", f"http://{mirror.address}/cache"]},
        )
        told: list[Transfer] = []
        transfers.pull(f"{server.address}/team/app:1", tell=told.append)
        assert files_of(transfers, f"{server.address}/team/app:1") == ["a"]
        assert empty.requests and not server.requests
        assert any("mirror" in event.text for event in told)


@pytest.mark.parametrize("act", [hang_up, answer(500, Retry_After="0"), answer(403), answer(200, b"<html>")])
def test_a_mirror_that_fails_is_passed_over(act: Any, server: Server, make: Make) -> None:
    put_image(server, tar_of("a"), tag="1")
    with serve() as mirror:
        mirror.fault("/", act, times=99)
        transfers = make(mirrors={server.address: [f"http://{mirror.address}"]}, retries=1)
        transfers.pull(f"{server.address}/team/app:1")
        assert files_of(transfers, f"{server.address}/team/app:1") == ["a"]


def test_a_mirror_is_never_told_the_registrys_login(server: Server, make: Make) -> None:
    put_image(server, tar_of("a"), tag="1")
    server.auth = "basic"
    with serve() as mirror:
        mirror.auth = "basic"
        login = Login(username="somebody", password="a secret")
        transfers = make(login=login, registry=server.address, mirrors={server.address: [f"http://{mirror.address}"]})
        transfers.pull(f"{server.address}/team/app:1")
        assert mirror.requests and not any("Authorization" in one.headers for one in mirror.requests)


def test_mirrors_are_not_written_to(server: Server, make: Make) -> None:
    with serve() as mirror:
        transfers = make(mirrors={server.address: [f"http://{mirror.address}"]})
        push(transfers, f"{server.address}/team/app:1")
        assert not mirror.requests


# push


def push(transfers: Transfers, name: str, *tars: bytes, labels: dict[str, str] | None = None) -> str:
    store = store_of(transfers)
    layers = [store.commit_tar(io.BytesIO(tar)) for tar in tars or (tar_of("a"), tar_of("b"))]
    image = store.put_image(ImageConfig(architecture=HERE, labels=labels or {}), layers)
    store.tag(name, image.digest)
    return transfers.push(name)


def test_what_is_pushed_is_what_is_pulled(server: Server, make: Make) -> None:
    name = f"{server.address}/team/app:1"
    first = make("first")
    digest = push(first, name)
    for layer in store_of(first).find(name).layers:
        assert server.blobs[layer.descriptor.digest] == store_of(first).blob_path(layer.descriptor.digest).read_bytes()
    second = make("second")
    assert second.pull(name).digest == digest
    assert files_of(second, name) == ["a", "b"]


def test_the_manifest_comes_last(server: Server, make: Make) -> None:
    push(make(), f"{server.address}/team/app:1")
    assert [str(one) for one in server.asked("P")][-1] == "PUT /v2/team/app/manifests/1"


def test_an_image_that_goes_while_it_is_pushed_arrives_all_the_same(server: Server, make: Make) -> None:
    transfers, name = make(), f"{server.address}/team/app:1"
    described = put_image(server, tar_of("a"), tag="1")
    transfers.pull(name)
    store = store_of(transfers)
    blobs = dict(server.blobs)
    server.blobs.clear()
    server.owners.clear()
    server.manifests.clear()

    def remove(handler: Any) -> None:
        store.remove(name)
        answer(503, Retry_After="0")(handler)

    server.fault("/uploads/", remove, method="POST")
    assert transfers.push(name) == described["digest"]
    assert server.blobs == blobs
    assert list((store.root / "blobs").glob("*/*")) == []


def test_what_is_there_is_not_sent_again(server: Server, make: Make) -> None:
    transfers = make()
    push(transfers, f"{server.address}/team/app:1")
    server.requests.clear()
    push(transfers, f"{server.address}/team/app:2")
    assert not server.asked("POST") and len(server.asked("PUT")) == 1


def test_what_another_repository_has_is_taken_over(server: Server, make: Make) -> None:
    transfers = make()
    push(transfers, f"{server.address}/team/app:1")
    server.requests.clear()
    push(transfers, f"{server.address}/team/copy:1")
    mounts = [one for one in server.asked("POST") if "mount" in one.query]
    assert len(mounts) >= 2 and all(one.query["from"] == ["team/app"] for one in mounts)
    layers = store_of(transfers).find(f"{server.address}/team/app:1").layers
    assert all(("team/copy", layer.descriptor.digest) in server.owners for layer in layers)


def test_what_can_not_be_taken_over_is_sent(server: Server, make: Make) -> None:
    transfers = make()
    push(transfers, f"{server.address}/team/app:1")
    server.mounts = False
    push(transfers, f"{server.address}/team/copy:1")
    assert ("team/copy", "1") in server.manifests


def test_all_of_an_index_goes_where_all_is_here(server: Server, make: Make) -> None:
    own = put_image(server, tar_of("own"))
    other = put_image(server, tar_of("other"), architecture=ELSEWHERE)
    index = put_index(server, "1", **{HERE: own, ELSEWHERE: other})
    transfers, name = make(), f"{server.address}/team/app:1"
    transfers.pull(name)
    transfers.pull(name, platform=parse_platform(ELSEWHERE))
    with serve() as target:
        store_of(transfers).tag(f"{target.address}/team/app:1", store_of(transfers).entry(name).digest)
        assert transfers.push(f"{target.address}/team/app:1") == index
        assert target.manifests["team/app", "1"][0] == INDEX
        assert {reference for _, reference in target.manifests} >= {own["digest"], other["digest"], index}


def test_of_an_index_that_is_here_in_part_that_part_goes(server: Server, make: Make) -> None:
    own = put_image(server, tar_of("own"))
    other = put_image(server, tar_of("other"), architecture=ELSEWHERE)
    put_index(server, "1", **{HERE: own, ELSEWHERE: other})
    transfers, name = make(), f"{server.address}/team/app:1"
    transfers.pull(name)
    with serve() as target:
        store_of(transfers).tag(f"{target.address}/team/app:1", store_of(transfers).entry(name).digest)
        assert transfers.push(f"{target.address}/team/app:1") == own["digest"]


def test_an_image_of_this_machine_is_refused(server: Server, make: Make) -> None:
    with pytest.raises(ImageError, match="machine's folders") as caught:
        push(make(), f"{server.address}/team/app:1", labels={"airdock.host": '{"binds": ["/usr"]}'})
    assert "FROM" in caught.value.hint and not server.requests


def test_who_may_not_is_told(server: Server, make: Make) -> None:
    server.auth = "basic"
    with pytest.raises(DeniedError) as caught:
        push(make(), f"{server.address}/team/app:1")
    assert f"airdock image login {server.address}" in caught.value.hint


def test_all_names_of_a_repository(make: Make) -> None:
    transfers = make()
    store = store_of(transfers)
    image = store.put_image(ImageConfig(architecture=HERE), [store.commit_tar(io.BytesIO(tar_of("a")))])
    for name in ("r.example/app:1", "r.example/app:2", "r.example/other:1"):
        store.tag(name, image.digest)
    assert transfers.names("r.example/app") == ["r.example/app:1", "r.example/app:2"]
    with pytest.raises(UnknownImageError):
        transfers.names("r.example/none")


# login


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_login_is_tried_and_kept(kind: str, server: Server, make: Make) -> None:
    server.auth = kind
    put_image(server, tar_of("a"), tag="1")
    transfers = make()
    with pytest.raises(DeniedError):
        transfers.login(server.address, Login(username="somebody", password="a guess"))
    assert transfers.known_login(server.address) is None
    transfers.login(server.address, Login(username="somebody", password="a secret"))
    assert transfers.pull(f"{server.address}/team/app:1")
    assert transfers.logout(server.address) and not transfers.logout(server.address)
