"""The same Dockerfile through buildah and through us: equal files, owners, modes and configuration."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCKERFILE = """
FROM scratch AS one
COPY a.txt /x
COPY a.txt b.txt /dir/
COPY *.txt /wild/
COPY d /dd
COPY d/ /de/
COPY to-d /followed
COPY . /all/
WORKDIR /w
COPY a.txt .
COPY a.txt sub/
COPY a.txt ../up
COPY --chown=5:6 d /owned/deep
COPY --chmod=0700 d /mode
ADD archive.tgz /archive/
ADD a.txt /added
COPY d /existing/
COPY d/f /existing
USER 7:8
WORKDIR /new/user
FROM one AS two
ARG VERSION=1.2
ENV NAME=value QUOTED="a b" OLD=$VERSION
ENV LEGACY some  text
LABEL one=1 two="$NAME"
EXPOSE 8080 53/udp
VOLUME /data
STOPSIGNAL SIGINT
ENTRYPOINT ["/x"]
CMD first
CMD ["a", "b"]
FROM scratch AS last
COPY --from=one /owned /o
COPY --from=one /owned/deep /o2/
COPY --from=0 / /everything/
COPY --from=0 /archive/x /hard/
"""
STAGES = ["one", "two", "last"]

LAYERS = """
import sys
from airdock.app import App
from airdock.config import load_config

with App(load_config()) as app:
    for layer in app.images.find(sys.argv[1]).layers:
        print(app.images.layer_path(layer.diff_id))
"""


def make_context(folder: Path) -> None:
    (folder / "d/f").mkdir(parents=True)
    for name, text in {"a.txt": "a", "b.txt": "b", "c.md": "c", "d/e.txt": "e", "d/f/g.txt": "g", "d/f/h": "h"}.items():
        (folder / name).write_text(text)
    (folder / "d/to-e").symlink_to("e.txt")
    (folder / "to-d").symlink_to("d")
    (folder / "broken").symlink_to("/nowhere")
    for name, mode in {"d": 0o750, "d/f": 0o711, "b.txt": 0o755, "a.txt": 0o644, "c.md": 0o600}.items():
        (folder / name).chmod(mode)
    (folder / ".dockerignore").write_text("*.md\nd/f/*\n!d/f/g.txt\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    packed = folder / "packed"
    (packed / "x").mkdir(parents=True)
    (packed / "x/a").write_text("1")
    (packed / "x/b").hardlink_to(packed / "x/a")
    (packed / "c").symlink_to("x/a")
    (packed / "y").mkdir()
    (packed / "y").chmod(0o1777)
    owner = ["--owner=12", "--group=13"]
    subprocess.run(["tar", "-C", packed, *owner, "-czf", folder / "archive.tgz", "."], check=True)
    shutil.rmtree(packed)


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        shown = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        mode = "" if path.is_symlink() else oct(status.st_mode)
        found[str(path.relative_to(root))] = (mode, status.st_uid, status.st_gid, shown)
    return found


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[list[str]]:
    if not shutil.which("buildah"):
        pytest.skip("the comparison needs buildah (apt-get install buildah)")
    command = ["buildah", "--root", f"{tmp_path}/b", "--runroot", f"{tmp_path}/r", "--storage-driver", "vfs"]
    yield command
    subprocess.run([*command, "rm", "--all"], check=False, capture_output=True)
    subprocess.run([*command, "rmi", "--all", "--force"], check=False, capture_output=True)


def test_buildah_makes_the_same(root_account, buildah: list[str], tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    make_context(context)
    for stage in STAGES:
        options = ["--target", stage]
        theirs = subprocess.run(
            [*buildah, "bud", "--isolation", "chroot", "--quiet", *options, "-t", f"peer-{stage}", context],
            capture_output=True,
            text=True,
        )
        if theirs.returncode:
            pytest.skip(f"buildah can't build here: {theirs.stderr.strip()[-200:]}")
        ours = root_account.airdock("image", "build", "-t", f"peer-{stage}:1", *options, str(context))
        assert ours.returncode == 0, ours.stderr
        container = subprocess.check_output([*buildah, "from", f"peer-{stage}"], text=True).strip()
        mounted = Path(subprocess.check_output([*buildah, "mount", container], text=True).strip())
        merged = tmp_path / f"merged-{stage}"
        merged.mkdir()
        layers = root_account.run(root_account.python, "-c", LAYERS, f"peer-{stage}:1")
        for layer in layers.stdout.split():
            subprocess.run(["cp", "-a", f"{layer}/.", merged], check=True)
        found, expected = listing(merged), listing(mounted)
        assert found == expected
        assert len(found) > 10
    compare_settings(root_account, buildah)


def compare_settings(root_account, buildah: list[str]) -> None:
    document = json.loads(subprocess.check_output([*buildah, "inspect", "--type", "image", "peer-two"]))
    theirs = document["OCIv1"]["config"]
    theirs["Labels"].pop("io.buildah.version")
    inspected = root_account.airdock("image", "inspect", "peer-two:1")
    assert inspected.returncode == 0, inspected.stderr
    config = json.loads(inspected.stdout)[0]["Config"]
    for name, value in theirs.items():
        assert (name, config[name]) == (name, value)
