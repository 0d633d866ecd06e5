"""The store as an OCI layout in the hands of another tool: skopeo reads it, copies out of it and into it."""

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airdock.images.calls import DirectCalls
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import host_platform

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo (apt-get install skopeo)")


def skopeo(*arguments: str) -> str:
    command = ["skopeo", "--insecure-policy", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    made = ImageStore(root=tmp_path / "images", calls=DirectCalls())
    yield made
    made.close()


@pytest.fixture
def image(store: ImageStore) -> Image:
    config = ImageConfig(
        architecture=host_platform().architecture, env=("A=b",), cmd=("/f",), labels={"k": "v"},
        created="2026-01-02T03:04:05Z",
    )  # fmt: skip
    made = store.put_image(config, [store.commit_tar(io.BytesIO(archive(name))) for name in ("f", "g")])
    store.tag("registry.example:5000/team/x:1", made.digest)
    return made


def archive(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        info = tarfile.TarInfo(name)
        info.size = 3000
        opened.addfile(info, io.BytesIO(name.encode() * 3000))
    return buffer.getvalue()


def test_inspect(store: ImageStore, image: Image) -> None:
    seen = json.loads(skopeo("inspect", f"oci:{store.root}:registry.example:5000/team/x:1"))
    assert seen["Digest"] == image.digest
    assert seen["Env"] == ["A=b"] and seen["Labels"] == {"k": "v"}
    assert seen["Layers"] == [layer.descriptor.digest for layer in image.layers]
    config = json.loads(skopeo("inspect", "--config", f"oci:{store.root}:registry.example:5000/team/x:1"))
    assert config["rootfs"]["diff_ids"] == list(image.config.diff_ids)


@pytest.mark.parametrize("kind", ["oci", "dir", "docker-archive"])
def test_copy_out(kind: str, store: ImageStore, image: Image, tmp_path: Path) -> None:
    target = f"{kind}:{tmp_path / 'copy'}" + (":x:1" if kind != "dir" else "")
    skopeo("copy", f"oci:{store.root}:registry.example:5000/team/x:1", target)
    assert (tmp_path / "copy").exists()


@pytest.mark.parametrize("options", [[], ["--dest-compress-format=zstd", "--dest-compress"], ["--format=v2s2"]])
def test_copy_in(options: list[str], store: ImageStore, image: Image, tmp_path: Path) -> None:
    skopeo("copy", f"oci:{store.root}:registry.example:5000/team/x:1", f"dir:{tmp_path / 'copy'}")
    target = ImageStore(root=tmp_path / "target", calls=DirectCalls())
    try:
        form = [option for option in options if "v2s2" not in option]
        skopeo("copy", *form, f"dir:{tmp_path / 'copy'}", f"oci:{target.root}:docker.io/library/came:1")
        came = target.find("came:1")
        assert came.config.diff_ids == image.config.diff_ids
        assert [(row.repository, row.tag) for row in target.list()] == [("came", "1")]
        for layer, name in zip(came.layers, "fg", strict=True):
            assert (target.layer_path(layer.diff_id) / name).read_text() == name * 3000
        mine = target.put_image(came.config, came.layers)
        target.tag("mine", mine.digest)
        assert (
            json.loads(skopeo("inspect", f"oci:{target.root}:docker.io/library/mine:latest"))["Digest"] == mine.digest
        )
        target.remove("came:1")
        assert target.find("mine") == mine
    finally:
        target.close()
