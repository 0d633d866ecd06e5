"""Builds for several platforms, and what holds their images together."""

from pathlib import Path
from typing import Any

import pytest

from airdock.builder.base import BuildRequest
from airdock.builder.outputs import Output
from airdock.builder.platforms import parse_platform
from airdock.builder.several import build_several
from airdock.errors import BuildError
from airdock.images.image import Image
from airdock.oci.digest import Digest

PLATFORMS = [parse_platform("linux/amd64"), parse_platform("linux/arm64"), parse_platform("linux/arm/v7")]
TEXT = "FROM scratch\nARG TARGETARCH TARGETVARIANT\nCOPY $TARGETARCH$TARGETVARIANT /x\n"


def build(bench, **more: Any) -> Digest:
    bench.write({"amd64": "amd64", "arm64": "arm64", "armv7": "armv7"})
    request = BuildRequest(dockerfile=TEXT, context=bench.context, label="test", **more)

    def part(request: BuildRequest) -> Image:
        names = ("tags", "outputs", "label", "platform")
        made: Image = bench.build(request.dockerfile, **{name: getattr(request, name) for name in names})
        return made

    return build_several(request, PLATFORMS, store=bench.store, build=part, spool=bench.folder / "spool")


def test_one_name_stands_for_all_platforms(bench) -> None:
    digest = build(bench, tags=("all:1",))
    assert bench.store.entry("all:1").digest == digest
    for platform in PLATFORMS:
        image = bench.store.find("all:1", platform=platform)
        assert image.platform == platform
        assert (
            bench.text(image, "x") == f"{platform.architecture}{platform.variant if 'v7' in platform.variant else ''}"
        )
    assert build(bench, tags=("all:2",)) == digest


def test_files_of_each_platform_have_a_folder(bench, tmp_path: Path) -> None:
    build(bench, outputs=(Output(kind="local", target=str(tmp_path / "out")),))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["linux_amd64", "linux_arm64", "linux_arm_v7"]
    assert (tmp_path / "out/linux_arm64/x").read_text() == "arm64"
    assert bench.store.list() == []


def test_a_layout_holds_the_index(bench, tmp_path: Path) -> None:
    digest = build(bench, outputs=(Output(kind="oci", target=str(tmp_path / "layout"), packed=False),))
    assert (tmp_path / "layout/blobs/sha256" / digest.hex).is_file()


@pytest.mark.parametrize("output", [Output(kind="tar", target="x"), Output(kind="docker", target="x")])
def test_what_holds_one_platform_only(bench, output: Output) -> None:
    with pytest.raises(BuildError, match="expected one platform"):
        build(bench, outputs=(output,))
    assert bench.store.list() == []
