"""Platforms as they are written, and which manifest of an index a machine gets."""

import pytest

from airdock.errors import ImageError
from airdock.oci.descriptor import Descriptor, Platform, host_platform
from airdock.oci.digest import digest_bytes
from airdock.oci.index import choose_manifest, is_attestation, parse_platform, platforms_of, render_platform
from airdock.oci.manifest import Index
from airdock.oci.media_types import MANIFEST


def entry(text: str | None, **annotations: str) -> Descriptor:
    platform = None if text is None else parse_platform(text)
    return Descriptor(
        media_type=MANIFEST, digest=digest_bytes(str(text).encode()), size=1, platform=platform,
        annotations={key.replace("_", "."): value for key, value in annotations.items()},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("Linux/AARCH64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm"),
        ("armhf", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("i386", "linux/386"),
        ("windows/amd64", "windows/amd64"),
    ],
)
def test_platforms(text: str, shown: str) -> None:
    assert render_platform(parse_platform(text)) == shown
    assert parse_platform(render_platform(parse_platform(text))) in (
        parse_platform(text),
        parse_platform(shown),
    )


def test_an_operating_system_alone_is_for_this_processor() -> None:
    assert parse_platform("linux") == Platform(os="linux", architecture=host_platform().architecture)


@pytest.mark.parametrize("text", ["", "/", "linux//v8", "a/b/c/d", "linux/am d64"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(ImageError, match="expected a platform"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        (["linux/arm64", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm/v6", "linux/arm/v6"),
        (["linux/arm/v5", "linux/arm/v6"], "linux/arm", "linux/arm/v6"),
        (["linux/arm/v7"], "linux/arm/v6", None),
        (["linux/amd64", "linux/amd64/v3"], "linux/amd64/v4", "linux/amd64/v3"),
        (["linux/amd64", "linux/amd64/v3"], "linux/amd64", "linux/amd64"),
        (["linux/arm64"], "linux/arm64/v8", "linux/arm64"),
        (["windows/amd64"], "linux/amd64", None),
        ([None], "linux/amd64", None),
        ([], "linux/amd64", None),
    ],
)
def test_choosing(there: list[str | None], wanted: str, chosen: str | None) -> None:
    found = choose_manifest(Index(manifests=tuple(map(entry, there))), parse_platform(wanted))
    if there == [None]:
        assert found is not None and found.platform is None  # it is taken where no other fits
        return
    assert (found and found.digest) == (chosen and entry(chosen).digest)


def test_attestations_are_no_images() -> None:
    said = entry("unknown/unknown", vnd_docker_reference_type="attestation-manifest")
    index = Index(manifests=(said, entry("linux/amd64")))
    assert is_attestation(said)
    assert list(map(render_platform, platforms_of(index))) == ["linux/amd64"]
    assert choose_manifest(Index(manifests=(said,)), parse_platform("amd64")) is None
