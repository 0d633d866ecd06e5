"""Descriptors, manifests, indexes and configurations against the image-spec's cases, and both ways through JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from airdock.errors import AirdockError, DigestError, ImageError
from airdock.oci.config import History, ImageConfig
from airdock.oci.descriptor import Descriptor, Platform
from airdock.oci.digest import Digest, digest_bytes
from airdock.oci.document import load_object
from airdock.oci.layout import LAYOUT, check_layout
from airdock.oci.manifest import Index, Manifest
from airdock.oci.media_types import CONFIG, DOCKER_TO_OCI, INDEX, LAYER_GZIP, MANIFEST, to_oci

SPEC = Path(__file__).parents[4] / "shared/data/oci/image-spec"
needs_spec = pytest.mark.skipif(not SPEC.exists(), reason=f"{SPEC} is not on this machine")
CASES: dict[str, Any] = json.loads((SPEC / "test/cases.json").read_text()) if SPEC.exists() else {"rows": []}
READERS = {
    "content-descriptor.json": Descriptor.from_json,
    "image-manifest-schema.json": Manifest.from_json,
    "image-index-schema.json": Index.from_json,
    "config-schema.json": ImageConfig.from_json,
    "image-layout-schema.json": check_layout,
}


def validate(document: Mapping[str, Any], schema: str) -> None:
    """Hold a document against one of the spec's own schemas."""
    resources = [
        (url, Resource(contents=json.loads((SPEC / name).read_text()), specification=DRAFT4))
        for name, urls in CASES["schema_urls"].items()
        for url in urls
    ]
    contents = json.loads((SPEC / schema).read_text())
    jsonschema.Draft4Validator(contents, registry=Registry().with_resources(resources)).validate(document)


@needs_spec
def test_docker_media_types_are_those_of_the_spec() -> None:
    assert {docker: to_oci(docker) for docker in CASES["docker_to_oci"]} == CASES["docker_to_oci"]
    assert set(CASES["docker_to_oci"]) <= set(DOCKER_TO_OCI)


@needs_spec
def test_every_case_has_a_reader() -> None:
    assert {row["schema"] for row in CASES["rows"]} == set(READERS)


@pytest.mark.parametrize(
    "row",
    [row for row in CASES["rows"] if row["schema"] in READERS],
    ids=lambda row: f"{row['kind']}-{row['valid']}-{row['note'][:50]}",
)
def test_cases_of_the_spec(row: dict[str, Any]) -> None:
    read = READERS[row["schema"]]
    if not row["valid"]:
        with pytest.raises(AirdockError, match="expected"):
            read(load_object(row["document"], row["kind"]))
        return
    document = load_object(row["document"], row["kind"])
    record: Any = read(document)
    if record is None:  # a layout's file is only checked: there is nothing in it to keep
        return
    validate(record.to_json(), row["schema"])
    assert read(record.to_json()) == record


@needs_spec
def test_ours_are_valid_by_the_schemas() -> None:
    digest = digest_bytes(b"x")
    config = Descriptor(media_type=CONFIG, digest=digest, size=1)
    layer = Descriptor(media_type=LAYER_GZIP, digest=digest, size=1, annotations={"a": "b"})
    platform = Platform(os="linux", architecture="arm64", variant="v8")
    manifest = Descriptor(media_type=MANIFEST, digest=digest, size=1, platform=platform)
    validate(Manifest(config=config, layers=(layer,), annotations={"c": "d"}).to_json(), "image-manifest-schema.json")
    validate(Index(manifests=(manifest,)).to_json(), "image-index-schema.json")
    validate(LAYOUT, "image-layout-schema.json")
    validate(full_config().to_json(), "config-schema.json")
    validate(ImageConfig(architecture="amd64").to_json(), "config-schema.json")


def full_config() -> ImageConfig:
    return ImageConfig(
        architecture="amd64",
        env=("PATH=/bin", "EMPTY="),
        entrypoint=("/entry",),
        cmd=("a", "b"),
        user="airflow",
        working_dir="/opt",
        labels={"k": "v"},
        exposed_ports=("5555/tcp", "8080/tcp"),
        volumes=("/data",),
        stop_signal="SIGINT",
        shell=("/bin/bash", "-c"),
        healthcheck={"Test": ["NONE"]},
        on_build=("RUN x",),
        created="2026-01-02T03:04:05.123456789Z",
        author="A",
        history=(History(created_by="COPY x", empty_layer=True, comment="c"),),
        diff_ids=(digest_bytes(b"layer"),),
        extra={"docker_version": "20.10"},
        config_extra={"Hostname": "h"},
    )


def test_config_keeps_what_it_does_not_know() -> None:
    config = full_config()
    again = ImageConfig.from_json(json.loads(config.to_bytes()))
    assert again == config
    assert again.to_bytes() == config.to_bytes()
    assert again.to_json()["docker_version"] == "20.10"
    assert again.to_json()["config"]["Hostname"] == "h"


def test_cleared_entrypoint_differs_from_none() -> None:
    assert ImageConfig(architecture="amd64", entrypoint=()).to_json()["config"] == {"Entrypoint": []}
    assert "config" not in ImageConfig(architecture="amd64").to_json()
    assert ImageConfig.from_json(ImageConfig(architecture="amd64", cmd=()).to_json()).cmd == ()


def test_canonical_text_does_not_depend_on_order() -> None:
    one = ImageConfig(architecture="amd64", labels={"a": "1", "b": "2"})
    other = ImageConfig(architecture="amd64", labels={"b": "2", "a": "1"})
    assert one.to_bytes() == other.to_bytes()


def test_docker_manifest_is_read_as_it_is() -> None:
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    config = Descriptor(media_type="application/vnd.docker.container.image.v1+json", digest=digest_bytes(b"c"), size=1)
    value = Manifest(config=config, layers=(config,), media_type=docker).to_json()
    assert Manifest.from_json(value).media_type == docker
    with pytest.raises(ImageError, match="mediaType"):
        Manifest.from_json({**value, "mediaType": INDEX})
    with pytest.raises(ImageError, match="schemaVersion"):
        Manifest.from_json({**value, "schemaVersion": 1})


@pytest.mark.parametrize(
    "text",
    ["", "sha256", "sha256:", "md5:" + "a" * 32]
    + ["sha256:" + encoded for encoded in ("AB", "a" * 63, "A" * 64, "a" * 64 + "\n")],
)
def test_wrong_digests_are_refused(text: str) -> None:
    with pytest.raises(DigestError, match="expected"):
        Digest.parse(text)


@given(st.binary(), st.sampled_from(["sha256", "sha384", "sha512"]))
def test_digest_of_bytes_parses(content: bytes, algorithm: str) -> None:
    digest = digest_bytes(content, algorithm)
    assert Digest.parse(str(digest)) == digest
    assert digest.algorithm == algorithm
    assert f"{digest.algorithm}:{digest.hex}" == digest
    assert digest.short == digest.hex[:12]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["architecture", "os", "config", "rootfs", "history", "created"]), json_values))
def test_any_config_is_read_or_refused_in_words(value: dict[str, Any]) -> None:
    try:
        config = ImageConfig.from_json(value)
    except AirdockError as error:
        assert "expected" in error.message
    else:
        assert ImageConfig.from_json(config.to_json()) == config


@given(
    st.dictionaries(st.sampled_from(["mediaType", "digest", "size", "annotations", "platform", "urls"]), json_values)
)
def test_any_descriptor_is_read_or_refused_in_words(value: dict[str, Any]) -> None:
    with pytest.raises(AirdockError, match="expected"):
        Descriptor.from_json(value)
