"""Manifests and blobs of one repository, from a registry that works and from one that fails now and then."""

import hashlib
import io
import json
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from airdock.errors import DigestError, NotInRegistryError, RegistryError, UnreachableError
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.oci.media_types import LAYER_GZIP, MANIFEST
from airdock.remote.base import LARGEST_MANIFEST, Transfer

from .conftest import OpenRepository
from .server import Server, answer, cut, endless, hang_up, raw, serve

_MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST}).encode()
CONTENT = random.Random(7).randbytes(700_000)


def describe(content: bytes) -> Descriptor:
    digest = Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
    return Descriptor(media_type=LAYER_GZIP, digest=digest, size=len(content))


# manifests


def test_a_manifest_comes_as_the_bytes_that_were_pushed(server: Server, open_repository: OpenRepository) -> None:
    digest = server.add_manifest(_MANIFEST, MANIFEST, "1")
    for reference in ("1", digest):
        found = open_repository().manifest(reference)
        assert (found.content, found.media_type, found.digest) == (_MANIFEST, MANIFEST, digest)


def test_a_manifest_that_is_another(server: Server, open_repository: OpenRepository) -> None:
    digest = server.add_manifest(_MANIFEST, MANIFEST)
    server.manifests["team/app", digest] = (MANIFEST, _MANIFEST + b" ")
    with pytest.raises(DigestError, match=digest):
        open_repository().manifest(digest, expected=Digest(digest))


def test_what_is_not_there_is_named(server: Server, open_repository: OpenRepository) -> None:
    with pytest.raises(NotInRegistryError, match="team/app:1") as caught:
        open_repository().manifest("1")
    assert server.address in caught.value.message


