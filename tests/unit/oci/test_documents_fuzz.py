"""References and JSON of any shape: a value of ours or an error of ours, never anything else.

AIRDOCK_FUZZ_EXAMPLES sets how many are tried of each kind.
"""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airdock.errors import AirdockError
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.oci.document import load_object
from airdock.oci.index import parse_platform
from airdock.oci.manifest import Index, Manifest
from airdock.oci.reference import parse_any_reference, parse_reference, render_reference

FUZZ = settings(
    max_examples=int(os.environ.get("AIRDOCK_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
DIGEST = "sha256:" + "0" * 64
KEYS = st.sampled_from(
    [
        "schemaVersion",
        "mediaType",
        "config",
        "layers",
        "manifests",
        "digest",
        "size",
        "urls",
        "annotations",
        "platform",
        "architecture",
        "os",
        "variant",
        "rootfs",
        "type",
        "diff_ids",
        "history",
        "created",
        "created_by",
        "empty_layer",
        "Env",
        "Cmd",
        "Entrypoint",
        "Labels",
        "User",
        "ExposedPorts",
        "Volumes",
        "Healthcheck",
        "OnBuild",
        "Shell",
        "WorkingDir",
        "StopSignal",
        "artifactType",
        "subject",
        "data",
        "features",
    ]
) | st.text(max_size=6)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        [
            DIGEST,
            "layers",
            "amd64",
            "linux",
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "2001-02-03T04:05:06Z",
        ]
    )
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=20
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=8)
VALID: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 2},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 1}],
    "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": 1}],
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
}
READERS = [Manifest.from_json, Index.from_json, ImageConfig.from_json, Descriptor.from_json]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__self__.__name__)
@FUZZ
@given(document=DOCUMENTS | DOCUMENTS.map(lambda changes: VALID | changes))
def test_documents_of_any_shape(read: Callable[[Any], Any], document: dict[str, Any]) -> None:
    try:
        found = read(document)
    except AirdockError as error:
        assert error.message
        return
    again = read(json.loads(json.dumps(found.to_json())))
    assert again.to_json() == found.to_json()


@FUZZ
@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'{"a": 1e999}')
@example(b"1" * 10_000)
@example(b'{"a": ' + b"9" * 10_000 + b"}")
def test_bytes_of_any_kind(content: bytes) -> None:
    try:
        assert isinstance(load_object(content, "it"), dict)
    except AirdockError as error:
        assert "it" in error.message or "it" in error.where


PIECES = st.lists(
    st.sampled_from(
        ["a", "A", "docker.io", "library", "/", ":", "@", DIGEST, "localhost", "5000", "[::1]", ".", "_", "-", "__"]
    )
    | st.text(max_size=5),
    max_size=8,
).map("".join)


@FUZZ
@given(PIECES | st.text(max_size=300))
@example("a/" * 5000)
@example("a" * 100_000)
@example("a:" + "b" * 129)
def test_references(text: str) -> None:
    for parse in (parse_reference, parse_any_reference):
        try:
            found = parse(text)
        except AirdockError as error:
            assert len(error.message) < 2000, "what is shown of it is short"
            continue
        if not isinstance(found, Digest):
            assert parse_reference(render_reference(found)) == found


@FUZZ
@given(st.text(max_size=80) | PIECES)
def test_digests_and_platforms(text: str) -> None:
    for parse in (Digest.parse, parse_platform):
        try:
            parse(text)
        except AirdockError as error:
            assert error.message
