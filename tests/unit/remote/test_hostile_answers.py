"""A registry may answer anything: what comes of it is an error of ours, in bounded memory."""

import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airdock.errors import AirdockError
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.oci.media_types import LAYER_GZIP

from .conftest import OpenRepository
from .server import Server, answer, endless, raw

BLOB = Descriptor(media_type=LAYER_GZIP, digest=Digest("sha256:" + "0" * 64), size=100_000)
ANYTHING = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_HEADER = st.sampled_from(
    ["Content-Length", "Transfer-Encoding", "Content-Type", "Location", "Range", "Content-Range", "WWW-Authenticate",
     "Docker-Content-Digest", "Retry-After", "Warning", "Link", "Connection", "Content-Encoding"]
)  # fmt: skip
_VALUE = st.one_of(
    st.sampled_from(
        ["-1", "0", "5", "99999999999999999999999", "chunked", "close", "gzip", 'Basic realm="x"', "Bearer",
         'Bearer realm="http://127.0.0.1:1/"', "bytes 0-", "0-0", "0-99", "http://[", "//x", '299 - "',
         '</v2>; rel="next"',
         "sha256:zz", "Mon, 99 Jan 2034 99:99:99 GMT"]
    ),
    st.text(st.characters(blacklist_categories=["Cs"], max_codepoint=255), max_size=40),
)  # fmt: skip
_STATUS = st.sampled_from([100, 101, 200, 201, 202, 204, 206, 301, 304, 307, 400, 401, 403, 404, 416, 418, 999])
_BODY = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"{}", b"[]", b"null", b"1e999", b'{"errors":[1]}', b'{"errors":[{"code":[]}]}', b"[" * 5_000]),
)


def head(status: int, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def try_everything(open_repository: OpenRepository, server: Server) -> None:
    """Each request in turn; nothing but our own errors may come out."""
    import io

    for work in (
        lambda repository: repository.manifest("1"),
        lambda repository: list(repository.blob(BLOB, 10)),
        lambda repository: repository.tags(),
        lambda repository: repository.manifest_digest("1"),
        lambda repository: repository.mount(BLOB, "other"),
        lambda repository: repository.upload(BLOB, lambda: io.BytesIO(bytes(BLOB.size)), lambda done: None),
        lambda repository: repository.put_manifest("1", b"{}", LAYER_GZIP),
    ):
        with suppress(AirdockError):
            work(open_repository(retries=0, timeout_s=1.0))


def misbehave(server: Server, act: object) -> None:
    server.faults.clear()
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        # /v2/ is answered well, so that everything behind it is reached.
        server.fault("/v2/.+", act, method=method, times=1 << 30)  # type: ignore[arg-type]


@ANYTHING
@given(status=_STATUS, headers=st.lists(st.tuples(_HEADER, _VALUE), max_size=4), body=_BODY)
def test_any_head_and_body(
    status: int, headers: list[tuple[str, str]], body: bytes, server: Server, open_repository: OpenRepository
) -> None:
    misbehave(server, raw(head(status, headers) + body))
    try_everything(open_repository, server)


@ANYTHING
@given(content=st.binary(max_size=500))
def test_any_bytes(content: bytes, server: Server, open_repository: OpenRepository) -> None:
    misbehave(server, raw(content))
    try_everything(open_repository, server)


@ANYTHING
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["errors", "code", "message", "detail", "tags", "token", "schemaVersion", "mediaType",
                                 "config", "layers", "manifests"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    status=st.sampled_from([200, 401, 404, 400, 500]),
)  # fmt: skip
def test_any_document(document: object, status: int, server: Server, open_repository: OpenRepository) -> None:
    misbehave(server, answer(status, json.dumps(document).encode()))
    try_everything(open_repository, server)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: ", b"", b"HTTP/1.1 100 C\r\n\r\n" * 3]
)
def test_heads_without_end_are_not_read_to_it(start: bytes, server: Server, open_repository: OpenRepository) -> None:
    misbehave(server, raw(start + b"X: " + b"y" * (8 << 20)))
    with pytest.raises(AirdockError):
        open_repository(retries=0, timeout_s=2.0).manifest("1")
    misbehave(server, raw(start + b"X: y\r\n" * (1 << 18)))
    with pytest.raises(AirdockError):
        open_repository(retries=0, timeout_s=2.0).manifest("1")


@pytest.mark.parametrize("status", [200, 206, 401, 404, 500, 429])
def test_bodies_without_end_take_little_memory(status: int, server: Server, open_repository: OpenRepository) -> None:
    misbehave(server, endless(status, most=64 << 20))
    tracemalloc.start()
    try:
        try_everything(open_repository, server)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20


@pytest.mark.parametrize(
    "chunk", [b"ffffffffffffffff\r\n", b"-1\r\n", b"zz\r\n", b"5" * 100_000, b"5;" + b"x" * 100_000]
)
def test_chunks_of_any_size(chunk: bytes, server: Server, open_repository: OpenRepository) -> None:
    misbehave(server, raw(head(200, [("Transfer-Encoding", "chunked")]) + chunk + b"x" * 1000))
    with pytest.raises(AirdockError):
        list(open_repository(retries=0).blob(BLOB))


def test_what_a_registry_says_gives_no_orders_to_a_terminal(server: Server, open_repository: OpenRepository) -> None:
    said = json.dumps({"errors": [{"code": "DENIED", "message": "\x1b[2Jno\x07\r\n way"}]}).encode()
    server.fault("/manifests/", answer(403, said), times=9)
    server.warning = "watch\x1b[2J out"
    with pytest.raises(AirdockError) as caught:
        open_repository().manifest("1")
    assert "\x1b" not in str(caught.value.to_dict()) and "no" in caught.value.message