def test_a_door_that_is_shut_is_knocked_at_once(open_repository: OpenRepository, told: list[Transfer]) -> None:
    """Nobody listens there: that doesn't pass, and trying again for each request would take a minute."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        repository = open_repository(address=f"127.0.0.1:{nobody.getsockname()[1]}")
        for _ in range(2):
            with pytest.raises(UnreachableError, match="refused"):
                repository.manifest("1")
    assert not told


@pytest.mark.parametrize(
    ("media_type", "document"),
    [
        ("application/vnd.docker.distribution.manifest.v1+json", {"schemaVersion": 1, "fsLayers": []}),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", {"schemaVersion": 1}),
        ("application/json", {"schemaVersion": 1, "name": "x"}),
    ],
)
def test_schema_1_is_refused(
    media_type: str, document: dict[str, object], server: Server, open_repository: OpenRepository
) -> None:
    server.add_manifest(json.dumps(document).encode(), media_type, "1")
    with pytest.raises(RegistryError, match="schema 1"):
        open_repository().manifest("1")


def test_an_endless_manifest_is_not_read_to_its_end(server: Server, open_repository: OpenRepository) -> None:
    server.fault("/manifests/", endless())
    with pytest.raises(RegistryError, match=str(LARGEST_MANIFEST)):
        open_repository().manifest("1")


def test_warnings_are_passed_on_once(server: Server, open_repository: OpenRepository, told: list[Transfer]) -> None:
    server.warning = "this repository ends in May"
    server.add_manifest(_MANIFEST, MANIFEST, "1")
    repository = open_repository()
    repository.manifest("1")
    repository.manifest("1")
    assert [event.text for event in told] == [f"{server.address} warns: this repository ends in May"]


def test_tags_are_read_page_by_page(server: Server, open_repository: OpenRepository) -> None:
    names = [f"{number:05}" for number in range(2500)]
    for name in names:
        server.manifests["team/app", name] = (MANIFEST, _MANIFEST)
    assert open_repository().tags() == names
    assert len(server.asked("GET", "/tags/list")) == 3


# passing failures


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(
    status: int, server: Server, open_repository: OpenRepository, told: list[Transfer]
) -> None:
    server.add_manifest(_MANIFEST, MANIFEST, "1")
    server.fault("/manifests/", answer(status, Retry_After="0"), times=2)
    assert open_repository().manifest("1").content == _MANIFEST
    assert [event.state for event in told] == ["retry", "retry"]


@pytest.mark.parametrize("status", [400, 404, 405, 410, 418])
def test_what_does_not_pass_is_not_tried_again(status: int, server: Server, open_repository: OpenRepository) -> None:
    server.fault("/manifests/", answer(status), times=9)
    with pytest.raises(RegistryError):
        open_repository().manifest("1")
    assert len(server.asked("GET", "/manifests/")) == 1


@pytest.mark.parametrize("act", [hang_up, raw(b"HTTP/1.1 "), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx")])
def test_a_connection_that_breaks_is_made_again(act: object, server: Server, open_repository: OpenRepository) -> None:
    server.add_manifest(_MANIFEST, MANIFEST, "1")
    server.fault("/manifests/", act)  # type: ignore[arg-type]
    assert open_repository().manifest("1").content == _MANIFEST


def test_it_gives_up_at_last(server: Server, open_repository: OpenRepository) -> None:
    server.fault("/manifests/", answer(503, b"closed for repairs", Retry_After="0"), times=99)
    with pytest.raises(RegistryError, match="closed for repairs"):
        open_repository(retries=3).manifest("1")
    assert len(server.asked("GET", "/manifests/")) == 4


def test_an_answer_that_takes_too_long_is_asked_for_again(server: Server, open_repository: OpenRepository) -> None:
    server.add_manifest(_MANIFEST, MANIFEST, "1")
    server.fault("/manifests/", lambda handler: handler.rfile.read(1) and None)  # it says nothing
    assert open_repository(timeout_s=0.2).manifest("1").content == _MANIFEST


def test_nobody_there_is_told(open_repository: OpenRepository) -> None:
    with serve() as gone:
        pass
    with pytest.raises(UnreachableError) as caught:
        open_repository(address=gone.address, retries=1).manifest("1")
    assert gone.address in caught.value.where


# blobs


def test_a_blob_comes_whole(server: Server, open_repository: OpenRepository) -> None:
    server.add_blob(CONTENT)
    assert b"".join(open_repository().blob(describe(CONTENT))) == CONTENT


@pytest.mark.parametrize("start", [1, 65_536, len(CONTENT) - 1])
def test_a_blob_comes_from_a_place_on(start: int, server: Server, open_repository: OpenRepository) -> None:
    server.add_blob(CONTENT)
    assert b"".join(open_repository().blob(describe(CONTENT), start)) == CONTENT[start:]
    assert server.asked("GET", "/blobs/")[-1].headers["Range"] == f"bytes={start}-"


def test_a_download_that_breaks_goes_on_where_it_was(server: Server, open_repository: OpenRepository) -> None:
    server.add_blob(CONTENT)
    server.fault("/blobs/", cut(300_000))
    server.fault("/blobs/", cut(1))
    server.fault("/blobs/", answer(503, Retry_After="0"))
    server.fault("/blobs/", hang_up)
    assert b"".join(open_repository().blob(describe(CONTENT))) == CONTENT
    sent = sum(len(CONTENT) - int(one.headers.get("Range", "bytes=0-")[6:-1]) for one in server.asked("GET", "/blobs/"))
    assert sent < 6 * len(CONTENT)
    assert server.asked("GET", "/blobs/")[-1].headers["Range"] == "bytes=300001-"


def test_progress_gives_a_download_new_patience(server: Server, open_repository: OpenRepository) -> None:
    server.add_blob(CONTENT)
    server.fault("/blobs/", cut(60_000), times=8)
    assert b"".join(open_repository(retries=1).blob(describe(CONTENT))) == CONTENT


def test_a_registry_without_ranges_sends_again_from_the_start(server: Server, open_repository: OpenRepository) -> None:
    digest = server.add_blob(CONTENT)
    server.fault("/blobs/", cut(300_000))
    server.fault("/blobs/", lambda handler: handler.reply(200, server.blobs[digest]))
    assert b"".join(open_repository().blob(describe(CONTENT))) == CONTENT


@pytest.mark.parametrize("place", ["bytes 0-1/2", "", "bytes 300001-/9", "lines 1-2"])
def test_a_range_that_was_not_asked_for_is_not_taken(
    place: str, server: Server, open_repository: OpenRepository
) -> None:
    server.add_blob(CONTENT)
    server.fault("/blobs/", answer(206, CONTENT[5:], Content_Range=place))
    with pytest.raises(RegistryError, match="300000"):
        list(open_repository().blob(describe(CONTENT), 300_000))


@pytest.mark.parametrize("start", [0, 1000])
def test_a_body_without_end_is_cut_at_the_size_that_was_said(
    start: int, server: Server, open_repository: OpenRepository
) -> None:
    blob = describe(CONTENT)
    server.fault("/blobs/", endless())
    with pytest.raises(DigestError, match="more"):
        taken = 0
        for piece in open_repository().blob(blob, start):
            taken += len(piece)
            assert taken <= blob.size


def test_a_length_that_is_too_long_is_not_waited_for(server: Server, open_repository: OpenRepository) -> None:
    server.add_blob(CONTENT)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 60}\r\n\r\n".encode()
    server.fault("/blobs/", raw(head + CONTENT), times=9)
    with pytest.raises((DigestError, RegistryError)):
        list(open_repository(retries=1).blob(describe(CONTENT[:-1])))


def test_blobs_elsewhere_are_followed_without_the_password(server: Server, open_repository: OpenRepository) -> None:
    from airdock.remote.base import Login

    with serve() as storage:
        server.auth, server.elsewhere = "basic", storage.address
        server.add_blob(CONTENT)
        storage.add_blob(CONTENT)
        login = Login(username="somebody", password="a secret")
        assert b"".join(open_repository(login=login).blob(describe(CONTENT))) == CONTENT
        assert storage.requests and not any("Authorization" in one.headers for one in storage.requests)
        storage.fault("/blobs/", cut(100))
        assert b"".join(open_repository(login=login).blob(describe(CONTENT))) == CONTENT


def test_redirects_have_an_end(server: Server, open_repository: OpenRepository) -> None:
    server.fault("/manifests/", lambda handler: handler.reply(307, Location=handler.path), times=99)
    with pytest.raises(RegistryError, match="redirect"):
        open_repository().manifest("1")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a.example/", "http://[", "//", "http://a b/", "\x00"])
def test_redirects_lead_to_the_web_only(target: str, server: Server, open_repository: OpenRepository) -> None:
    server.fault("/manifests/", answer(307, Location=target), times=99)
    with pytest.raises(RegistryError):
        open_repository(retries=0).manifest("1")


# uploads


class Source:
    """A blob's file, and how often it was opened."""

    def __init__(self, path: Path, content: bytes = CONTENT) -> None:
        self.path = path
        self.path.write_bytes(content)
        self.opened = 0

    def __call__(self) -> BinaryIO:
        self.opened += 1
        return self.path.open("rb", buffering=0)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "blob")


def test_an_upload_arrives(server: Server, open_repository: OpenRepository, source: Source) -> None:
    moved: list[int] = []
    repository = open_repository()
    assert not repository.has_blob(describe(CONTENT))
    repository.upload(describe(CONTENT), source, moved.append)
    assert repository.has_blob(describe(CONTENT)) and server.blobs[describe(CONTENT).digest] == CONTENT
    assert moved[-1] == len(CONTENT) and moved == sorted(moved)
    assert [str(request).partition("/v2")[0] for request in server.requests if "uploads" in request.path] == [
        "POST ",
        "PUT ",
    ]


def test_an_empty_blob_arrives(server: Server, open_repository: OpenRepository) -> None:
    open_repository().upload(describe(b""), lambda: io.BytesIO(), lambda done: None)
    assert server.blobs[describe(b"").digest] == b""


@pytest.mark.parametrize("act", [hang_up, answer(503, Retry_After="0"), answer(500, Retry_After="0")])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_upload_that_fails_is_made_again(
    act: object, method: str, server: Server, open_repository: OpenRepository, source: Source
) -> None:
    server.fault("/uploads/", act, method=method)  # type: ignore[arg-type]
    open_repository().upload(describe(CONTENT), source, lambda done: None)
    assert server.blobs[describe(CONTENT).digest] == CONTENT


def test_an_upload_that_breaks_off_goes_on_where_the_registry_is(
    server: Server, open_repository: OpenRepository, source: Source
) -> None:
    def lose(handler: object) -> None:
        server.uploads["0"] += CONTENT[:300_000]
        hang_up(handler)  # type: ignore[arg-type]

    server.fault("/uploads/", lose, method="PUT")
    open_repository().upload(describe(CONTENT), source, lambda done: None)
    assert server.blobs[describe(CONTENT).digest] == CONTENT
    (rest,) = server.asked("PATCH")
    assert rest.body == CONTENT[300_000:] and rest.headers["Content-Range"] == f"300000-{len(CONTENT) - 1}"


def test_an_upload_that_the_registry_forgot_starts_again(
    server: Server, open_repository: OpenRepository, source: Source
) -> None:
    def lose(handler: object) -> None:
        server.uploads.pop("0")
        hang_up(handler)  # type: ignore[arg-type]

    server.fault("/uploads/", lose, method="PUT")
    open_repository().upload(describe(CONTENT), source, lambda done: None)
    assert server.blobs[describe(CONTENT).digest] == CONTENT


def _refuse_above(most: int) -> Callable[[Any], None]:
    """As a proxy does it: by the head alone, and without waiting for the body."""

    def act(handler: Any) -> None:
        if int(handler.headers["Content-Length"]) > most:
            handler.refuse(413, "", "Request Entity Too Large", Connection="close")
            handler.close_connection = True
        else:
            handler._serve(handler.state.requests[-1])

    return act


@pytest.mark.parametrize("most", [300_000, 1 << 20])
def test_a_blob_that_is_too_large_for_somebody_on_the_way_goes_in_pieces(
    most: int, server: Server, open_repository: OpenRepository, tmp_path: Path, told: list[Transfer]
) -> None:
    content = os.urandom(3_000_000)
    source, moved = Source(tmp_path / "blob", content), list[int]()
    for method in ("PUT", "PATCH"):
        server.fault("/uploads/", _refuse_above(most), method=method, times=99)
    open_repository(chunk_bytes=1 << 20).upload(describe(content), source, moved.append)
    assert server.blobs[describe(content).digest] == content
    sent = [len(request.body) for request in server.asked("PATCH") if len(request.body) <= most]
    assert sum(sent) == 3_000_000 and moved[-1] == 3_000_000
    assert any("pieces of" in one.text for one in told)


def test_a_registry_that_takes_nothing_however_small_is_told(
    server: Server, open_repository: OpenRepository, tmp_path: Path
) -> None:
    content = bytes(3_000_000)
    for method in ("PUT", "PATCH"):
        server.fault("/uploads/", _refuse_above(0), method=method, times=99)
    with pytest.raises(RegistryError, match="413"):
        open_repository().upload(describe(content), Source(tmp_path / "blob", content), lambda done: None)
    assert len(server.asked("POST")) < 6


def test_a_proxy_that_hangs_up_on_a_large_body_is_heard(
    server: Server, open_repository: OpenRepository, tmp_path: Path
) -> None:
    content = bytes(40_000_000)
    server.early = 413  # the rest is more than sockets hold: sending it fails
    with pytest.raises(RegistryError, match="413"):
        open_repository(chunk_bytes=20_000_000, retries=0).upload(
            describe(content), Source(tmp_path / "blob", content), lambda done: None
        )


def test_a_registry_that_finds_another_digest_is_believed(
    server: Server, open_repository: OpenRepository, source: Source
) -> None:
    source.path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(RegistryError, match="did not match"):
        open_repository().upload(describe(CONTENT), source, lambda done: None)


def test_blobs_are_taken_over_from_a_neighbour(server: Server, open_repository: OpenRepository) -> None:
    server.add_blob(CONTENT, "team/base")
    assert open_repository().mount(describe(CONTENT), "team/base")
    assert ("team/app", describe(CONTENT).digest) in server.owners


def test_a_registry_that_takes_nothing_over_has_no_upload_left_open(
    server: Server, open_repository: OpenRepository
) -> None:
    server.mounts = False
    server.add_blob(CONTENT, "team/base")
    assert not open_repository().mount(describe(CONTENT), "team/base")
    assert not server.uploads


def test_a_manifest_is_stored_under_its_tag(server: Server, open_repository: OpenRepository) -> None:
    digest = open_repository().put_manifest("1", _MANIFEST, MANIFEST)
    assert server.manifests["team/app", "1"] == (MANIFEST, _MANIFEST) == server.manifests["team/app", digest]


def test_a_registry_that_stores_another_manifest_is_not_believed(
    server: Server, open_repository: OpenRepository
) -> None:
    other = "sha256:" + "0" * 64
    server.fault("/manifests/", answer(201, Docker_Content_Digest=other), method="PUT")
    with pytest.raises(DigestError, match=other):
        open_repository().put_manifest("1", _MANIFEST, MANIFEST)
